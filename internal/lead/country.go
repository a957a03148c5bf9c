package lead

import (
	_ "embed"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// nameLanguages are the languages in which country names are understood. A name that means two countries means that of the earlier one.
var nameLanguages = []string{
	"en", "de", "fr", "es", "it", "pt", "nl", "pl", "sv", "da", "nb", "fi", "cs", "hu", "ro", "el", "tr", "ru", "uk", "ja", "ko", "zh",
	"zh-Hant", "ar", "he", "fa", "hi", "th", "vi", "id", "bg", "hr", "sr", "sk", "sl", "lt", "lv", "et", "ca", "is",
}

// otherCountries holds names that the language data does not have: "CODE NAME|NAME...".
//
//go:embed countries.txt
var otherCountries string

// countryNames maps folded names, in nameLanguages, to ISO 3166-1 alpha-2 codes.
var countryNames = sync.OnceValue(func() map[string]string {
	out := make(map[string]string, 9000)
	for l := range strings.Lines(otherCountries) {
		code, names, found := strings.Cut(strings.TrimSpace(l), " ")
		if !found || code == "#" {
			continue
		}
		for name := range strings.SplitSeq(names, "|") {
			out[fold(name)] = code
		}
	}
	codes := slices.Sorted(maps.Keys(countryCodes()))
	for _, tag := range nameLanguages {
		names := display.Regions(language.MustParse(tag))
		for _, code := range codes {
			written := names.Name(language.MustParseRegion(code))
			for _, name := range []string{fold(written), fold(withoutUmlauts(written))} {
				if _, taken := out[name]; !taken && len(name) > 3 {
					out[name] = code
				}
			}
		}
	}
	return out
})

// newerNames are English names that changed after the language data was made, and shorter ones than it has.
var newerNames = map[string]string{"MK": "North Macedonia", "SZ": "Eswatini", "HK": "Hong Kong", "MO": "Macao"}

// CountryName is the English name of a country by its ISO code; the code itself when it is none.
func CountryName(code string) string {
	if name, ok := newerNames[code]; ok {
		return name
	}
	region, err := language.ParseRegion(code)
	if err != nil {
		return code
	}
	if name := display.English.Regions().Name(region); name != "" {
		return name
	}
	return code
}

// ParseCountry gives the ISO 3166-1 alpha-2 code for a code of two or three letters or three digits, or for a name in a common language,
// also with its code behind it in brackets.
func ParseCountry(s string) (code string, ok bool) {
	s = narrow(line(s))
	if letters := strings.ToUpper(strings.ReplaceAll(s, ".", "")); len(letters) == 2 || len(letters) == 3 {
		if code = countryOfCode(letters); code != "" {
			return code, true
		}
	}
	if code, ok = countryNames()[fold(s)]; ok {
		return code, true
	}
	if name, rest, found := strings.Cut(s, "("); found {
		code = countryNames()[fold(name)]
		if behind := countryOfCode(strings.ToUpper(strings.TrimRight(rest, ") "))); code != "" && (behind == code || behind == "") {
			return code, true
		}
	}
	return "", false
}

// noCountries are two-letter codes that the language data counts as countries and ISO 3166-1 does not: parts of a country with a
// reserved code, unions of countries, and codes for testing.
var noCountries = map[string]bool{
	"AC": true, "CP": true, "CQ": true, "DG": true, "EA": true, "EU": true, "EZ": true, "IC": true, "QO": true, "TA": true, "UN": true,
	"XA": true, "XB": true,
}

// countryCodes are the alpha-2 codes of today's countries. The language data also knows withdrawn ones, but has no name for them.
var countryCodes = sync.OnceValue(func() map[string]bool {
	names := display.English.Regions()
	out := map[string]bool{}
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string([]rune{a, b})
			region, err := language.ParseRegion(code)
			if err != nil || !region.IsCountry() || noCountries[code] || region.Canonicalize() != region {
				continue
			}
			if name := names.Name(region); name != "" && name != code {
				out[code] = true
			}
		}
	}
	return out
})

// isCountryCode tells current alpha-2 codes of countries from old and grouping ones.
func isCountryCode(s string) bool { return len(s) == 2 && countryOfCode(s) == s }

// countryOfCode gives the alpha-2 code for one of the three codes of ISO 3166-1 in capitals; empty when it is none.
func countryOfCode(s string) string {
	digits, letters := 0, 0
	for i := range len(s) {
		switch {
		case s[i] >= 'A' && s[i] <= 'Z':
			letters++
		case s[i] >= '0' && s[i] <= '9':
			digits++
		default:
			return ""
		}
	}
	if letters > 0 && digits > 0 || digits > 0 && digits != 3 || len(s) < 2 || len(s) > 3 {
		return ""
	}
	if len(s) == 2 && countryCodes()[s] {
		return s
	}
	r, err := language.ParseRegion(s)
	if err != nil {
		return ""
	}
	if code := r.Canonicalize().String(); countryCodes()[code] {
		return code
	}
	return ""
}
