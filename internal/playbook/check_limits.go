package playbook

import (
	"fmt"
	"slices"
	"strings"

	"leadline/internal/routing"
)

// groups warns of limits that no pool shares.
func (c *checker) groups() {
	var named []string
	for _, p := range c.cfg.Pools {
		named = append(named, p.Group)
	}
	for i, g := range c.cfg.Groups {
		if !slices.Contains(named, g.Slug) {
			c.warn(fmt.Sprintf("groups[%d].slug", i), "unused_group", "write group: "+g.Slug+" at the pools that share these limits, or remove it", "no pool belongs to the group %q", g.Slug)
		}
	}
}

// points warns of rules whose leads count more points than anybody who could get them may ever have.
func (c *checker) points() {
	at := map[string]*routing.Pool{}
	for _, p := range c.cfg.Pools {
		at[p.Slug] = p
	}
	for i, r := range c.cfg.Rules {
		p := at[r.Then.Pool]
		if r.Then.Points < 2 || p == nil || len(p.Members) == 0 {
			continue
		}
		most := 0 // zero: no limit
		for j, m := range p.Members {
			one := leastLimit(m.CapPoints)
			if j == 0 || one == 0 || most > 0 && one > most {
				most = one
			}
			if most == 0 {
				break
			}
		}
		for _, limit := range []int{leastLimit(p.Quota.CapPoints), leastLimit(p.GroupQuota.CapPoints)} {
			if limit > 0 && (most == 0 || limit < most) {
				most = limit
			}
		}
		if most > 0 && r.Then.Points > most {
			c.warn(fmt.Sprintf("rules[%d].then.points", i), "points_unmet", "raise cap_points, or give the leads fewer points",
				"rule %q: its leads count %d points each, and nobody in the pool %q may have more than %d", r.Name, r.Then.Points, p.Slug, most)
		}
	}
}

// leastLimit is the smallest of some limits; zero: there is none.
func leastLimit(c routing.Caps) int {
	least := 0
	for _, limit := range []int{c.Open, c.Offers, c.Uncontacted, c.PerHour, c.PerDay, c.PerWeek} {
		if limit > 0 && (least == 0 || limit < least) {
			least = limit
		}
	}
	return least
}

// listed names several things: "a, b and c".
func listed(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
