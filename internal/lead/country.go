package lead

import (
	"strings"
	"sync"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// nameLanguages are the languages in which country names are understood.
var nameLanguages = []string{
	"en", "de", "fr", "es", "it", "pt", "nl", "pl", "sv", "da", "nb", "fi", "cs", "hu", "ro", "el", "tr", "ru", "uk", "ja", "ko", "zh",
}

// otherNames are names in daily use that the language data does not hold, already folded.
var otherNames = map[string]string{
	"uk": "GB", "greatbritain": "GB", "britain": "GB", "england": "GB", "scotland": "GB", "wales": "GB", "northernireland": "GB",
	"grossbritannien": "GB", "unitedstatesofamerica": "US", "usofa": "US", "america": "US", "amerika": "US",
	"holland": "NL", "thenetherlands": "NL", "czechrepublic": "CZ", "tschechischerepublik": "CZ", "korea": "KR",
	"republicofkorea": "KR", "turkey": "TR", "uae": "AE", "emirates": "AE", "hongkong": "HK", "macau": "MO", "macao": "MO",
	"russianfederation": "RU", "republicofireland": "IE", "eire": "IE", "ivorycoast": "CI", "burma": "MM", "vietnam": "VN",
	"capeverde": "CV", "swaziland": "SZ", "macedonia": "MK", "northmacedonia": "MK", "eswatini": "SZ", "bosnia": "BA", "trinidad": "TT", "ksa": "SA", "prc": "CN", "taiwan": "TW",
}

// countryNames maps folded names, in nameLanguages, to ISO 3166-1 alpha-2 codes.
var countryNames = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	for _, tag := range nameLanguages {
		names := display.Regions(language.MustParse(tag))
		for a := 'A'; a <= 'Z'; a++ {
			for b := 'A'; b <= 'Z'; b++ {
				code := string([]rune{a, b})
				if !isCountryCode(code) {
					continue
				}
				name := fold(names.Name(language.MustParseRegion(code)))
				if _, taken := out[name]; !taken && len(name) > 3 {
					out[name] = code
				}
			}
		}
	}
	for name, code := range otherNames {
		out[name] = code
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

// ParseCountry gives the ISO 3166-1 alpha-2 code for a code of two or three letters or a name in a common language.
func ParseCountry(s string) (code string, ok bool) {
	s = line(s)
	if letters := strings.ToUpper(strings.ReplaceAll(s, ".", "")); len(letters) == 2 || len(letters) == 3 {
		if code = countryOfCode(letters); code != "" {
			return code, true
		}
	}
	code, ok = countryNames()[fold(s)]
	return code, ok
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
			if err == nil && region.IsCountry() && !noCountries[code] && names.Name(region) != "" && names.Name(region) != code {
				out[code] = true
			}
		}
	}
	return out
})

// isCountryCode tells current alpha-2 codes of countries from old and grouping ones.
func isCountryCode(s string) bool { return len(s) == 2 && countryOfCode(s) == s }

func countryOfCode(s string) string {
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return ""
		}
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
