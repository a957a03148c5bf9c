package lead

import "strings"

// postalForms are the forms of postal codes by country: 9 is a digit, A a letter, X either, and anything else stands as it is. Where a form
// has a letter that is always the same (LV-1010), it is written in small letters here.
var postalForms = map[string][]string{
	"AD": {"ad999"}, "AI": {"ai-2640"}, "AR": {"9999", "A9999AAA"}, "AT": {"9999"}, "AU": {"9999"}, "AZ": {"az 9999"}, "BA": {"99999"}, "BB": {"bb99999"}, "BD": {"9999"},
	"BE": {"9999"}, "BG": {"9999"}, "BM": {"AA 99", "AA AA"}, "BN": {"AA9999"}, "BR": {"99999-999"}, "CA": {"A9A 9A9"},
	"CH": {"9999"}, "CL": {"9999999"}, "CN": {"999999"}, "CO": {"999999"}, "CR": {"99999"}, "CY": {"9999"}, "CZ": {"999 99"}, "DE": {"99999"},
	"DK": {"9999"}, "DO": {"99999"}, "DZ": {"99999"}, "EC": {"999999"}, "EE": {"99999"}, "EG": {"99999"}, "ES": {"99999"}, "FI": {"99999"}, "FO": {"999"},
	"FR": {"99999"}, "GB": {"A9 9AA", "A99 9AA", "AA9 9AA", "AA99 9AA", "A9A 9AA", "AA9A 9AA", "gir 0aa"}, "GE": {"9999"},
	"GG": {"gy9 9AA", "gy99 9AA"}, "GL": {"9999"}, "GR": {"999 99"}, "GT": {"99999"}, "HR": {"99999"}, "HU": {"9999"}, "ID": {"99999"},
	"IE": {"A99 XXXX", "d6w XXXX"}, "IL": {"9999999", "99999"}, "IM": {"im9 9AA", "im99 9AA"}, "IN": {"999999"}, "IS": {"999"}, "IT": {"99999"},
	"JE": {"je9 9AA", "je99 9AA"}, "JP": {"999-9999"}, "KE": {"99999"}, "KR": {"99999", "999-999"}, "KW": {"99999"}, "KZ": {"999999", "A99A9A9"},
	"LI": {"9999"}, "LK": {"99999"}, "LT": {"99999", "lt-99999"}, "LU": {"9999"}, "LV": {"9999", "lv-9999"}, "MA": {"99999"}, "MC": {"99999"}, "MD": {"9999", "md-9999"},
	"ME": {"99999"}, "MK": {"9999"}, "MT": {"AAA 9999"}, "MX": {"99999"}, "MY": {"99999"}, "NL": {"9999 AA"}, "NO": {"9999"}, "NZ": {"9999"},
	"PE": {"99999"}, "PH": {"9999"}, "PK": {"99999"}, "PL": {"99-999"}, "PR": {"99999", "99999-9999"}, "PT": {"9999-999", "9999"}, "RO": {"999999"},
	"RS": {"99999"}, "RU": {"999999"}, "SA": {"99999", "99999-9999"}, "SE": {"999 99"}, "SG": {"999999"}, "SI": {"9999"}, "SK": {"999 99"}, "SM": {"99999"},
	"TH": {"99999"}, "TN": {"9999"}, "TR": {"99999"}, "TW": {"999", "999-99", "999-999"}, "UA": {"99999"}, "US": {"99999", "99999-9999"},
	"UY": {"99999"}, "UZ": {"999999"}, "VA": {"99999"}, "VN": {"99999", "999999"}, "ZA": {"9999"},
}

// postalPrefixes are the letters that stood before codes of digits on envelopes from abroad, besides the alpha-2 code.
var postalPrefixes = map[string]string{
	"AT": "A", "BE": "B", "CH": "CH", "DE": "D", "ES": "E", "FI": "SF", "FR": "F", "HU": "H", "IT": "I", "LI": "FL", "LU": "L", "NO": "N", "PT": "P",
	"SE": "S", "SI": "SLO",
}

// postalCode writes a postal code as envelopes in its country do: capitals, and the country's spaces and dashes. A code that does not have
// the country's form stays as it was written, because it may help a person; zeros that seem to be missing are never added. It is no reason
// to refuse anything.
func postalCode(s, country string) string {
	s = strings.ToUpper(narrow(line(head(s, maxOther))))
	if !isASCII(s) {
		s = line(strings.Trim(strings.ReplaceAll(s, "ー", "-"), "〒 ")) // the Japanese keyboard's dash, and their sign for a postal code
	}
	s = cut(s, maxOther)
	forms := postalForms[country]
	if s == "" || len(forms) == 0 {
		return s
	}
	code := postalSigns(s)
	for _, prefix := range []string{"", country, postalPrefixes[country]} {
		bare, found := strings.CutPrefix(code, prefix)
		if !found {
			continue
		}
		for _, form := range forms {
			if written, ok := fillForm(form, bare); ok {
				return written
			}
		}
	}
	return s
}

// postalSigns keeps the letters and digits of a code; nothing when it has others than stand in codes.
func postalSigns(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		switch {
		case isAlnum(s[i]):
			out = append(out, s[i])
		case strings.IndexByte(" -.", s[i]) < 0:
			return ""
		}
	}
	return string(out)
}

// fillForm writes the signs of a code into a form; ok is false when they do not fit.
func fillForm(form, code string) (written string, ok bool) {
	out := make([]byte, 0, len(form))
	for i := range len(form) {
		kind := form[i]
		if kind == ' ' || kind == '-' {
			out = append(out, kind)
			continue
		}
		if code == "" || !fits(kind, code[0]) {
			return "", false
		}
		out = append(out, code[0])
		code = code[1:]
	}
	return string(out), code == ""
}

func fits(kind, sign byte) bool {
	digit := sign >= '0' && sign <= '9'
	switch kind {
	case '9':
		return digit
	case 'A':
		return !digit
	case 'X':
		return true
	default: // the form names the sign itself
		return sign == kind || !digit && sign|0x20 == kind
	}
}
