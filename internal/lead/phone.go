package lead

import (
	"errors"
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
	phoneOptional  = ", or leave it empty and we will email you."
)

// parsePhone gives a phone number its E.164 form. Numbers without a country code are read as dialled in country (alpha-2, may be
// empty). Extensions are dropped. Length is checked, not whether the number is assigned: numbering plans change faster than
// our tables, and a refused real number costs a lead.
func parsePhone(s, country string) (e164 string, wrong *fault.Field) {
	s = line(s)
	if final(s) {
		return s, nil
	}
	if digits := strings.TrimLeft(s, " (-."); strings.HasPrefix(digits, "00") {
		if n, err := phonenumbers.Parse("+"+strings.TrimLeft(digits, "0"), ""); err == nil && possible(n) == nil {
			return stable(n, s)
		}
	}
	n, err := phonenumbers.Parse(s, country)
	switch {
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode):
		return "", phoneFault("country_code", phoneNoCountry)
	case errors.Is(err, phonenumbers.ErrTooShortNSN), errors.Is(err, phonenumbers.ErrTooShortAfterIDD):
		return "", phoneFault("too_short", phoneTooShort)
	case errors.Is(err, phonenumbers.ErrNumTooLong):
		return "", phoneFault("too_long", phoneTooLong)
	case err != nil:
		return "", phoneFault("format", phoneNoNumber)
	}
	if wrong = possible(n); wrong != nil {
		return "", wrong
	}
	return stable(n, s)
}

// plain are calling codes whose numbers hold nothing that parsing would take out of them when they are dialled from abroad, as long as
// they do not begin with 0.
var plain = map[int32]bool{
	27: true, 30: true, 31: true, 32: true, 33: true, 34: true, 39: true, 41: true, 43: true, 45: true, 46: true, 47: true, 48: true,
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
	if !plain[code] || s[at] == '0' {
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

// dialledFrom is the country whose habits a number without a country code follows: the stated one, else the browser's.
func dialledFrom(country, locale string) string {
	if country != "" {
		return country
	}
	tag, err := language.Parse(locale)
	if err != nil {
		return ""
	}
	if region, confidence := tag.Region(); confidence == language.Exact {
		return countryOfCode(region.String())
	}
	return ""
}
