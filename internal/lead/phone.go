package lead

import (
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/language"

	"leadline/internal/fault"
)

// Sentences about phone numbers; each says how to put it right.
const (
	phoneTooShort  = "This phone number looks too short. Check it"
	phoneTooLong   = "This phone number looks too long. Check it"
	phoneNoCountry = "Start the phone number with + and the country code, like +49 30 901820"
	phoneNoNumber  = "Enter a phone number in digits, like +49 30 901820"
	phoneSeveral   = "Enter one phone number only, like +49 30 901820"
	phoneOptional  = ", or leave it empty and we will email you."
)

// PhoneCountry is the country of a number in E.164, alpha-2; empty where the number does not tell.
func PhoneCountry(e164 string) string {
	n, err := phonenumbers.Parse(e164, "")
	if err != nil {
		return ""
	}
	if code := phonenumbers.GetRegionCodeForNumber(n); isCountryCode(code) {
		return code
	}
	return ""
}

// origin is where somebody dials from, as far as we know: it says what a number without a country code means.
type origin struct {
	stated  string   // the country that they named, alpha-2; empty: none
	guesses []string // else what their browser lets us believe, the best first
}

// parsePhone gives a phone number, cleaned, its E.164 form, and apart from it the extension, digits alone. In the country that was stated the length
// is checked and not whether the number is assigned: numbering plans change faster than our tables, and a refused real number costs a
// lead. A guessed country counts only where the number is a real one there: a wrong number is worse than a question.
func parsePhone(s string, from origin) (e164, extension string, wrong *fault.Field) {
	if compact := spaceless(s); final(compact) {
		return compact, "", nil
	}
	return parseWritten(s, from)
}

// parseWritten is parsePhone without the shortcut.
func parseWritten(s string, from origin) (e164, extension string, wrong *fault.Field) {
	w, ok := writtenPhone(narrow(s))
	if !ok {
		return "", "", phoneFault("format", phoneNoNumber)
	}
	n, wrong := w.resolve(w.number, from)
	if wrong != nil && w.word != "" {
		if spelled, bad := w.resolve(w.word, from); bad == nil && phonenumbers.IsValidNumber(spelled) {
			n, wrong = spelled, nil
			w.more = false
		}
	}
	switch {
	case w.more && (wrong == nil || wrong.Code == "too_long"):
		return "", "", phoneFault("several", phoneSeveral)
	case wrong != nil:
		return "", "", wrong
	}
	e164, wrong = stable(n, s)
	if wrong != nil {
		return "", "", wrong
	}
	return e164, w.extension, nil
}

// resolve finds the number that some digits mean: of all readings the first that is a real number, else the first that has a possible
// length where the country is certain.
func (w written) resolve(digits string, from origin) (*phonenumbers.PhoneNumber, *fault.Field) {
	var possibles []*phonenumbers.PhoneNumber
	var first *fault.Field
	try := func(digits, country string, certain bool) *phonenumbers.PhoneNumber {
		n, wrong := readPhone(digits, country)
		switch {
		case wrong != nil:
			if first == nil && certain {
				first = wrong
			}
			return nil
		case phonenumbers.IsValidNumber(n):
			return n
		case certain:
			possibles = append(possibles, n)
		}
		return nil
	}
	for _, r := range w.readings(digits, from) {
		if n := try(r.digits, r.country, r.certain); n != nil {
			return n, nil
		}
	}
	if len(possibles) > 0 {
		return possibles[0], nil
	}
	if first == nil {
		first = phoneFault("country_code", phoneNoCountry)
	}
	return nil, first
}

// reading is one way to understand some digits.
type reading struct {
	digits, country string
	certain         bool // what it takes for given was said, not guessed
}

// readings lists the ways to understand some digits, the most likely first.
func (w written) readings(digits string, from origin) []reading {
	var out []reading
	if abroad, found := strings.CutPrefix(digits, "+"); found {
		abroad = strings.TrimPrefix(abroad, "00") // +0049
		if trunk, found := strings.CutPrefix(w.withoutTrunk, "+"); found {
			out = append(out, reading{"+" + strings.TrimPrefix(trunk, "00"), "", false})
		}
		if mobile, found := strings.CutPrefix(abroad, "521"); found { // the 1 of Mexico's mobile phones, which is dialled no more
			out = append(out, reading{"+52" + mobile, "", false})
		}
		return append(out, reading{"+" + abroad, "", true})
	}
	abroad, prefixed := strings.CutPrefix(digits, "00")
	if w.withoutTrunk != "" { // only numbers for people abroad are written with (0)
		out = append(out, reading{"+" + strings.TrimPrefix(w.withoutTrunk, "00"), "", false})
	}
	if prefixed && abroad != "" {
		national := reading{digits, from.stated, from.stated != ""}
		return append(out, national, reading{"+" + abroad, "", true})
	}
	if from.stated != "" {
		return append(out, reading{digits, from.stated, true})
	}
	for _, country := range from.guesses {
		out = append(out, reading{digits, country, false})
	}
	return out
}

// readPhone reads digits as dialled in a country; none for a number with a country code.
func readPhone(digits, country string) (*phonenumbers.PhoneNumber, *fault.Field) {
	n, err := phonenumbers.Parse(digits, country)
	if err != nil {
		return nil, phoneProblem(err)
	}
	return n, possible(n)
}

// spaceless takes single spaces, dots and dashes out of an international number, as people and browsers group them; anything else stays as
// it is, and is read with more care.
func spaceless(s string) string {
	if len(s) > maxPhone || !strings.HasPrefix(s, "+") || !strings.ContainsAny(s, " -.") {
		return s
	}
	out := make([]byte, 0, 16)
	for i := range len(s) {
		switch c := s[i]; c {
		case ' ', '-', '.':
			if last := s[i-1]; last < '0' || last > '9' || i == len(s)-1 {
				return s
			}
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// plain are calling codes whose numbers hold nothing that parsing would take out of them when they are dialled from abroad, as long as
// they do not begin with 0, in North America with 1, or in Britain with the code of the relay service.
var plain = map[int32]bool{
	1: true, 44: true, 27: true, 30: true, 31: true, 32: true, 33: true, 34: true, 39: true, 41: true, 43: true, 45: true, 46: true, 47: true, 48: true,
	49: true, 64: true, 65: true, 81: true, 91: true, 351: true, 353: true, 420: true, 421: true, 971: true, 972: true,
}

// final tells a number that has its final form already, as phone widgets and programs send it, of one of the plain calling codes. It
// saves the parsing, a fifth of what a submission costs. What it does not know is parsed.
func final(s string) bool {
	if len(s) < 9 || len(s) > 16 || s[0] != '+' || s[1] == '0' {
		return false
	}
	code, at := int32(0), 1
	for ; at <= 3 && !plain[code]; at++ {
		code = code*10 + int32(s[at]-'0')
	}
	if !plain[code] || s[at] == '0' || code == 1 && s[at] == '1' || code == 44 && strings.HasPrefix(s[at:], "1800") {
		return false
	}
	national := uint64(0)
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		if i >= at {
			national = national*10 + uint64(s[i]-'0')
		}
	}
	return possible(&phonenumbers.PhoneNumber{CountryCode: &code, NationalNumber: &national}) == nil
}

// possible says what is wrong with a number's length; nil when nothing is.
func possible(n *phonenumbers.PhoneNumber) *fault.Field {
	switch phonenumbers.IsPossibleNumberWithReason(n) {
	case phonenumbers.IS_POSSIBLE:
		return nil
	case phonenumbers.INVALID_COUNTRY_CODE:
		return phoneFault("country_code", phoneNoCountry)
	case phonenumbers.TOO_LONG:
		return phoneFault("too_long", phoneTooLong)
	default:
		return phoneFault("too_short", phoneTooShort)
	}
}

// stable formats a number and makes sure that reading the result again gives the same number, so that one person's number has
// one form for ever. written is what n was read from: a number that came in its final form was just read again.
func stable(n *phonenumbers.PhoneNumber, written string) (string, *fault.Field) {
	e164 := phonenumbers.Format(n, phonenumbers.E164)
	if e164 == written {
		return e164, nil
	}
	again, err := phonenumbers.Parse(e164, "")
	if err != nil || possible(again) != nil || phonenumbers.Format(again, phonenumbers.E164) != e164 {
		return "", phoneFault("format", phoneNoNumber)
	}
	return e164, nil
}

func phoneFault(code, sentence string) *fault.Field {
	return &fault.Field{Field: "phone", Code: code, Message: sentence}
}

// dialledFrom says where somebody dials from: the stated country, else the region of the browser's language and the country of its time
// zone.
func dialledFrom(country, locale, zone string) origin {
	if country != "" {
		return origin{stated: country}
	}
	var from origin
	if tag, err := language.Parse(locale); err == nil {
		if region, confidence := tag.Region(); confidence == language.Exact {
			if code := countryOfCode(region.String()); code != "" {
				from.guesses = append(from.guesses, code)
			}
		}
	}
	if code := zoneCountry(zone); code != "" && !slices.Contains(from.guesses, code) {
		from.guesses = append(from.guesses, code)
	}
	return from
}
