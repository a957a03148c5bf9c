package lead

import (
	"slices"
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
)

// maxMarks is how many accents one character may carry. Real writing needs fewer; more are made to run over their neighbours.
const maxMarks = 8

// line cleans a text of one line: valid UTF-8, composed (NFC), nothing that cannot be seen, spaces collapsed.
func line(s string) string {
	if plainLine(s) {
		return s
	}
	return strings.Join(strings.Fields(clean(s, false)), " ")
}

// block cleans a text of several lines. Lines end with a line feed and lose their trailing space.
func block(s string) string {
	if plainBlock(s) {
		return s
	}
	lines := strings.Split(clean(strings.ReplaceAll(s, "\r\n", "\n"), true), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// plainLine tells printable ASCII without a space too many, which is most of what is sent: it is clean already.
func plainLine(s string) bool {
	last := byte(' ')
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c > '~' || c == ' ' && last == ' ' {
			return false
		}
		last = c
	}
	return s == "" || last != ' '
}

// plainBlock is plainLine for several lines, in which words may stand apart.
func plainBlock(s string) bool {
	if s == "" {
		return true
	}
	last := s[0]
	if last == ' ' || last == '\n' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < ' ' || c > '~') && c != '\n' || c == '\n' && last == ' ' {
			return false
		}
		last = c
	}
	return last != ' ' && last != '\n'
}

// clean takes out what cannot be seen or stored and composes the rest. Line breaks become line feeds in a text of several lines, else
// spaces.
func clean(s string, lines bool) string {
	composed := norm.NFC.String(string(fewMarks(neededJoiners(visible(s, lines)), 2*maxMarks)))
	kept := loneSelectors(fewMarks([]rune(composed), maxMarks))
	if len(kept) == utf8.RuneCountInString(composed) {
		return composed
	}
	return clean(string(kept), lines) // what was beside the characters taken out may compose now
}

// visible gives the characters that are seen, joiners and selectors among them.
func visible(s string, lines bool) []rune {
	s = strings.ToValidUTF8(s, "\uFFFD")
	runes := make([]rune, 0, len(s))
	flag := 0 // what is left of the flag of a nation, which is written with invisible letters
	for i, r := range s {
		switch {
		case flag > 0:
			runes = append(runes, r)
		case lines && isBreak(r):
			runes = append(runes, '\n')
		case unicode.IsSpace(r), r == '\u2800': // the last is a Braille cell without dots
			runes = append(runes, ' ')
		case isJoiner(r), isSelector(r), !isHidden(r):
			runes = append(runes, r)
		}
		if flag--; r == blackFlag {
			flag = flagLength(s[i:])
		}
	}
	return runes
}

const blackFlag = '\U0001F3F4'

// flags are the flags of nations below a country that Unicode recommends, without the black flag that they begin with.
var flags = []string{
	"\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F", // England
	"\U000E0067\U000E0062\U000E0073\U000E0063\U000E0074\U000E007F", // Scotland
	"\U000E0067\U000E0062\U000E0077\U000E006C\U000E0073\U000E007F", // Wales
}

// flagLength is the number of characters that follow the black flag at the beginning of s and make it the flag of a nation.
func flagLength(s string) int {
	for _, f := range flags {
		if strings.HasPrefix(s[utf8.RuneLen(blackFlag):], f) {
			return utf8.RuneCountInString(f)
		}
	}
	return 0
}

func isBreak(r rune) bool {
	return r >= '\n' && r <= '\r' || r == '\u0085' || r == '\u2028' || r == '\u2029'
}

// isHidden tells characters that are not seen or turn what is around them: controls, marks of direction, the invisible, and code points
// that are no characters. Two texts that look the same must not differ by them.
func isHidden(r rune) bool {
	switch {
	case r < unicode.MaxASCII:
		return r < ' '
	case r > 0xA0 && r < 0x300 && r != '\u00AD', r > 0x3040 && r < 0xD800 && r != '\u3164': // most of Europe and East Asia, quickly
		return false
	case r&0xFFFE == 0xFFFE, r >= 0xFDD0 && r <= 0xFDEF:
		return true
	case unicode.In(r, unicode.Cc, unicode.Other_Default_Ignorable_Code_Point):
		return true
	}
	return unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r) && (r < 0x13430 || r > 0x1345F)
}

// isSelector tells the characters that choose among the shapes of the one before them: emoji or text, a variant of an ideograph.
func isSelector(r rune) bool {
	return r >= 0xFE00 && r <= 0xFE0F || r >= 0xE0100 && r <= 0xE01EF
}

// isJoiner tells the characters that join or part letters without being seen themselves.
func isJoiner(r rune) bool { return r == nonJoiner || r == joiner || r == vowelSeparator }

const (
	nonJoiner      = '\u200C'
	joiner         = '\u200D'
	vowelSeparator = '\u180E' // of Mongolian
)

// joining are the scripts in which a joiner or its opposite changes the letters beside it, and with them the word.
var joining = []*unicode.RangeTable{
	unicode.Arabic, unicode.Syriac, unicode.Nko, unicode.Mandaic, unicode.Mongolian, unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi,
	unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu, unicode.Kannada, unicode.Malayalam, unicode.Sinhala, unicode.Khmer,
	unicode.Myanmar, unicode.Tibetan, unicode.Balinese, unicode.Javanese, unicode.Newa, unicode.Grantha, unicode.Adlam,
}

// neededJoiners takes out the joiners that change nothing. A non-joiner stands between letters of a joining script; a joiner follows one
// (some are written at the end of a word) or stands between emoji.
func neededJoiners(runes []rune) []rune {
	if !slices.ContainsFunc(runes, isJoiner) {
		return runes
	}
	kept := runes[:0]
	afterLetter, afterEmoji := false, false
	next := 0 // what follows the joiners that we are at
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case isJoiner(r):
			next = max(next, i+1)
			for next < len(runes) && isJoiner(runes[next]) {
				next++
			}
			beforeLetter := next < len(runes) && unicode.In(runes[next], joining...)
			beforeEmoji := next < len(runes) && (unicode.Is(unicode.So, runes[next]) || runes[next] == '\u2194') // the last shakes a head
			if afterLetter && (r == joiner || beforeLetter) || r == joiner && afterEmoji && beforeEmoji {
				kept = append(kept, r)
				i = next - 1
			}
			continue
		case unicode.IsMark(r), unicode.Is(unicode.Sk, r): // an accent, a skin tone: the character before it goes on
			afterLetter = afterLetter || unicode.In(r, joining...)
		default:
			afterLetter, afterEmoji = unicode.In(r, joining...), unicode.Is(unicode.So, r)
		}
		kept = append(kept, r)
	}
	return kept
}

// fewMarks leaves each character at most limit marks.
func fewMarks(runes []rune, limit int) []rune {
	kept, marks := runes[:0], 0
	for _, r := range runes {
		switch {
		case isJoiner(r): // does not begin a character
		case r < 0x300 || !unicode.IsMark(r):
			marks = 0
		default:
			if marks++; marks > limit {
				continue
			}
		}
		kept = append(kept, r)
	}
	return kept
}

// loneSelectors takes out selectors that have nothing to choose from: any after the first, and those of ideographs after anything else.
// Hundreds in a row can carry a hidden text.
func loneSelectors(runes []rune) []rune {
	kept, last := runes[:0], ' '
	for _, r := range runes {
		if isSelector(r) && (unicode.IsSpace(last) || isSelector(last) || r >= 0xE0100 && !unicode.Is(unicode.Han, last)) {
			continue
		}
		last = r
		kept = append(kept, r)
	}
	return kept
}

// cut shortens a cleaned text that is only telemetry: its length never costs a lead. It never parts what people see as one character.
func cut(s string, limit int) string {
	if len(s) <= limit || utf8.RuneCountInString(s) <= limit {
		return s
	}
	runes := []rune(s)
	for limit > 0 && continues(runes[limit-1], runes[limit]) {
		limit--
	}
	return strings.TrimSpace(string(runes[:limit]))
}

// continues tells whether r belongs to the same visible character as the one before it.
func continues(before, r rune) bool {
	return unicode.IsMark(r) || unicode.Is(unicode.Sk, r) && r > unicode.MaxLatin1 || isJoiner(r) || before == joiner ||
		isRegional(before) && isRegional(r) || r >= 0xE0020 && r <= 0xE007F
}

// isRegional tells the letters of which two make the flag of a country.
func isRegional(r rune) bool { return r >= 0x1F1E6 && r <= 0x1F1FF }

// plainLetters are letters that people without the keyboard for them write in another way, and that have no accent to drop.
var plainLetters = map[rune]string{
	'ß': "ss", 'ẞ': "ss", 'ø': "o", 'Ø': "o", 'æ': "ae", 'Æ': "ae", 'œ': "oe", 'Œ': "oe", 'ł': "l", 'Ł': "l", 'đ': "d", 'Đ': "d", 'ð': "d",
	'Ð': "d", 'þ': "th", 'Þ': "th", 'ı': "i", 'ħ': "h", 'Ħ': "h",
}

// fold makes names comparable: no accents, case, spaces or punctuation.
func fold(s string) string {
	if folded, ok := foldASCII(s); ok {
		return folded
	}
	var b strings.Builder
	for _, r := range norm.NFKD.String(s) {
		if plain, ok := plainLetters[r]; ok {
			b.WriteString(plain)
		} else if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.Mc, r) { // the last are vowels of India
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// foldASCII is fold for ASCII text; ok is false for any other.
func foldASCII(s string) (folded string, ok bool) {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf:
			return "", false
		case c >= 'A' && c <= 'Z':
			out = append(out, c+'a'-'A')
		case isAlnum(c):
			out = append(out, c)
		}
	}
	return string(out), true
}

// narrow gives digits of every script, full-width forms, and the dashes of all keyboards their ASCII form, for texts that are codes rather
// than words.
func narrow(s string) string {
	if isASCII(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf && unicode.Is(unicode.Nd, r) {
			return digit(r)
		}
		return halfWidth(r)
	}, s)
}

// halfWidth gives the ASCII form of a character that a keyboard of another script wrote in its place; -1 for a joiner.
func halfWidth(r rune) rune {
	switch {
	case r < utf8.RuneSelf:
		return r
	case r > 0xFF00 && r < 0xFF5F:
		return r - 0xFF01 + '!'
	case unicode.Is(unicode.Pd, r), r == '\u2212':
		return '-'
	case r == '\uFE6B':
		return '@'
	case r == '\u3002', r == '\uFF61':
		return '.'
	case isJoiner(r):
		return -1
	}
	return r
}

// digit is the value of a decimal digit of any script, as an ASCII digit. Unicode gives each script ten digits in a row, from zero.
func digit(r rune) rune {
	for _, digits := range unicode.Nd.R16 {
		if int(r) >= int(digits.Lo) && int(r) <= int(digits.Hi) {
			return rune("0123456789"[(int(r)-int(digits.Lo))%10])
		}
	}
	for _, digits := range unicode.Nd.R32 {
		if int(r) >= int(digits.Lo) && int(r) <= int(digits.Hi) {
			return rune("0123456789"[(int(r)-int(digits.Lo))%10])
		}
	}
	return '0'
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
