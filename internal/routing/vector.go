package routing

import "slices"

// The dimensions in which rules can be specific, in the order in which they decide: the first difference wins.
const (
	dimDomainList = iota
	dimDomain
	dimPostal // length of the prefix: longer wins
	dimRegion
	dimCountry
	dimNesting // depth of the territory
	dimProduct
	dimIntent
	dimDomainClass
	dimForm
	dimSource
	dimLanguage
	dims
)

var dimNames = [dims]string{
	"domain list", "domain", "postal code", "region", "country", "nested territory", "product", "intent", "domain class", "form", "source", "language",
}

// vector says how specific a rule is in each dimension.
type vector [dims]uint8

// compare orders by specificity; dim is the dimension that decided, if any did.
func (v vector) compare(w vector) (order, dim int) {
	for d := range v {
		if v[d] != w[d] {
			return int(v[d]) - int(w[d]), d
		}
	}
	return 0, -1
}

// The facts that are compared as they are.
const (
	factProduct = iota
	factIntent
	factDomainClass
	factForm
	factSource
	factLanguage
	facts
)

var factDims = [facts]int{dimProduct, dimIntent, dimDomainClass, dimForm, dimSource, dimLanguage}

// variant is one way in which a rule can match: its condition with one particular place. A rule with territories has a variant
// per place, because how specific it is depends on the place that matched.
type variant struct {
	rule    *compiledRule
	vec     vector
	geo     place
	domains []domainSet // each must hold the lead's domain
	sets    [facts][]string
}

// compiledRule is a rule with its target resolved.
type compiledRule struct {
	Rule
	rank int // of the band
	pool string
}

// beats orders variants of different rules; lost names what decided, in the words of a trace.
func (v *variant) beats(w *variant) (order int, lost string) {
	if v.rule.rank != w.rule.rank {
		return v.rule.rank - w.rule.rank, "band"
	}
	if order, dim := v.vec.compare(w.vec); order != 0 {
		return order, dimNames[dim]
	}
	if v.rule.Priority != w.rule.Priority {
		return v.rule.Priority - w.rule.Priority, "priority"
	}
	// Both point to the same place, or the compiler would have refused them: any fixed order will do.
	if v.rule.Name < w.rule.Name {
		return 1, "same result"
	}
	return -1, "same result"
}

// domainSet is a set of e-mail domains; a domain below one of them belongs to it too.
type domainSet map[string]struct{}

func (s domainSet) holds(suffixes []string) bool {
	for _, d := range suffixes {
		if _, ok := s[d]; ok {
			return true
		}
	}
	return false
}

// matches tells whether a lead fulfils the variant.
func (v *variant) matches(p *probe) bool {
	if !p.in(v.geo) {
		return false
	}
	for i, set := range v.sets {
		if len(set) == 0 || slices.Contains(set, p.values[i]) {
			continue
		}
		if i != factLanguage || !slices.Contains(set, p.language) {
			return false
		}
	}
	for _, set := range v.domains {
		if !set.holds(p.suffixes) {
			return false
		}
	}
	return true
}
