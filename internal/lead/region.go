package lead

import (
	_ "embed"
	"strings"
	"sync"
)

// regionList holds the ISO 3166-2 regions of the world: "CODE NAME|NAME...", in the order of countries.
//
//go:embed regions.txt
var regionList string

// regionLines are the lines of regionList by country. The names are made comparable for a country when somebody first writes from there.
var regionLines = sync.OnceValue(func() map[string][]string {
	out := map[string][]string{}
	for l := range strings.Lines(regionList) {
		if country, _, found := strings.Cut(l, "-"); found && len(country) == 2 {
			out[country] = append(out[country], strings.TrimSpace(l))
		}
	}
	return out
})

// regionCodes are the codes of regionList.
var regionCodes = sync.OnceValue(func() map[string]bool {
	out := map[string]bool{}
	for l := range strings.Lines(regionList) {
		if code, _, found := strings.Cut(strings.TrimSpace(l), " "); found {
			out[code] = true
		}
	}
	return out
})

// IsRegion tells whether a code like DE-BY is one of ISO 3166-2. In a country that we know no regions of every code passes, as it does
// when a lead names it.
func IsRegion(code string) bool {
	country, _, _ := strings.Cut(code, "-")
	return regionCodes()[code] || regionLines()[country] == nil
}

// regionTables remembers what regionsOf made, by country.
var regionTables sync.Map

// regionsOf maps the folded codes and names of a country's regions to ISO 3166-2 codes; nil for a country that we know no regions of. Codes
// win over names, and larger regions over smaller ones of the same name.
func regionsOf(country string) map[string]string {
	if table, ok := regionTables.Load(country); ok {
		return table.(map[string]string)
	}
	lines := regionLines()[country]
	if lines == nil {
		return nil
	}
	out := make(map[string]string, 4*len(lines))
	for _, l := range lines {
		code, _, _ := strings.Cut(l, " ")
		out[fold(code[3:])] = code
	}
	for _, l := range lines {
		code, names, _ := strings.Cut(l, " ")
		for name := range strings.SplitSeq(names, "|") {
			for _, spelled := range []string{fold(name), fold(withoutUmlauts(name)), kernel(fold(name))} {
				if _, taken := out[spelled]; !taken && spelled != "" {
					out[spelled] = code
				}
			}
		}
	}
	regionTables.Store(country, out)
	return out
}

// withoutUmlauts spells a name as German and Nordic keyboards without its letters do.
func withoutUmlauts(name string) string { return umlauts.Replace(name) }

var umlauts = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "Ä", "Ae", "Ö", "Oe", "Ü", "Ue", "å", "aa", "Å", "Aa", "ø", "oe", "Ø", "Oe")

// What people put before and after the name of a region, folded.
var (
	regionBefore = []string{
		"stateof", "estadode", "estadodo", "estadoda", "provinceof", "provinciade", "provinciadi", "provincede", "provincia", "province",
		"countyof", "county", "regionof", "regionde", "regione", "region", "kantonvon", "kanton", "cantonof", "cantonde", "cantondu", "canton",
		"bundesland", "land", "departementde", "departementdu", "departement", "wojewodztwo", "prefectureof", "principadode", "xunta", "co",
	}
	regionAfter = []string{
		"state", "province", "county", "region", "canton", "prefecture", "voivodeship", "governorate", "department", "oblast", "lans", "lan",
		"fylke", "sheng", "shi", "ken", "fu", "to", "省", "市", "県", "縣", "府", "都", "도", "시",
	}
)

// kernel is a folded name of a region without the word for what kind of region it is. A name that is little more than that word stays.
func kernel(folded string) string {
	for _, word := range regionBefore {
		if rest, found := strings.CutPrefix(folded, word); found && len(rest) > 2 {
			return rest
		}
	}
	for _, word := range regionAfter {
		if rest, found := strings.CutSuffix(folded, word); found && len(rest) > 2 {
			return rest
		}
	}
	return folded
}

// parseRegion gives a region its ISO 3166-2 code where it is known, and the country that a full code names. A text that is no
// known region stays as it is: it may help a person, and no rule will match it.
func parseRegion(s, country string) (region, itsCountry string) {
	s = line(s)
	upper := strings.ToUpper(narrow(s))
	prefix, short, full := strings.Cut(upper, "-")
	if full && isRegionCode(short) && isCountryCode(prefix) && (country == "" || country == prefix) {
		known := regionsOf(prefix)
		if code := known[fold(short)]; code != "" {
			return code, prefix
		}
		if known == nil {
			return upper, prefix
		}
	}
	switch {
	case country == "" || s == "":
		return s, country
	case regionsOf(country) != nil:
		if code := regionIn(country, s); code != "" {
			return code, country
		}
	case isRegionCode(upper):
		return country + "-" + upper, country
	}
	return s, country
}

// regionIn finds a region of a country by code or name, with the country after a comma or without; empty when there is none.
func regionIn(country, s string) string {
	known := regionsOf(country)
	folded := fold(s)
	if code := known[folded]; code != "" {
		return code
	}
	if code := known[kernel(folded)]; code != "" {
		return code
	}
	head, tail, found := strings.Cut(s, ",")
	if !found {
		return ""
	}
	if code, ok := ParseCountry(tail); !ok || code != country {
		return ""
	}
	return regionIn(country, head)
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
