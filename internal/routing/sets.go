package routing

import (
	"maps"
	"slices"
	"strings"
)

// addSets checks named sets. Values of places are checked here, so that each mistake is told once and not for every rule.
func (c *compiler) addSets(sets []Set) {
	c.sets = make(map[string]Set, len(sets))
	for _, s := range sets {
		if _, twice := c.sets[s.Slug]; twice {
			c.fail("sets", s.Slug, "slug", "duplicate", "rename one of them", "there are two sets %q", s.Slug)
			continue
		}
		if !slices.Contains(SetDimensions(), s.Dimension) {
			c.fail("sets", s.Slug, "dimension", "unknown", "use "+strings.Join(SetDimensions(), ", "), "set %q: there is no dimension %q", s.Slug, s.Dimension)
		}
		if len(s.Values) == 0 {
			c.fail("sets", s.Slug, "values", "empty", "add values or remove it", "set %q is empty", s.Slug)
		}
		for _, text := range s.Values {
			c.checkMember(s, text)
		}
		c.sets[s.Slug] = s
	}
}

func (c *compiler) checkMember(s Set, text string) {
	if text == "" {
		c.fail("sets", s.Slug, "values", "missing", "remove it", "set %q has an empty value", s.Slug)
		return
	}
	if placesOf[s.Dimension] != "" {
		if _, err := readPlace(s.Dimension, text); err != nil {
			c.fail("sets", s.Slug, "values", "place", "name a "+placesOf[s.Dimension], "set %q: %v", s.Slug, err)
		}
	}
	if s.Dimension == "phone_country" {
		if err := checkCountry(text); err != nil {
			c.fail("sets", s.Slug, "values", "place", "name a country like DE", "set %q: %v", s.Slug, err)
		}
	}
	if s.Dimension == "domain" {
		if _, err := parseDomain(text); err != nil {
			c.fail("sets", s.Slug, "values", "domain", "write it like acme.example", "set %q: %v", s.Slug, err)
		}
	}
}

// expand puts the values of sets into the dimensions that they are about.
func (c *compiler) expand(rule, at string, w Condition) Condition {
	parts := w.parts()
	for _, slug := range w.Set {
		s, known := c.sets[slug]
		if !known {
			c.fail("rules", rule, at+".set", "unknown", Closest(slug, slices.Collect(maps.Keys(c.sets))), "rule %q: there is no set %q", rule, slug)
			continue
		}
		for _, p := range parts {
			if p.key == s.Dimension {
				*p.values = append(slices.Clip(*p.values), s.Values...)
			}
		}
	}
	w.Set = nil
	return w
}

// ways gives the conditions of which one must be fulfilled: what the rule asks for, together with each of its further rows.
func (c *compiler) ways(r Rule) []Condition {
	when := c.expand(r.Name, "when", r.When)
	if len(r.Any) == 0 {
		return []Condition{when}
	}
	var ways []Condition
	for i, further := range r.Any {
		at := "any"
		if further.empty() {
			c.fail("rules", r.Name, at, "empty", "remove the row, or write what it asks for", "rule %q: row %d of any asks for nothing", r.Name, i+1)
			continue
		}
		both := when
		further = c.expand(r.Name, at, further)
		into := both.parts()
		for j, p := range further.parts() {
			switch {
			case len(*p.values) == 0:
			case len(*into[j].values) > 0:
				c.fail("rules", r.Name, at, "twice", "write it in one of them", "rule %q asks for %s in when and in any", r.Name, p.key)
			default:
				*into[j].values = *p.values
			}
		}
		ways = append(ways, both)
	}
	return ways
}
