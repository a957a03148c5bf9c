package routing

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// territory is one territory with its place in the tree.
type territory struct {
	Territory
	places   placeSet
	children []*territory
	depth    uint8
	whole    []place // what extent gave
}

// addTerritories reads places and nesting.
func (c *compiler) addTerritories(all []Territory) {
	c.territories = map[string]*territory{}
	for _, given := range all {
		if c.territories[given.Slug] != nil {
			c.fail("territories", given.Slug, "slug", "duplicate", "rename one of them", "there are two territories %q", given.Slug)
			continue
		}
		t := &territory{Territory: given, places: placeSet{at: map[place]bool{}}}
		for _, text := range given.Places {
			p, err := parsePlace(text)
			if err == nil && len(p.postal) > maxPostal {
				c.fail("territories", given.Slug, "places", "place", "shorten the postal code", "territory %q: %q is longer than any postal code", given.Slug, text)
				continue
			}
			if err != nil {
				c.fail("territories", given.Slug, "places", "place", "write it like DE, DE-BY or DE:10", "territory %q: %v", given.Slug, err)
				continue
			}
			if p.unknownRegion() {
				c.warn("territories", given.Slug, "places", "unknown_region", "use a code of ISO 3166-2", "territory %q: %s has no region %s, so no lead is in it", given.Slug, p.country, p.region)
			}
			t.places.add(p)
		}
		c.territories[given.Slug] = t
	}
	for _, slug := range slices.Sorted(maps.Keys(c.territories)) {
		c.nest(c.territories[slug])
	}
	for _, slug := range slices.Sorted(maps.Keys(c.territories)) {
		c.checkTerritory(c.territories[slug])
	}
}

// nest finds the territory's parent and depth, and refuses rings.
func (c *compiler) nest(t *territory) {
	if t.Within == "" {
		return
	}
	parent := c.territories[t.Within]
	if parent == nil {
		c.fail("territories", t.Slug, "within", "unknown", Closest(t.Within, slices.Collect(maps.Keys(c.territories))), "territory %q: there is no territory %q to be within", t.Slug, t.Within)
		return
	}
	path := []string{t.Slug}
	for up := parent; up != nil; up = c.territories[up.Within] {
		path = append(path, up.Slug)
		t.depth++
		if up == t {
			c.fail("territories", t.Slug, "within", "cycle", "let the outermost be within nothing", "territory %q lies within itself: %s", t.Slug, strings.Join(path, " → "))
			return
		}
		if len(path) > len(c.territories) {
			return // the ring is further out and is reported there
		}
	}
	parent.children = append(parent.children, t)
}

func (c *compiler) checkTerritory(t *territory) {
	if len(t.Places) == 0 && len(t.children) == 0 {
		c.fail("territories", t.Slug, "places", "empty", "add places: [DE] or remove it", "territory %q has no places", t.Slug)
	}
	parent := c.territories[t.Within]
	if parent == nil || len(parent.places.all) == 0 {
		return
	}
	for _, p := range t.places.all {
		if !parent.places.covers(p) && !parent.places.unsure(p) {
			c.warn("territories", t.Slug, "places", "outside", "add the place to the territory around it", "territory %q: %s lies outside of %q, which is to contain it", t.Slug, p, parent.Slug)
		}
	}
}

// extent gives the places of a territory: its own and, for what these leave open, those of the territories within it.
func (t *territory) extent() []place {
	if t.whole != nil {
		return t.whole
	}
	t.whole = slices.Clone(t.places.all)
	for _, child := range t.children {
		for _, p := range child.extent() {
			if !t.places.covers(p) {
				t.whole = append(t.whole, p)
			}
		}
	}
	return t.whole
}

// geography is one way to fulfil the places of a condition, and how specific that is.
type geography struct {
	place
	vec vector
}

// geographies gives every way in which a lead can fulfil what a rule says about places. No condition is one way: anywhere.
func (c *compiler) geographies(rule, at string, w Condition) []geography {
	ways := []geography{{}}
	if len(w.Territory) > 0 {
		ways = combine(ways, c.territoryWays(rule, at, w.Territory))
	}
	for _, asked := range []struct {
		key   string
		texts []string
	}{{"postal_code", w.Postal}, {"region", w.Region}, {"country", w.Country}} {
		if len(asked.texts) > 0 {
			ways = combine(ways, c.placeWays(rule, at, asked.key, asked.texts))
		}
	}
	if len(ways) == 0 && c.errors == 0 {
		c.fail("rules", rule, at, "contradiction", "remove one of the conditions", "rule %q asks for places that have nothing in common", rule)
	}
	return ways
}

func (c *compiler) territoryWays(rule, at string, slugs []string) []geography {
	var ways []geography
	for _, slug := range slugs {
		t := c.territories[slug]
		if t == nil {
			c.fail("rules", rule, at+".territory", "unknown", Closest(slug, slices.Collect(maps.Keys(c.territories))), "rule %q: there is no territory %q", rule, slug)
			continue
		}
		if c.errors > 0 {
			continue // a ring of territories has no extent
		}
		for _, p := range t.extent() {
			way := geography{place: p, vec: p.vector()}
			way.vec[dimNesting] = t.depth
			ways = append(ways, way)
		}
	}
	return ways
}

// placesOf says how a place is written under each key that takes them.
var placesOf = map[string]string{
	"postal_code": "country with the start of a postal code, like DE:10", "region": "region like DE-BY", "country": "country like DE",
}

// readPlace reads a place as one of the keys of placesOf takes it.
func readPlace(key, text string) (place, error) {
	p, err := parsePlace(text)
	right := key == "postal_code" && p.postal != "" || key == "region" && p.region != "" || key == "country" && p.region == "" && p.postal == ""
	if err == nil && (!right || len(p.postal) > maxPostal) {
		err = fmt.Errorf("%q is no %s", text, placesOf[key])
	}
	return p, err
}

func (c *compiler) placeWays(rule, at, key string, texts []string) []geography {
	var ways []geography
	for _, text := range texts {
		p, err := readPlace(key, text)
		if err != nil {
			c.fail("rules", rule, at+"."+key, "place", "name a "+placesOf[key], "rule %q: %v", rule, err)
			continue
		}
		if p.unknownRegion() {
			c.warn("rules", rule, at+"."+key, "unknown_region", "use a code of ISO 3166-2", "rule %q: %s has no region %s, so no lead is in it", rule, p.country, p.region)
		}
		ways = append(ways, geography{place: p, vec: p.vector()})
	}
	return ways
}

// vector is how specific a single place is.
func (p place) vector() vector {
	var v vector
	switch {
	case p.postal != "":
		v[dimPostal] = uint8(len(p.postal)) //nolint:gosec // at most maxPostal
	case p.region != "":
		v[dimRegion] = 1
	case p.country != "":
		v[dimCountry] = 1
	}
	return v
}

// combine gives the ways to be in a place of both; pairs that exclude each other fall out.
func combine(a, b []geography) []geography {
	var both []geography
	for _, x := range a {
		for _, y := range b {
			if way, ok := x.and(y); ok {
				both = append(both, way)
			}
		}
	}
	return both
}

func (g geography) and(h geography) (geography, bool) {
	if g.country != "" && h.country != "" && g.country != h.country || g.region != "" && h.region != "" && g.region != h.region {
		return geography{}, false
	}
	if len(g.postal) < len(h.postal) {
		g.postal, h.postal = h.postal, g.postal
	}
	if !strings.HasPrefix(g.postal, h.postal) {
		return geography{}, false
	}
	g.country = max(g.country, h.country)
	g.region = max(g.region, h.region)
	for dim := range g.vec {
		g.vec[dim] = max(g.vec[dim], h.vec[dim])
	}
	return g, true
}
