package lead

import (
	"errors"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"

	"leadline/internal/fault"
)

// maxExtension is how many digits an extension has at most; more are a second number.
const maxExtension = 7

// written is a phone number taken apart: what is dialled, and what people write around it.
type written struct {
	number       string // digits, with + before them where it was written
	withoutTrunk string // the same without the (0) that is not dialled from abroad; empty when there was none
	word         string // number, going on with the letters after it as a telephone's keys have them; empty when there are none
	extension    string // digits
	more         bool   // something follows that is no extension and has digits
}

// extensionWords begin an extension, in the languages of those who write to us. Longer ones first.
var extensionWords = []string{
	"extension", "durchwahl", "toestel", "interno", "ramal", "anexo", "poste", "extn", "xtn", "wewn", "wew", "доб", "ext", "int", "內線", "内線",
	"내선", "tst", "dw", "x",
}

// writtenPhone takes a number apart. ok is false when there are no digits.
func writtenPhone(s string) (w written, ok bool) {
	start := strings.IndexFunc(s, func(r rune) bool { return r == '+' || r >= '0' && r <= '9' })
	if start < 0 {
		return w, false
	}
	s = s[start:]
	end := strings.IndexFunc(s, func(r rune) bool { return unicode.IsLetter(r) || r == '#' || r == ',' || r == ';' })
	if end < 0 {
		end = len(s)
	}
	number, tail := s[:end], s[end:]
	w.number = dialDigits(number)
	if abroad, rest, found := strings.Cut(number, "(0)"); found && countryCode(abroad) {
		w.withoutTrunk = dialDigits(abroad + rest)
	}
	if w.extension = extensionOf(tail); w.extension == "" && tail != "" {
		w.more = strings.ContainsAny(tail, "0123456789")
		w.word = spelled(s)
	}
	return w, strings.Trim(w.number, "+") != ""
}

// countryCode tells whether what stands before a (0) can be a country code, as it is dialled from abroad or alone.
func countryCode(s string) bool {
	digits := strings.TrimLeft(dialDigits(s), "+0")
	return len(digits) >= 1 && len(digits) <= 3
}

// dialDigits keeps the digits and a + before them.
func dialDigits(s string) string {
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
	if strings.HasPrefix(s, "+") {
		return "+" + digits
	}
	return digits
}

// extensionOf reads what follows a number; empty when it is no extension.
func extensionOf(tail string) string {
	rest := strings.ToLower(strings.Trim(tail, " ,;#.()"))
	for _, word := range extensionWords {
		if after, found := strings.CutPrefix(rest, word); found {
			rest = strings.Trim(after, " .:=-#")
			break
		}
	}
	if rest == "" || len(rest) > maxExtension || strings.Trim(rest, "0123456789") != "" {
		return ""
	}
	return rest
}

// spelled reads a number with a word in it by the letters on a telephone's keys; empty when it is written with anything else.
func spelled(s string) string {
	const keys = "22233344455566677778889999"
	digits := []byte{}
	for i := range len(s) {
		switch c := s[i] | 0x20; {
		case s[i] >= '0' && s[i] <= '9', s[i] == '+' && i == 0:
			digits = append(digits, s[i])
		case c >= 'a' && c <= 'z':
			digits = append(digits, keys[c-'a'])
		case !strings.ContainsRune(" -.()/", rune(s[i])):
			return ""
		}
	}
	return string(digits)
}

// phoneProblem says what to do about a number that cannot be read.
func phoneProblem(err error) *fault.Field {
	switch {
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode):
		return phoneFault("country_code", phoneNoCountry)
	case errors.Is(err, phonenumbers.ErrTooShortNSN), errors.Is(err, phonenumbers.ErrTooShortAfterIDD):
		return phoneFault("too_short", phoneTooShort)
	case errors.Is(err, phonenumbers.ErrNumTooLong):
		return phoneFault("too_long", phoneTooLong)
	}
	return phoneFault("format", phoneNoNumber)
}
