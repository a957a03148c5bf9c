package migrations

import (
	"slices"
	"strings"
)

// rows looks at statements that write rows, wherever they stand in it: WITH may hold several.
func (l *linter) rows(tokens []token) {
	for i, t := range tokens {
		r := &reader{tokens: within(tokens, i), at: 1}
		switch {
		case t.is("update") && (i == 0 || !tokens[i-1].is("for", "do", "on", "key", "before", "after", "or")):
			r.take("only")
			l.named(r.name(), r.rest(), t.line)
		case t.is("delete") && r.take("from"):
			r.take("only")
			l.named(r.name(), r.rest(), t.line)
		case t.is("truncate") && i == 0:
			r.take("table")
			for _, n := range r.names() {
				if l.old(n) {
					l.report(ruleBackfill, t.line, "truncate "+n.key())
				}
			}
		case t.is("merge") && r.take("into"):
			if n := r.name(); l.old(n) {
				l.report(ruleBackfill, t.line, "merge into "+n.key())
			}
		case t.is("insert") && r.take("into"):
			l.copies(r.name(), r.rest())
		}
	}
}

// within gives the tokens from one on, to the end of the parentheses that it stands in.
func within(tokens []token, from int) []token {
	depth := 0
	for i := from; i < len(tokens); i++ {
		switch {
		case tokens[i].is("("):
			depth++
		case tokens[i].is(")"):
			depth--
		}
		if depth < 0 {
			return tokens[from:i]
		}
	}
	return tokens[from:]
}

// named reports a change of rows of an older table, unless it names them by a key.
func (l *linter) named(n name, rest []token, line int) {
	if n.last == "" || !l.old(n) {
		return
	}
	at := sequence(rest, "where")
	known := l.tables[n.key()]
	if at >= 0 && known != nil && !has(rest[:at], "from", "using") && !has(rest[at:], "or", "not") {
		for _, key := range known.keys {
			if !slices.ContainsFunc(key, func(column string) bool { return !pinned(rest[at:], column) }) {
				return
			}
		}
	}
	l.report(ruleBackfill, line, "rows of "+n.key())
}

// pinned tells whether a column must equal a value, or one of several, that stand there literally.
func pinned(where []token, column string) bool {
	for i, t := range where {
		if !t.isName() || t.text != column {
			continue
		}
		r := &reader{tokens: where, at: i + 1}
		if r.take("=") && (r.peek().kind == text || r.peek().kind == number) {
			return true
		}
		if r.take("in") {
			values := parts(r.group())
			literal := func(v []token) bool { return len(v) > 0 && (v[0].kind == text || v[0].kind == number) }
			if len(values) > 0 && !slices.ContainsFunc(values, func(v []token) bool { return !literal(v) }) {
				return true
			}
		}
	}
	return false
}

// copies reports rows that a statement takes from an older table, into whichever.
func (l *linter) copies(into name, rest []token) {
	for i, t := range rest {
		if !t.is("from", "join", "table") {
			continue
		}
		r := &reader{tokens: rest, at: i + 1}
		r.take("only")
		from := r.name()
		_, known := l.tables[from.key()]
		if l.old(from) && (known || strings.HasPrefix(from.last, "river_")) && !r.peek().is("(") {
			l.report(ruleBackfill, t.line, "into "+into.key()+" from "+from.key())
		}
	}
}

// verbs begin a statement inside a block.
var verbs = []string{
	"create", "alter", "drop", "update", "delete", "insert", "merge", "with", "truncate", "select", "set", "lock", "vacuum", "cluster", "reindex", "refresh",
	"commit", "rollback", "execute", "perform",
}

// block looks into DO: at its statements, and at those that it puts together as text.
func (l *linter) block(tokens []token) {
	for _, t := range tokens {
		if t.kind != text {
			continue
		}
		for _, s := range inner(t.text, t.line) {
			for _, piece := range pieces(s.tokens) {
				l.piece(piece)
			}
		}
	}
}

func (l *linter) piece(tokens []token) {
	switch {
	case !tokens[0].is("execute"):
		l.statement(tokens, true)
	default:
		for _, t := range tokens {
			if t.kind != text {
				continue
			}
			for _, s := range inner(placeholders.Replace(t.text), t.line) {
				if s.tokens[0].is(verbs...) {
					l.statement(s.tokens, true)
				}
			}
		}
	}
}

// placeholders of format() become names and values, as they will be.
var placeholders = strings.NewReplacer("%I", "dynamic", "%s", "dynamic", "%L", "'dynamic'")

// inner takes a text apart as SQL, its lines counted as lines of the file. Text that is no SQL gives nothing.
func inner(body string, line int) []statement {
	s := &scanner{body: body, line: line}
	if s.run() != nil {
		return nil
	}
	return s.all
}

// pieces cuts what stands between two semicolons of a block before each statement that THEN, ELSE, LOOP or BEGIN precedes.
func pieces(tokens []token) [][]token {
	var all [][]token
	begin := 0
	for i := 1; i < len(tokens); i++ {
		if tokens[i-1].is("then", "else", "loop", "begin") && tokens[i].is(verbs...) {
			all = append(all, tokens[begin:i])
			begin = i
		}
	}
	return append(all, tokens[begin:])
}
