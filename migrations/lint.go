package migrations

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// Finding is a line of a migration that would hurt an installation at work, or the binary of the release before.
type Finding struct {
	File    string // with .sql
	Line    int
	Rule    string
	What    string // the table, column or statement meant
	Advice  string // what to do instead
	Warning bool   // worth a look, yet no mistake in itself
}

// String is the finding on one line, as compilers write theirs.
func (f Finding) String() string {
	kind := f.Rule
	if f.Warning {
		kind += " (warning)"
	}
	return fmt.Sprintf("%s:%d: %s: %s: %s", f.File, f.Line, kind, f.What, f.Advice)
}

// firstRelease is the last file of the release that nobody came from: up to it, all tables were new.
const firstRelease = "0004"

// Lint reads the migrations of a release in order and gives what breaks the rules; see rules.go. A table is old for a file when
// no statement before has made it in that file. Function bodies are not looked into, blocks of DO are. The error is for files
// that cannot be read at all.
func Lint(from fs.FS) ([]Finding, error) {
	all, err := load(from)
	if err != nil {
		return nil, err
	}
	l := &linter{tables: map[string]*table{}, numbers: map[string]bool{}}
	for _, m := range all {
		l.lint(m)
	}
	slices.SortStableFunc(l.findings, func(a, b Finding) int {
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		return a.Line - b.Line
	})
	return l.findings, nil
}

// linter goes through the files with what it has learnt from those before.
type linter struct {
	findings []Finding
	tables   map[string]*table // every table so far
	numbers  map[string]bool
	file
}

// file is what is known of the file in progress.
type file struct {
	name    string
	lines   []string
	outside bool
	made    map[string]bool // tables so far in this file
	renewed map[string]bool // indexes and triggers made anywhere in this file
	pending map[string]bool // constraints added so far without being checked
	locked  []string        // older tables, in the order of their locks
}

// table is what later statements must know of one.
type table struct {
	id   string     // its primary key, when that is one column
	keys [][]string // the columns of each key
}

var fileName = regexp.MustCompile(`^(\d{4})_[a-z0-9_]+$`)

func (l *linter) lint(m migration) {
	made := map[string]bool{}
	if m.name[:min(len(m.name), len(firstRelease))] <= firstRelease && l.made != nil {
		made = l.made
	}
	l.file = file{
		name: m.name + ".sql", lines: strings.Split(m.body, "\n"), outside: m.outsideTransaction(),
		made: made, renewed: map[string]bool{}, pending: map[string]bool{},
	}
	number := fileName.FindStringSubmatch(m.name)
	if number == nil || l.numbers[number[1]] {
		l.report(ruleFile, 1, m.name)
	} else {
		l.numbers[number[1]] = true
	}
	for i, line := range l.lines {
		plain := strings.Join(strings.Fields(strings.ToLower(strings.TrimLeft(line, "- \t"))), " ")
		if strings.HasPrefix(strings.TrimSpace(line), "--") && strings.HasPrefix(plain, "no transaction") && (i > 0 || !l.outside) {
			l.report(ruleHeader, i+1, strings.TrimSpace(line))
		}
	}
	all, err := split(m.body)
	if err != nil {
		l.report(ruleFile, 1, err.Error())
	}
	for _, s := range all {
		l.noteRenewed(s)
	}
	for _, s := range all {
		l.statement(s.tokens, false)
	}
}

func (l *linter) report(r rule, line int, what string) {
	l.findings = append(l.findings, Finding{File: l.name, Line: line, Rule: r.name, What: what, Advice: r.advice, Warning: r.warning})
}

// old tells whether a table was there before this file, and may thus be large, busy and used by the release before.
func (l *linter) old(n name) bool { return n.last != "" && !l.made[n.key()] }

// locks notes that a statement keeps others from an older table until the transaction ends.
func (l *linter) locks(n name, line int) {
	if l.outside || !l.old(n) || slices.Contains(l.locked, n.key()) {
		return
	}
	l.locked = append(l.locked, n.key())
	explained := slices.ContainsFunc(l.lines, func(s string) bool { return says(s, "-- lock order:") })
	if len(l.locked) > 1 && !explained {
		l.report(ruleLockOrder, line, strings.Join(l.locked, ", then "))
	}
}

// contract tells whether the comment above a line says why something may go.
func (l *linter) contract(lines ...int) bool {
	for _, line := range lines {
		for i := line - 2; i >= 0 && i < len(l.lines) && strings.HasPrefix(strings.TrimSpace(l.lines[i]), "--"); i-- {
			if says(l.lines[i], "-- contract:") {
				return true
			}
		}
	}
	return false
}

// says tells whether a line is a comment that begins like this and goes on.
func says(line, begin string) bool {
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), begin)
	return ok && strings.TrimSpace(rest) != ""
}

// noteRenewed remembers indexes and triggers that the file makes: it may drop one of that name before.
func (l *linter) noteRenewed(s statement) {
	r := reader{tokens: s.tokens}
	if !r.take("create") {
		return
	}
	r.takeAll("or", "replace")
	r.take("unique", "constraint")
	if r.take("index", "trigger") {
		r.take("concurrently")
		r.takeAll("if", "not", "exists")
		l.renewed[r.name().key()] = true
	}
}

// statement looks at one statement, alone in the file or inside a block of DO.
func (l *linter) statement(tokens []token, inBlock bool) {
	r := &reader{tokens: tokens}
	first := r.peek()
	if has(tokens, "concurrently") && !l.outside && !first.is("refresh") {
		l.report(ruleOutside, first.line, first.text+" … concurrently")
	}
	if l.outside && !inBlock && !repeatable(tokens) {
		l.report(ruleRepeatable, first.line, heading(tokens))
	}
	switch r.at++; {
	case first.is("create"):
		l.create(r)
	case first.is("alter"):
		l.alter(r)
	case first.is("drop"):
		l.drop(r)
	case first.is("update", "delete", "insert", "merge", "with", "truncate"):
		l.rows(tokens)
	case first.is("select", "set", "reset"):
		l.setting(tokens)
		l.rows(tokens)
	case first.is("lock"):
		r.take("table")
		l.report(ruleLock, first.line, heading(tokens))
	case first.is("vacuum", "cluster", "reindex", "refresh"):
		l.maintenance(tokens)
	case first.is("begin", "end", "start") && !inBlock, first.is("commit", "rollback", "savepoint", "release", "abort"):
		l.report(ruleControl, first.line, heading(tokens))
	case first.is("do"):
		l.block(tokens)
	}
}

// heading is the beginning of a statement, for a message.
func heading(tokens []token) string {
	var words []string
	for _, t := range tokens[:min(len(tokens), 6)] {
		if t.kind == text {
			break
		}
		words = append(words, t.text)
	}
	return strings.Join(words, " ")
}

func (l *linter) setting(tokens []token) {
	for _, t := range tokens {
		if (t.isName() || t.kind == text && has(tokens, "set_config")) && (t.text == "lock_timeout" || t.text == "statement_timeout") {
			l.report(ruleSetting, t.line, t.text)
			return
		}
	}
}

func (l *linter) maintenance(tokens []token) {
	first := tokens[0]
	if first.is("vacuum") && !has(tokens, "full") || first.is("reindex", "refresh") && has(tokens, "concurrently") {
		return
	}
	l.report(ruleMaintenance, first.line, heading(tokens))
}

// drop looks at DROP of anything. What the file made itself, and indexes and triggers that it makes again, may go.
func (l *linter) drop(r *reader) {
	line := r.tokens[0].line
	r.take("materialized", "foreign", "event")
	kind := r.peek()
	r.at++
	concurrently := r.take("concurrently")
	r.takeAll("if", "exists")
	for _, n := range r.names() {
		again := kind.is("index", "trigger") && l.renewed[n.key()]
		if kind.is("table") && !l.old(n) {
			continue
		}
		if !again && !l.contract(line) {
			l.report(ruleDrop, line, kind.text+" "+n.key())
		}
		if kind.is("index") && !concurrently {
			l.report(ruleDropIndex, line, n.key())
		}
		if kind.is("table") {
			l.locks(n, line)
		}
		if kind.is("trigger") && r.take("on") {
			l.locks(r.name(), line)
		}
	}
}

// repeatable tells whether running a statement a second time does no harm and brings no error.
func repeatable(tokens []token) bool {
	exists := sequence(tokens, "if", "exists") >= 0 || sequence(tokens, "if", "not", "exists") >= 0 || sequence(tokens, "or", "replace") >= 0
	switch first := tokens[0]; {
	case first.is("create"):
		if at := sequence(tokens, "index"); at >= 0 && !has(tokens[:at], "table", "function") {
			r := reader{tokens: tokens, at: at + 1}
			r.take("concurrently")
			return r.takeAll("if", "not", "exists") && !r.peek().is("on")
		}
		return exists
	case first.is("drop"):
		return exists
	case first.is("alter"):
		return alterRepeatable(tokens)
	case first.is("insert"):
		return sequence(tokens, "on", "conflict") >= 0
	}
	return true
}

func alterRepeatable(tokens []token) bool {
	r := &reader{tokens: tokens, at: 1}
	if r.take("type") {
		return !has(tokens, "rename") && (sequence(tokens, "add", "value") < 0 || sequence(tokens, "if", "not", "exists") >= 0)
	}
	if !r.take("table") {
		return !has(tokens, "rename")
	}
	r.takeAll("if", "exists")
	r.take("only")
	r.name()
	r.take("*")
	for _, action := range parts(r.rest()) {
		if action[0].is("add", "drop", "rename") && sequence(action, "if", "exists") < 0 && sequence(action, "if", "not", "exists") < 0 &&
			sequence(action, "drop", "not", "null") < 0 && sequence(action, "drop", "default") < 0 {
			return false
		}
	}
	return true
}
