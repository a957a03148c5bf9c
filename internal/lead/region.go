package lead

import (
	_ "embed"
	"strings"
	"sync"
)

// regionList holds the ISO 3166-2 regions of the countries whose visitors write names: "CODE NAME|NAME...".
//
//go:embed regions.txt
var regionList string

// regionTable maps, per country, folded names and codes to ISO 3166-2 codes.
var regionTable = sync.OnceValue(func() map[string]map[string]string {
	out := map[string]map[string]string{}
	for l := range strings.Lines(regionList) {
		code, names, found := strings.Cut(strings.TrimSpace(l), " ")
		if !found {
			continue
		}
		country, short, _ := strings.Cut(code, "-")
		if out[country] == nil {
			out[country] = map[string]string{}
		}
		out[country][fold(short)] = code
		for name := range strings.SplitSeq(names, "|") {
			out[country][fold(name)] = code
		}
	}
	return out
})

// parseRegion gives a region its ISO 3166-2 code where it is known, and the country that a full code names. A text that is no
// known region stays as it is: it may help a person, and no rule will match it.
func parseRegion(s, country string) (region, itsCountry string) {
	s = line(s)
	upper := strings.ToUpper(s)
	prefix, short, full := strings.Cut(upper, "-")
	if full && isRegionCode(short) && isCountryCode(prefix) && (country == "" || country == prefix) {
		if known := regionTable()[prefix]; known == nil || known[fold(short)] != "" {
			return upper, prefix
		}
	}
	if country == "" {
		return s, ""
	}
	if known := regionTable()[country]; known != nil {
		if code := known[fold(s)]; code != "" {
			return code, country
		}
		return s, country
	}
	if isRegionCode(upper) {
		return country + "-" + upper, country
	}
	return s, country
}

// isRegionCode tells the part of an ISO 3166-2 code after the dash.
func isRegionCode(s string) bool {
	if s == "" || len(s) > 3 {
		return false
	}
	for i := range len(s) {
		if !isAlnum(s[i]) {
			return false
		}
	}
	return true
}
