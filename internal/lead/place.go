package lead

import (
	_ "embed"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // IANA names are judged alike on machines without time zone files

	"golang.org/x/text/language"
)

// zoneList holds the IANA time zones by country: "CODE ZONE ZONE...".
//
//go:embed zones.txt
var zoneList string

// zone is a time zone as it is spelled, and the country that it is in; empty when it is in none.
type zone struct{ name, country string }

// zones are the known time zones by their names in small letters.
var zones = sync.OnceValue(func() map[string]zone {
	out := make(map[string]zone, 600)
	for l := range strings.Lines(zoneList) {
		words := strings.Fields(l)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		country := strings.Trim(words[0], "-")
		for _, name := range words[1:] {
			out[strings.ToLower(name)] = zone{name, country}
		}
	}
	return out
})

// timezone returns an IANA name as it is spelled, older names too, and anything else as nothing: a browser's guess never costs a lead. A
// distance from UTC like +02:00 is no zone: it does not say when the clocks change.
func timezone(s string) string {
	s = line(head(s, maxOther))
	if known, ok := zones()[strings.ToLower(s)]; ok {
		return known.name
	}
	if !newerZone(s) {
		return ""
	}
	if _, err := time.LoadLocation(s); err != nil {
		return ""
	}
	return s
}

// newerZone tells whether a name may be that of a zone that is younger than our list, so that nonsense is not looked up in files.
func newerZone(s string) bool {
	area, _, found := strings.Cut(s, "/")
	switch area {
	case "Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific":
		return found && len(s) <= 40 && isASCII(s)
	}
	return false
}

// zoneCountry is the country of a time zone; empty when it is in none.
func zoneCountry(name string) string { return zones()[strings.ToLower(name)].country }

// languageOf gives the language of a locale like de-AT: "de"; nothing when it names none.
func languageOf(locale string) string {
	tag, err := language.Parse(locale)
	if err != nil {
		return ""
	}
	base, confidence := tag.Base()
	if confidence < language.High {
		return ""
	}
	return base.String()
}
