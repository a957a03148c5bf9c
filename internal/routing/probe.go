package routing

import (
	"slices"
	"strings"
	"time"
)

// probe is the facts about one lead in the form in which rules compare them: of each dimension the values that it has. A lead with the
// postal code 101 has DE:1, DE:10 and DE:101; one that writes from mail.acme.example has that domain and acme.example.
type probe struct {
	by       [dims][]string
	now      time.Time
	released bool // somebody has looked at it and let it go on
}

// probe makes a lead comparable.
func (t *Table) probe(f Facts, now time.Time) *probe {
	p := &probe{now: now, released: f.Spam == SpamReleased}
	country, region := strings.ToUpper(strings.TrimSpace(f.Country)), strings.ToUpper(strings.TrimSpace(f.Region))
	if country == "" && regionRE.MatchString(region) {
		country = region[:2]
	}
	p.place(place{country: country, region: region, postal: comparedPostal(f.PostalCode)})
	p.domain(folded(f.EmailDomain), t.lists)
	p.onLists(t.companies[CompanyName(f.Company)], dimAccountList)
	p.set(dimProduct, folded(f.Product))
	p.set(dimIntent, folded(f.Intent))
	p.set(dimDomainClass, folded(f.DomainClass))
	p.set(dimForm, folded(f.Form))
	p.set(dimSource, folded(f.Source))
	p.tongue(foldedTag(f.Language))
	p.set(dimCampaign, folded(f.Campaign))
	p.set(dimPhoneCountry, folded(f.PhoneCountry))
	p.set(dimTimezone, folded(f.Timezone))
	for channel := range strings.SplitSeq(f.Consent, ",") {
		p.set(dimConsent, folded(channel))
	}
	p.set(dimSpam, folded(f.Spam))
	return p
}

func (p *probe) set(dim int, value string) {
	if value != "" {
		p.by[dim] = append(p.by[dim], value)
	}
}

// place adds where the lead is. Without a country a postal code says nothing, and a region of another country is a mistake.
func (p *probe) place(at place) {
	if at.country == "" {
		return
	}
	p.by[dimCountry] = []string{at.country}
	if strings.HasPrefix(at.region, at.country+"-") {
		p.by[dimRegion] = []string{at.region}
	}
	if at.postal == "" {
		return
	}
	whole := at.country + ":" + at.postal
	head := len(at.country) + 1
	p.by[dimPostal] = make([]string, 0, min(len(at.postal), maxPostal))
	for n := 1; n <= min(len(at.postal), maxPostal); n++ {
		p.by[dimPostal] = append(p.by[dimPostal], whole[:head+n])
	}
}

// domain adds the e-mail domain, those above it, and the lists that hold any of them.
func (p *probe) domain(domain string, lists map[string][]string) {
	p.by[dimDomain] = suffixes(domain)
	for _, d := range p.by[dimDomain] {
		p.onLists(lists[d], dimDomainList)
		p.onLists(lists[d], dimAccountList)
	}
}

// onLists adds lists that hold the lead's company.
func (p *probe) onLists(lists []string, dim int) {
	for _, list := range lists {
		if !slices.Contains(p.by[dim], list) {
			p.by[dim] = append(p.by[dim], list)
		}
	}
}

// tongue adds a language, and for de-at also de.
func (p *probe) tongue(tag string) {
	p.set(dimLanguage, tag)
	if base, _, found := strings.Cut(tag, "-"); found {
		p.set(dimLanguage, base)
	}
}

// hasAny tells whether the lead has one of some sorted values in a dimension.
func (p *probe) hasAny(dim int, sorted []string) bool {
	for _, value := range p.by[dim] {
		if _, ok := slices.BinarySearch(sorted, value); ok {
			return true
		}
	}
	return false
}

// suffixes gives an e-mail domain and those above it, without the top-level one.
func suffixes(domain string) []string {
	var all []string
	for domain != "" {
		all = append(all, domain)
		_, rest, found := strings.Cut(domain, ".")
		if !found || !strings.Contains(rest, ".") {
			break
		}
		domain = rest
	}
	return all
}

// folded is the form in which names are compared.
func folded(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// foldedTag is the form in which languages are compared.
func foldedTag(s string) string { return strings.ReplaceAll(folded(s), "_", "-") }
