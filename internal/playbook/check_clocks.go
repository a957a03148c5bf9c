package playbook

import (
	"fmt"

	"leadline/internal/routing"
)

// clocks checks that the clocks of a pool fit together, and that somebody is there when one of them is over.
func (c *checker) clocks() {
	for i, p := range c.cfg.Pools {
		path, what := fmt.Sprintf("pools[%d].sla", i), fmt.Sprintf("pool %q", p.Slug)
		for _, pair := range [][2]routing.ClockKind{{routing.ClockSystem, routing.ClockAccept}, {routing.ClockAttempt, routing.ClockContact}} {
			first, then := p.SLA.Target(pair[0]), p.SLA.Target(pair[1])
			if first > 0 && then > 0 && then < first {
				c.fail(path+"."+string(pair[1]), "sla_order", fmt.Sprintf("give %s at least %s", pair[1], short(first)),
					"%s: sla.%s (%s) is over before sla.%s (%s)", what, pair[1], short(then), pair[0], short(first))
			}
		}
		acts := p.SLA.Accept > 0 || p.SLA.Attempt > 0 || p.SLA.Contact > 0
		switch {
		case !p.SLA.Runs() && p.SLA.Act != routing.ActReassign:
			c.warn(path+".act", "sla_unused", "add a time, like first_attempt: 5m, or take act away", "%s: sla.act is given, but no clock", what)
		case acts && p.SLA.Act != routing.ActNone && !c.hasManager(p):
			c.warn(path, "sla_no_manager", "add offer: {manager: E-MAIL}", "%s: nobody is asked when a lead is far too late; there is only an alarm", what)
		}
	}
}

// hasManager tells whether a pool, or one that its leads overflow to, names a manager.
func (c *checker) hasManager(p *routing.Pool) bool {
	seen := map[string]bool{}
	for p != nil && !seen[p.Slug] {
		if p.Offer.Manager != "" {
			return true
		}
		seen[p.Slug] = true
		var next *routing.Pool
		for _, other := range c.cfg.Pools {
			if other.Slug == p.Overflow {
				next = other
			}
		}
		p = next
	}
	return false
}
