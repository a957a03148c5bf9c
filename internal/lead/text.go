package lead

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Longest accepted texts, in characters (runes).
const (
	maxName    = 200
	maxEmail   = 254
	maxPhone   = 40
	maxCompany = 200
	maxNotes   = 5000
	maxOther   = 100
	maxContext = 500
	maxAnswer  = 2000 // one of the form's own fields
	maxFields  = 64
)

// line cleans a text of one line: valid UTF-8, no control, bidi or invisible characters, composed (NFC), spaces collapsed.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), isBidi(r), isInvisible(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(norm.NFC.String(s)), " ")
}

// block cleans a text of several lines. Joiners stay, because scripts and emoji need them; lines lose their trailing space.
func block(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\r', r == '\u2028', r == '\u2029':
			return '\n'
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), isBidi(r):
			return -1
		}
		return r
	}, s)
	lines := strings.Split(norm.NFC.String(s), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// isBidi tells characters that change the direction of the text around them, and with it what a reader believes to see.
func isBidi(r rune) bool {
	return r == '\u061C' || r == '\u200E' || r == '\u200F' || r >= '\u202A' && r <= '\u202E' || r >= '\u2066' && r <= '\u2069'
}

// isInvisible tells characters that take no place: two texts that look the same must not differ by them.
func isInvisible(r rune) bool {
	switch {
	case r == '\u00AD', r == '\u034F', r == '\u180E', r == '\uFEFF':
		return true
	case r >= '\u200B' && r <= '\u200D', r >= '\u2060' && r <= '\u2065', r >= '\u206A' && r <= '\u206F':
		return true
	}
	return r >= 0xFFF9 && r <= 0xFFFB || r >= 0xE0000 && r <= 0xE0FFF
}

// cut shortens a cleaned text that is only telemetry: its length never costs a lead.
func cut(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return strings.TrimSpace(string([]rune(s)[:limit]))
}

// fold makes names comparable: no accents, case, spaces or punctuation.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, norm.NFKD.String(s))
}
