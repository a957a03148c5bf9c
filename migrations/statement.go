package migrations

import (
	"fmt"
	"strings"
)

// statement is one SQL statement of a file, without the semicolon that ends it.
type statement struct {
	text   string
	line   int // where it begins, from 1
	tokens []token
}

type tokenKind int

const (
	word   tokenKind = iota // a key word, or a name without quotes: in lower case
	quoted                  // a name in double quotes, as it is inside them
	text                    // a string, in any kind of quotes, as it is inside them
	number
	symbol // a single character
)

// token is the smallest piece of a statement. Comments are none.
type token struct {
	kind tokenKind
	text string
	line int
}

func (t token) is(words ...string) bool {
	for _, w := range words {
		if t.text == w && (t.kind == word || t.kind == symbol) {
			return true
		}
	}
	return false
}

func (t token) isName() bool { return t.kind == word || t.kind == quoted }

// scanner walks over a file the way PostgreSQL's own lexer does: comments nest, strings may be quoted by dollars, an E-string knows
// backslashes, and a semicolon inside parentheses or a function's BEGIN ATOMIC ends nothing.
type scanner struct {
	body string
	at   int
	line int

	all    []statement
	tokens []token
	begins int // where the statement in progress begins in body
	ends   int // behind its last token
	parens int
	blocks int
}

// split takes a file apart into its statements. It fails on what is not closed.
func split(body string) ([]statement, error) {
	s := &scanner{body: body, line: 1}
	err := s.run()
	return s.all, err
}

func (s *scanner) run() error {
	for s.at < len(s.body) {
		if err := s.next(); err != nil {
			return err
		}
	}
	s.finish()
	return nil
}

func (s *scanner) next() error {
	rest := s.body[s.at:]
	switch c := rest[0]; {
	case c == '\n' || c == ' ' || c == '\t' || c == '\r' || c == '\f':
		s.skip(1)
		return nil
	case strings.HasPrefix(rest, "--"):
		end := strings.IndexByte(rest, '\n')
		if end < 0 {
			end = len(rest)
		}
		s.skip(end)
		return nil
	case strings.HasPrefix(rest, "/*"):
		return s.comment()
	case c == '\'':
		return s.quote(text, 0, false)
	case c == '"':
		return s.quote(quoted, 0, false)
	case (c == 'e' || c == 'E') && strings.HasPrefix(rest[1:], "'"):
		return s.quote(text, 1, true)
	case c == '$':
		if tag := dollarTag(rest); tag != "" {
			return s.dollar(tag)
		}
		s.add(symbol, "$", 1)
	case isLetter(c):
		n := 1
		for n < len(rest) && (isLetter(rest[n]) || isDigit(rest[n]) || rest[n] == '$') {
			n++
		}
		s.word(strings.ToLower(rest[:n]), n)
	case isDigit(c) || c == '.' && len(rest) > 1 && isDigit(rest[1]):
		n := 1
		for n < len(rest) && (isDigit(rest[n]) || isLetter(rest[n]) || rest[n] == '.') {
			n++
		}
		s.add(number, rest[:n], n)
	case c == ';' && s.parens == 0 && s.blocks == 0:
		s.finish()
		s.skip(1)
	default:
		s.add(symbol, string(c), 1)
		s.nest(c)
	}
	return nil
}

func (s *scanner) nest(c byte) {
	switch {
	case c == '(':
		s.parens++
	case c == ')' && s.parens > 0:
		s.parens--
	}
}

// word adds a word and minds the bodies of functions that are written in plain SQL: BEGIN ATOMIC ...; ...; END.
func (s *scanner) word(w string, n int) {
	s.add(word, w, n)
	if !s.inRoutine() {
		return
	}
	switch {
	case w == "atomic" && len(s.tokens) > 1 && s.tokens[len(s.tokens)-2].is("begin"):
		s.blocks++
	case w == "case" && s.blocks > 0:
		s.blocks++
	case w == "end" && s.blocks > 0:
		s.blocks--
	}
}

func (s *scanner) inRoutine() bool {
	if len(s.tokens) < 2 || !s.tokens[0].is("create") {
		return false
	}
	kind := s.tokens[1]
	if kind.is("or") && len(s.tokens) > 3 {
		kind = s.tokens[3]
	}
	return kind.is("function", "procedure")
}

// comment skips a comment between slashes and stars, which may hold others.
func (s *scanner) comment() error {
	began, depth := s.line, 0
	for s.at < len(s.body) {
		switch rest := s.body[s.at:]; {
		case strings.HasPrefix(rest, "/*"):
			depth++
			s.skip(2)
		case strings.HasPrefix(rest, "*/"):
			depth--
			s.skip(2)
			if depth == 0 {
				return nil
			}
		default:
			s.skip(1)
		}
	}
	return fmt.Errorf("line %d: a comment is not closed", began)
}

// quote adds what stands between two quotes of one kind, a double one standing for itself. before is what precedes the first.
func (s *scanner) quote(kind tokenKind, before int, backslashes bool) error {
	rest := s.body[s.at:]
	mark := rest[before]
	var inside strings.Builder
	for i := before + 1; i < len(rest); i++ {
		switch {
		case backslashes && rest[i] == '\\' && i+1 < len(rest):
			inside.WriteString(rest[i : i+2])
			i++
		case rest[i] != mark:
			inside.WriteByte(rest[i])
		case i+1 < len(rest) && rest[i+1] == mark:
			inside.WriteByte(mark)
			i++
		default:
			s.add(kind, inside.String(), i+1)
			return nil
		}
	}
	return fmt.Errorf("line %d: a quote is not closed", s.line)
}

func (s *scanner) dollar(tag string) error {
	rest := s.body[s.at+len(tag):]
	end := strings.Index(rest, tag)
	if end < 0 {
		return fmt.Errorf("line %d: %s is not closed", s.line, tag)
	}
	s.add(text, rest[:end], end+2*len(tag))
	return nil
}

// dollarTag gives the opening of a dollar-quoted string, like $$ or $body$; empty when there is none.
func dollarTag(rest string) string {
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == '$':
			return rest[:i+1]
		case !isLetter(rest[i]) && (i == 1 || !isDigit(rest[i])):
			return ""
		}
	}
	return ""
}

// add notes a token that takes n bytes of the file.
func (s *scanner) add(kind tokenKind, what string, n int) {
	if len(s.tokens) == 0 {
		s.begins = s.at
	}
	s.tokens = append(s.tokens, token{kind, what, s.line})
	s.skip(n)
	s.ends = s.at
}

func (s *scanner) skip(n int) {
	s.line += strings.Count(s.body[s.at:s.at+n], "\n")
	s.at += n
}

// finish ends a statement; an empty one is none.
func (s *scanner) finish() {
	if len(s.tokens) > 0 {
		s.all = append(s.all, statement{text: s.body[s.begins:s.ends], line: s.tokens[0].line, tokens: s.tokens})
	}
	s.tokens, s.parens, s.blocks = nil, 0, 0
}

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
