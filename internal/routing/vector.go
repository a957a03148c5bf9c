package routing

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"leadline/internal/rep"
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
	return (r.From.IsZero() || !now.Before(r.From)) && (r.Until.IsZero() || now.Before(r.Until)) && r.Hours.Open(now)
}

// always tells whether the rule is in force at all times.
func (r *compiledRule) always() bool { return r.From.IsZero() && r.Until.IsZero() && r.Hours.Always() }

// meets tells whether there is a moment at which both rules are in force.
func (r *compiledRule) meets(s *compiledRule) bool {
	from, until := r.From, r.Until
	if s.From.After(from) {
		from = s.From
	}
	if until.IsZero() || !s.Until.IsZero() && s.Until.Before(until) {
		until = s.Until
	}
	if !until.IsZero() && !from.Before(until) {
		return false
	}
	same := r.Hours.String() == s.Hours.String() && r.Hours.Location() == s.Hours.Location()
	if r.Hours.Always() && s.Hours.Always() || (from.IsZero() || until.IsZero()) && (same || r.Hours.Always() || s.Hours.Always()) {
		return true // nearly always: no calendar is needed for it
	}
	return overlap(r.Hours, s.Hours, from, until)
}

// aYear holds every distance that the clocks of two zones have from each other.
var aYear = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// overlap tells whether there is a moment of a time at which both are open. Of a time without an end a year is looked at.
func overlap(a, b rep.Hours, from, until time.Time) bool {
	if from.IsZero() {
		from = aYear
		if !until.IsZero() {
			from = until.AddDate(-1, 0, 0)
		}
	}
	if until.IsZero() || until.After(from.AddDate(1, 0, 0)) {
		until = from.AddDate(1, 0, 0)
	}
	ours, theirs := a.Between(from, until), b.Between(from, until)
	for len(ours) > 0 && len(theirs) > 0 {
		switch {
		case !ours[0].To.After(theirs[0].From):
			ours = ours[1:]
		case !theirs[0].To.After(ours[0].From):
			theirs = theirs[1:]
		default:
			return true
		}
	}
	return false
}

func (r *compiledRule) sameTarget(s *compiledRule) bool {
	a, b := r.Then, s.Then
	return r.pool == s.pool && a.Rep == b.Rep && a.Hold == b.Hold && a.Points == b.Points && slices.Equal(a.Needs, b.Needs)
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
	return v.rule.at(p.now) && (!v.rule.Then.Hold || !p.released) && (v.rule.except == nil || !v.rule.except.matches(p))
}
