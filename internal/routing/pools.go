package routing

import (
	"maps"
	"slices"
	"strings"
)

// Strategies lists every strategy, the default one first.
var Strategies = []Strategy{Weighted, LeastLoaded, LongestIdle, Broadcast, Pull, Fixed}

// addPools checks pools, replaces what they leave out by the defaults, and notes who is in which.
func (c *compiler) addPools(pools []*Pool) {
	for _, given := range pools {
		if c.table.pools[given.Slug] != nil {
			c.fail("pools", given.Slug, "slug", "duplicate", "rename one of them", "there are two pools %q", given.Slug)
			continue
		}
		p := *given
		p.Members = slices.Clone(given.Members)
		c.checkPool(&p)
		c.table.pools[p.Slug] = &p
	}
	for _, slug := range slices.Sorted(maps.Keys(c.table.pools)) {
		c.checkOverflow(c.table.pools[slug])
	}
	for _, p := range c.table.pools {
		for _, m := range p.Members {
			c.table.byRep[m.Rep] = append(c.table.byRep[m.Rep], p.Slug)
		}
		if p.LastResort != "" {
			c.table.byRep[p.LastResort] = append(c.table.byRep[p.LastResort], p.Slug)
		}
		if p.Offer.Manager != "" {
			c.table.byRep[p.Offer.Manager] = append(c.table.byRep[p.Offer.Manager], p.Slug)
		}
	}
	for email, slugs := range c.table.byRep {
		slices.Sort(slugs)
		c.table.byRep[email] = slices.Compact(slugs)
	}
}

func (c *compiler) checkPool(p *Pool) {
	if p.Strategy == "" {
		p.Strategy = Weighted
	}
	if !slices.Contains(Strategies, p.Strategy) {
		c.fail("pools", p.Slug, "strategy", "unknown", "use weighted, least_loaded, longest_idle, broadcast, pull or fixed", "pool %q: there is no strategy %q", p.Slug, p.Strategy)
	}
	switch p.Calendar {
	case "":
		p.Calendar = PoolHours
	case PoolHours, RepHours, NoCalendar:
	default:
		c.fail("pools", p.Slug, "sla.calendar", "unknown", "use pool_hours, rep_hours or none", "pool %q: there is no calendar %q", p.Slug, p.Calendar)
	}
	p.Offer = p.Offer.withDefaults()
	p.SLA = p.SLA.withDefaults()
	p.Reentry = p.Reentry.withDefaults()
	p.LastResort = strings.ToLower(p.LastResort)
	if len(p.Members) == 0 {
		c.fail("pools", p.Slug, "members", "empty", "add members: [{rep: E-MAIL}]", "pool %q has no members", p.Slug)
	}
	seen := map[string]bool{}
	for i := range p.Members {
		m := &p.Members[i]
		m.Rep = strings.ToLower(m.Rep)
		if seen[m.Rep] {
			c.fail("pools", p.Slug, "members", "duplicate", "use weight to give somebody more turns", "pool %q has %s twice", p.Slug, m.Rep)
		}
		seen[m.Rep] = true
		if m.Weight < 0 {
			c.fail("pools", p.Slug, "members", "weight", "leave somebody out to give them no turns", "pool %q: the weight of %s is below zero", p.Slug, m.Rep)
		}
		if m.Weight == 0 {
			m.Weight = 1
		}
	}
}

// checkOverflow refuses unknown overflow pools and rings of them.
func (c *compiler) checkOverflow(p *Pool) {
	if p.Overflow == "" {
		return
	}
	if c.table.pools[p.Overflow] == nil {
		c.fail("pools", p.Slug, "overflow", "unknown", Closest(p.Overflow, slices.Collect(maps.Keys(c.table.pools))), "pool %q: there is no pool %q to overflow into", p.Slug, p.Overflow)
		return
	}
	path := []string{p.Slug}
	for next := c.table.pools[p.Overflow]; next != nil; next = c.table.pools[next.Overflow] {
		path = append(path, next.Slug)
		if next.Slug == p.Slug {
			c.fail("pools", p.Slug, "overflow", "cycle", "let the last of them overflow into nothing", "pool %q overflows in a ring: %s", p.Slug, strings.Join(path, " → "))
			return
		}
		if len(path) > len(c.table.pools) {
			return // the ring is further on and is reported there
		}
	}
}
