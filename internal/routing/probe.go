package routing

import "strings"

// probe is the facts about one lead in the form in which rules compare them.
type probe struct {
	place
	values   [facts]string
	language string   // without its country: "de" for de-AT
	suffixes []string // the e-mail domain and those above it
}

func newProbe(f Facts) *probe {
	p := &probe{
		place: place{
			country: strings.ToUpper(strings.TrimSpace(f.Country)),
			region:  strings.ToUpper(strings.TrimSpace(f.Region)),
			postal:  comparedPostal(f.PostalCode),
		},
		values: [facts]string{
			factProduct: folded(f.Product), factIntent: folded(f.Intent), factDomainClass: folded(f.DomainClass),
			factForm: folded(f.Form), factSource: folded(f.Source), factLanguage: folded(f.Language),
		},
	}
	if p.country == "" && regionRE.MatchString(p.region) {
		p.country = p.region[:2]
	}
	p.values[factLanguage] = strings.ReplaceAll(p.values[factLanguage], "_", "-")
	p.language, _, _ = strings.Cut(p.values[factLanguage], "-")
	p.suffixes = suffixes(folded(f.EmailDomain))
	return p
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

// in tells whether the lead is in a place; the empty place is everywhere.
func (p *probe) in(g place) bool {
	return (g.country == "" || g.country == p.country) &&
		(g.region == "" || g.region == p.region) &&
		(g.postal == "" || strings.HasPrefix(p.postal, g.postal))
}

// folded is the form in which names are compared.
func folded(s string) string { return strings.ToLower(strings.TrimSpace(s)) }
