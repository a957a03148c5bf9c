package migrations

import (
	"slices"

	"github.com/jackc/pgx/v5"
)

// reader walks over the tokens of a statement. Past the end it sees empty ones.
type reader struct {
	tokens []token
	at     int
}

func (r *reader) peek() token { return r.ahead(0) }

func (r *reader) ahead(n int) token {
	if r.at+n >= len(r.tokens) {
		return token{kind: symbol}
	}
	return r.tokens[r.at+n]
}

func (r *reader) done() bool { return r.at >= len(r.tokens) }

// take steps over the next token if it is one of these words.
func (r *reader) take(words ...string) bool {
	if !r.peek().is(words...) {
		return false
	}
	r.at++
	return true
}

// takeAll steps over these words if they are next, in this order, or else over nothing.
func (r *reader) takeAll(words ...string) bool {
	for i, w := range words {
		if !r.ahead(i).is(w) {
			return false
		}
	}
	r.at += len(words)
	return true
}

func (r *reader) rest() []token { return r.tokens[min(r.at, len(r.tokens)):] }

// name reads a name that may have a schema in front; empty when there is none.
func (r *reader) name() name {
	var n name
	for r.peek().isName() {
		if n.last != "" {
			n.schema = n.last
		}
		n.last = r.peek().text
		r.at++
		if !r.take(".") {
			break
		}
	}
	return n
}

// names reads names between commas.
func (r *reader) names() []name {
	var all []name
	for {
		r.take("only")
		if n := r.name(); n.last != "" {
			all = append(all, n)
		}
		r.take("*")
		if !r.take(",") {
			return all
		}
	}
}

// group reads what stands in parentheses, without them; nothing when none open here.
func (r *reader) group() []token {
	if !r.peek().is("(") {
		return nil
	}
	begin, depth := r.at+1, 0
	for ; !r.done(); r.at++ {
		switch {
		case r.peek().is("("):
			depth++
		case r.peek().is(")"):
			depth--
		}
		if depth == 0 {
			inside := r.tokens[begin:r.at]
			r.at++
			return inside
		}
	}
	return r.tokens[begin:]
}

// name is that of a table, index or the like.
type name struct{ schema, last string }

// key names the same thing in the same way, whether or not our own schema is spelt out.
func (n name) key() string {
	if n.schema == "" || n.schema == "public" {
		return n.last
	}
	return n.schema + "." + n.last
}

func (n name) sql() string {
	if n.schema == "" {
		return pgx.Identifier{n.last}.Sanitize()
	}
	return pgx.Identifier{n.schema, n.last}.Sanitize()
}

// has tells whether a word occurs among tokens.
func has(tokens []token, words ...string) bool {
	return slices.ContainsFunc(tokens, func(t token) bool { return t.is(words...) })
}

// sequence gives where words follow each other; -1 when they do not.
func sequence(tokens []token, words ...string) int {
	for i := range tokens {
		r := reader{tokens: tokens, at: i}
		if r.takeAll(words...) {
			return i
		}
	}
	return -1
}

// parts takes tokens apart at the commas that stand in no parentheses or brackets. None is empty.
func parts(tokens []token) [][]token {
	var all [][]token
	begin, depth := 0, 0
	for i, t := range tokens {
		switch {
		case t.is("(", "["):
			depth++
		case t.is(")", "]"):
			depth--
		case t.is(",") && depth == 0:
			if i > begin {
				all = append(all, tokens[begin:i])
			}
			begin = i + 1
		}
	}
	if begin < len(tokens) {
		all = append(all, tokens[begin:])
	}
	return all
}
