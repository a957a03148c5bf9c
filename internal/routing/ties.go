package routing

import (
	"slices"
	"strings"
)

// rankKey holds variants that only their remaining conditions can tell apart: equal in band, priority, specificity and place.
type rankKey struct {
	rank, priority int
	vec            vector
	geo            place
}

// refuseTies finds rules that rank equally, can match the same lead and send it to different places. Equal specificity means
// that both ask in the same dimensions, so two variants can tie only when they name the very same place.
func (c *compiler) refuseTies() {
	groups := map[rankKey][]*variant{}
	var order []rankKey
	for _, v := range c.variants {
		key := rankKey{v.rule.rank, v.rule.Priority, v.vec, v.geo}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], v)
	}
	reported := map[[2]*compiledRule]bool{}
	for _, key := range order {
		group := groups[key]
		for i, a := range group {
			for _, b := range group[i+1:] {
				if a.rule == b.rule || reported[[2]*compiledRule{a.rule, b.rule}] || a.rule.sameTarget(b.rule) {
					continue
				}
				sample, ok := common(a, b)
				if !ok {
					continue
				}
				reported[[2]*compiledRule{a.rule, b.rule}] = true
				c.fail("rules", b.rule.Name, "", "tie", "make one of them more specific, or give one a higher priority",
					"rules %q and %q are equally strong and disagree about %s", a.rule.Name, b.rule.Name, sample)
			}
		}
	}
}

func (r *compiledRule) sameTarget(s *compiledRule) bool {
	return r.pool == s.pool && strings.EqualFold(r.Then.Rep, s.Then.Rep)
}

// common describes a lead that fulfils both variants; ok is false when there is none. Both are in the same group.
func common(a, b *variant) (sample string, ok bool) {
	var words []string
	if a.geo != (place{}) {
		words = append(words, "from "+a.geo.words())
	}
	for i := range a.domains {
		domain, ok := commonDomain(a.domains[i], b.domains[i])
		if !ok {
			return "", false
		}
		words = append(words, "with e-mail domain "+domain)
	}
	for fact := range a.sets {
		if len(a.sets[fact]) == 0 {
			continue
		}
		value, ok := commonValue(fact, a.sets[fact], b.sets[fact])
		if !ok {
			return "", false
		}
		words = append(words, "with "+dimNames[factDims[fact]]+" "+value)
	}
	if len(words) == 0 {
		return "every lead", true
	}
	return "a lead " + strings.Join(words, ", "), true
}

// words is the place in a sentence.
func (p place) words() string {
	parts := []string{p.country}
	if p.region != "" {
		parts = []string{p.region}
	}
	if p.postal != "" {
		parts = append(parts, "postal code "+p.postal)
	}
	return strings.Join(parts, ", ")
}

func commonDomain(a, b domainSet) (string, bool) {
	var found []string
	for domain := range a {
		if b.holds(suffixes(domain)) {
			found = append(found, domain)
		}
	}
	for domain := range b {
		if a.holds(suffixes(domain)) {
			found = append(found, domain)
		}
	}
	if len(found) == 0 {
		return "", false
	}
	return slices.Min(found), true
}

func commonValue(fact int, a, b []string) (string, bool) {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return x, true
			}
			if fact != factLanguage {
				continue
			}
			if strings.HasPrefix(y, x+"-") {
				return y, true
			}
			if strings.HasPrefix(x, y+"-") {
				return x, true
			}
		}
	}
	return "", false
}
