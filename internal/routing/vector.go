package routing

import (
	"bytes"
	"strings"
	"time"
)

// The dimensions in which rules can be specific, in the order in which they decide: the first difference wins.
const (
	dimAccountList = iota
	dimDomainList
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
	dimCampaign
	dimPhoneCountry
	dimTimezone
	dimConsent
	dimSpam
	dims
)

var dimNames = [dims]string{
	"account list", "domain list", "domain", "postal code", "region", "country", "nested territory", "product", "intent", "domain class", "form", "source", "language",
	"campaign", "phone country", "time zone", "consent", "spam",
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

// row is one way to fulfil a rule, without its places: of each dimension any of the values will do, and one without values is no
// condition. The variants of a row share it.
type row struct {
	values [dims][]string // in their compared form, sorted; nil where nothing is asked, and for places
	vec    vector
}

// variant is a row with one particular place. A rule with territories has a variant per place, because how specific it is depends on
// the place that matched.
type variant struct {
	rule *compiledRule
	row  *row
	geo  place
	vec  vector
	rest dimSet // what finding the variant has not compared yet
}

// dimSet is a set of dimensions.
type dimSet uint32

func (s dimSet) has(dim int) bool { return s&(1<<dim) != 0 }

// compiledRule is a rule with its target resolved.
type compiledRule struct {
	Rule
	rank   int // of the band
	pool   string
	except *tree // what it leaves out; nil: nothing
}

// at tells whether the rule is in force at a moment.
func (r *compiledRule) at(now time.Time) bool {
	return (r.From.IsZero() || !now.Before(r.From)) && (r.Until.IsZero() || now.Before(r.Until))
}

// always tells whether the rule is in force at all times.
func (r *compiledRule) always() bool { return r.From.IsZero() && r.Until.IsZero() }

// meets tells whether there is a moment at which both rules are in force.
func (r *compiledRule) meets(s *compiledRule) bool {
	return (r.Until.IsZero() || s.From.IsZero() || s.From.Before(r.Until)) && (s.Until.IsZero() || r.From.IsZero() || r.From.Before(s.Until))
}

func (r *compiledRule) sameTarget(s *compiledRule) bool {
	return r.pool == s.pool && r.Then.Rep == s.Then.Rep && r.Then.Hold == s.Then.Hold
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

// stronger sorts variants, the strongest first.
func stronger(a, b *variant) int {
	if a.rule.rank != b.rule.rank {
		return b.rule.rank - a.rule.rank
	}
	if order := bytes.Compare(b.vec[:], a.vec[:]); order != 0 {
		return order
	}
	if a.rule.Priority != b.rule.Priority {
		return b.rule.Priority - a.rule.Priority
	}
	return strings.Compare(a.rule.Name, b.rule.Name)
}

// holds tells whether a lead that was found to have what the tree compares fulfils the rest.
func (v *variant) holds(p *probe) bool {
	if v.rest != 0 {
		for dim := range dims {
			if v.rest.has(dim) && !p.hasAny(dim, v.row.values[dim]) {
				return false
			}
		}
	}
	return v.rule.at(p.now) && !(v.rule.Then.Hold && p.released) && (v.rule.except == nil || !v.rule.except.matches(p))
}
