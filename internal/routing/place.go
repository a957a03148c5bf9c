package routing

import (
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/text/language"

	"leadline/internal/lead"
)

// place is one country, region or range of postal codes.
type place struct {
	country string
	region  string // ISO 3166-2, or empty
	postal  string // start of the postal code in its compared form, or empty
}

var regionRE = regexp.MustCompile(`^[A-Z]{2}-[A-Z0-9]{1,3}$`)

// parsePlace reads "DE", "DE-BY" or "DE:10".
func parsePlace(text string) (place, error) {
	text = strings.ToUpper(strings.TrimSpace(text))
	if country, postal, ok := strings.Cut(text, ":"); ok {
		p := place{country: country, postal: comparedPostal(postal)}
		if p.postal == "" {
			return place{}, fmt.Errorf("%q names no postal code; write it like DE:10", text)
		}
		return p, checkCountry(country)
	}
	if country, _, ok := strings.Cut(text, "-"); ok {
		if !regionRE.MatchString(text) {
			return place{}, fmt.Errorf("%q is no region; use an ISO 3166-2 code like DE-BY", text)
		}
		return place{country: country, region: text}, checkCountry(country)
	}
	return place{country: text}, checkCountry(text)
}

// unknownRegion tells of a region that its country does not have, as far as we know: no lead is ever in it.
func (p place) unknownRegion() bool { return p.region != "" && !lead.IsRegion(p.region) }

// checkCountry accepts the ISO 3166-1 alpha-2 codes in use.
func checkCountry(code string) error {
	region, err := language.ParseRegion(code)
	if len(code) != 2 || err != nil || !region.IsCountry() || region.Canonicalize().String() != code {
		return fmt.Errorf("there is no country %q; use an ISO 3166-1 code of two letters like DE", code)
	}
	return nil
}

// String is the place as it is written in the configuration.
func (p place) String() string {
	switch {
	case p.postal != "":
		return p.country + ":" + p.postal
	case p.region != "":
		return p.region
	default:
		return p.country
	}
}

// comparedPostal is the form in which postal codes are compared: capitals and digits alone, since people write "SW1A 1AA" and
// "00-950" in every way.
func comparedPostal(s string) string {
	clean := true
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, strings.ToUpper(s))
}

// parseDomain gives an e-mail domain its compared form.
func parseDomain(text string) (string, error) {
	d := strings.ToLower(strings.TrimSuffix(strings.TrimSpace(text), "."))
	if !strings.Contains(d, ".") || strings.ContainsAny(d, "@/: \t*") || strings.HasPrefix(d, ".") {
		return "", fmt.Errorf("%q is no e-mail domain; write it like acme.example", text)
	}
	return d, nil
}
