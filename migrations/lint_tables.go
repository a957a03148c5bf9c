package migrations

import (
	"slices"
	"strings"
)

// create looks at CREATE of anything.
func (l *linter) create(r *reader) {
	line := r.tokens[0].line
	r.takeAll("or", "replace")
	unlogged := r.take("unlogged")
	r.take("global", "local")
	r.take("temp", "temporary")
	switch {
	case r.take("table"):
		l.createTable(r, line, unlogged)
	case r.take("sequence"):
		l.sequenceType(r)
		if unlogged {
			l.report(ruleUnlogged, line, heading(r.tokens))
		}
	case r.peek().is("unique", "index"):
		l.createIndex(r, line)
	case r.peek().is("constraint", "trigger"):
		if at := sequence(r.tokens, "on"); at >= 0 {
			on := reader{tokens: r.tokens, at: at + 1}
			l.locks(on.name(), line)
		}
	}
}

func (l *linter) createTable(r *reader, line int, unlogged bool) {
	r.takeAll("if", "not", "exists")
	n := r.name()
	if unlogged {
		l.report(ruleUnlogged, line, n.key())
	}
	made := &table{}
	var columns []column
	for _, part := range parts(r.group()) {
		item := &reader{tokens: part}
		var references name
		if isConstraint(item) {
			c := readConstraint(item)
			made.add(c)
			references = c.references
		} else {
			c := readColumn(item)
			columns = append(columns, c)
			made.add(constraint{kind: token{text: c.key()}, columns: []string{c.name}})
			references = c.references
		}
		l.locks(references, part[0].line)
	}
	for _, c := range columns {
		if c.narrow() && (c.isID() || c.name == made.id) {
			l.report(ruleNarrowID, c.line, n.key()+"."+c.name)
		}
	}
	l.made[n.key()] = true
	l.tables[n.key()] = made
	if has(r.rest(), "as") && has(r.rest(), "select", "table") {
		l.copies(n, r.rest())
	}
}

// add notes a key. A primary key of one column is an id, whatever its name; in a longer one a small number may tell rows of one
// thing apart.
func (t *table) add(c constraint) {
	if len(c.columns) == 0 || c.kind.text != "primary" && c.kind.text != "unique" {
		return
	}
	t.keys = append(t.keys, c.columns)
	if c.kind.text == "primary" && len(c.columns) == 1 {
		t.id = c.columns[0]
	}
}

func (l *linter) sequenceType(r *reader) {
	if at := sequence(r.tokens, "as"); at >= 0 && at+1 < len(r.tokens) && narrowTypes[r.tokens[at+1].text] {
		l.report(ruleNarrowID, r.tokens[at].line, heading(r.tokens))
	}
}

func (l *linter) createIndex(r *reader, line int) {
	r.take("unique")
	r.take("index")
	concurrently := r.take("concurrently")
	r.takeAll("if", "not", "exists")
	var index name
	if !r.peek().is("on") {
		index = r.name()
	}
	if r.take("on") {
		r.take("only")
		if on := r.name(); !concurrently && l.old(on) {
			l.report(ruleIndex, line, strings.TrimSpace(index.key()+" on "+on.key()))
		}
	}
}

// alter looks at ALTER of anything.
func (l *linter) alter(r *reader) {
	line := r.tokens[0].line
	r.take("foreign", "materialized")
	kind := r.peek()
	r.at++
	if kind.is("table") {
		l.alterTable(r, line)
		return
	}
	l.setting(r.tokens)
	switch rest := r.rest(); {
	case kind.is("index") && has(rest, "tablespace"):
		l.report(ruleRewrite, line, heading(r.tokens))
	case kind.is("index", "role", "user", "database", "default", "system"):
	case has(rest, "rename") || sequence(rest, "set", "schema") >= 0:
		l.report(ruleRename, line, heading(r.tokens))
	case kind.is("type") && sequence(rest, "drop", "attribute") >= 0 && !l.contract(line):
		l.report(ruleDrop, line, heading(r.tokens))
	case kind.is("type") && sequence(rest, "alter", "attribute") >= 0:
		l.report(ruleType, line, heading(r.tokens))
	case kind.is("domain") && sequence(rest, "set", "not", "null") >= 0:
		l.report(ruleSetNotNull, line, heading(r.tokens))
	case kind.is("domain") && has(rest, "add") && sequence(rest, "not", "valid") < 0:
		l.report(ruleNotValid, line, heading(r.tokens))
	case kind.is("sequence"):
		l.sequenceType(r)
	}
}

func (l *linter) alterTable(r *reader, line int) {
	r.takeAll("if", "exists")
	r.take("only")
	n := r.name()
	r.take("*")
	l.locks(n, line)
	for _, part := range parts(r.rest()) {
		action := &reader{tokens: part}
		at := part[0].line
		switch {
		case action.take("add"):
			l.add(n, action, at)
		case action.takeAll("set", "unlogged"):
			l.report(ruleUnlogged, at, n.key())
		case action.takeAll("validate", "constraint"):
			if c := action.name(); !l.outside && l.pending[n.key()+"."+c.last] {
				l.report(ruleValidate, at, n.key()+"."+c.last)
			}
		case l.old(n):
			l.change(n, action, at, line)
		}
	}
}

// change looks at what ALTER TABLE does to an older table besides adding to it.
func (l *linter) change(n name, action *reader, at, line int) {
	what := n.key() + ": " + heading(action.tokens)
	switch {
	case action.take("drop"):
		constraint := action.take("constraint")
		if (!constraint || isKeyName(action)) && !l.contract(at, line) {
			l.report(ruleDrop, at, what)
		}
	case action.take("rename") || action.takeAll("set", "schema"):
		l.report(ruleRename, at, what)
	case action.take("set"):
		if action.take("logged", "tablespace", "access") {
			l.report(ruleRewrite, at, what)
		}
	case action.take("alter"):
		if action.take("constraint") {
			return
		}
		action.take("column")
		action.name()
		l.changeColumn(action, at, line, what)
	}
}

// isKeyName tells whether the constraint named next is one that the release before may name in ON CONFLICT, going by the names
// that PostgreSQL gives.
func isKeyName(action *reader) bool {
	action.takeAll("if", "exists")
	n := action.name().last
	return strings.HasSuffix(n, "_pkey") || strings.HasSuffix(n, "_key") || strings.HasSuffix(n, "_excl")
}

func (l *linter) changeColumn(action *reader, at, line int, what string) {
	switch {
	case action.take("type") || action.takeAll("set", "data", "type"):
		l.report(ruleType, at, what)
	case action.takeAll("set", "not", "null"):
		l.report(ruleSetNotNull, at, what)
	case action.takeAll("set", "expression"):
		l.report(ruleRewrite, at, what)
	case action.takeAll("drop", "not", "null"):
	case action.take("drop") && !l.contract(at, line): // a default, an identity: the release before relies on it
		l.report(ruleDrop, at, what)
	}
}

// add looks at ADD of a column or a constraint.
func (l *linter) add(n name, action *reader, at int) {
	if !action.peek().is("column") && isConstraint(action) {
		l.addConstraint(n, action, at)
		return
	}
	action.take("column")
	action.takeAll("if", "not", "exists")
	c := readColumn(action)
	if c.narrow() && (c.isID() || c.primary) {
		l.report(ruleNarrowID, c.line, n.key()+"."+c.name)
	}
	l.locks(c.references, at)
	if !l.old(n) {
		return
	}
	what := n.key() + "." + c.name
	if c.unique || c.primary {
		l.report(ruleIndex, at, what)
	}
	if c.check || c.references.last != "" {
		l.report(ruleNotValid, at, what)
	}
	switch {
	case c.generated || c.serial():
		l.report(ruleRewrite, at, what)
	case !constant(c.value):
		l.report(ruleVolatile, at, what)
	case (c.notNull || c.primary) && len(c.value) == 0:
		l.report(ruleAddNotNull, at, what)
	}
}

func (l *linter) addConstraint(n name, action *reader, at int) {
	c := readConstraint(action)
	what := n.key() + "." + c.name
	l.locks(c.references, at)
	if found := l.tables[n.key()]; found != nil {
		found.add(c)
	}
	if c.notValid {
		l.pending[what] = true
	}
	switch {
	case !l.old(n):
	case c.kind.is("primary", "unique", "exclude"):
		if !c.usingIndex {
			l.report(ruleIndex, at, what)
		}
	case !c.notValid:
		l.report(ruleNotValid, at, what)
	}
}

// constraint is one of a table.
type constraint struct {
	name       string
	kind       token // primary, unique, check, foreign, exclude, not
	columns    []string
	references name
	notValid   bool
	usingIndex bool
}

// isConstraint tells whether what comes next is a constraint rather than a column.
func isConstraint(r *reader) bool {
	return r.peek().is("constraint", "primary", "unique", "check", "foreign", "exclude", "like") || r.peek().is("not") && r.ahead(1).is("null")
}

func readConstraint(r *reader) constraint {
	var c constraint
	if r.take("constraint") {
		c.name = r.name().last
	}
	c.kind = r.peek()
	r.at++
	if !r.take("key") && r.take("nulls") {
		r.take("not")
		r.take("distinct")
	}
	for _, part := range parts(r.group()) {
		c.columns = append(c.columns, part[0].text)
	}
	rest := r.rest()
	if at := sequence(rest, "references"); at >= 0 {
		to := reader{tokens: rest, at: at + 1}
		c.references = to.name()
	}
	c.notValid = sequence(rest, "not", "valid") >= 0
	c.usingIndex = sequence(rest, "using", "index") >= 0
	return c
}

// column is one that a statement makes.
type column struct {
	name       string
	line       int
	kind       token // its type's first word
	notNull    bool
	primary    bool
	unique     bool
	check      bool
	generated  bool // from other columns, or an identity
	references name
	value      []token // DEFAULT
}

var narrowTypes = map[string]bool{
	"int": true, "int4": true, "integer": true, "smallint": true, "int2": true, "serial": true, "serial4": true, "smallserial": true, "serial2": true,
}

// key is the kind of key that the column is by itself.
func (c column) key() string {
	switch {
	case c.primary:
		return "primary"
	case c.unique:
		return "unique"
	}
	return ""
}

func (c column) narrow() bool { return narrowTypes[c.kind.text] }

func (c column) serial() bool {
	return c.kind.is("serial", "serial2", "serial4", "serial8", "bigserial", "smallserial")
}

func (c column) isID() bool {
	return c.name == "id" || strings.HasSuffix(c.name, "_id") || strings.HasSuffix(c.name, "_ids")
}

// starts are the words that begin what follows a column's type.
var starts = []string{"constraint", "not", "null", "check", "default", "generated", "unique", "primary", "references", "collate", "storage", "compression", "deferrable", "initially"}

func readColumn(r *reader) column {
	c := column{name: r.peek().text, line: r.peek().line}
	r.at++
	c.kind = r.peek()
	for r.at++; !r.done(); {
		switch {
		case r.takeAll("not", "null"):
			c.notNull = true
		case r.takeAll("primary", "key"):
			c.primary = true
		case r.take("unique"):
			c.unique = true
		case r.take("check"):
			c.check = true
			r.group()
		case r.take("generated"):
			c.generated = true
			r.takeAll("by", "default")
		case r.take("references"):
			c.references = r.name()
		case r.takeAll("set", "default"), r.takeAll("set", "null"): // of ON DELETE
		case r.take("default"):
			c.value = readValue(r)
		default:
			r.at++
		}
	}
	return c
}

// readValue reads an expression up to the next part of the column.
func readValue(r *reader) []token {
	begin, depth := r.at, 0
	for ; !r.done(); r.at++ {
		switch {
		case r.peek().is("("):
			depth++
		case r.peek().is(")"):
			depth--
		case depth == 0 && r.at > begin && r.peek().is(starts...):
			return r.tokens[begin:r.at]
		}
	}
	return r.tokens[begin:]
}

// steady are the functions, and words that look like one, whose value is the same for all rows that a statement touches.
var steady = []string{
	"now", "transaction_timestamp", "statement_timestamp", "current_setting", "cast", "coalesce", "make_interval", "make_date", "to_timestamp", "decode",
	"encode", "lower", "upper", "jsonb_build_object", "jsonb_build_array", "array",
}

// constant tells whether a DEFAULT has one value for all rows, so that no row needs to be written.
func constant(value []token) bool {
	for i, t := range value {
		if !t.isName() || i+1 >= len(value) || !value[i+1].is("(") || slices.Contains(steady, t.text) {
			continue
		}
		if ofType := i > 0 && (value[i-1].is(":") || value[i-1].is("as")); !ofType {
			return false
		}
	}
	return true
}
