package main

import (
	"context"
	"fmt"
)

// spread is a way in which leads spread over pools and servers, and how soon 95 of 100 of them must be offered.
type spread struct {
	name    string
	layout  layout
	servers int
	bound   float64 // ms
}

// layouts are what the promise about offers is made for.
func layouts() []spread {
	const members = 10
	many, one := layout{members: members}, layout{pools: []benchPool{{name: fallback, countries: []string{"US"}}}, members: members}
	for _, product := range products() {
		for _, p := range regions() {
			if product != products()[0] {
				p.name += "-" + product
			}
			p.product = product
			many.pools = append(many.pools, p)
		}
	}
	return []spread{
		{"twenty pools of ten", many, 1, 5}, {"one pool of ten", one, 1, 5}, {"twenty pools, two servers", many, 2, 15},
	}
}

// products are what people of these rows ask for; half of them for each.
func products() []string { return []string{"platform", "support"} }

// dispatch measures how long leads take from being stored to their first offer, with the real rules, turns and records. There is no CRM:
// its calls would be measured too.
func (b *bench) dispatch(ctx context.Context, out *result) error {
	for _, l := range layouts() {
		s, err := b.launch(ctx, &system{b: b}, "dispatch", l.servers, l.layout)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("to the offer, %s, %.0f/s", l.name, b.plan.dispatch)
		m, err := s.step(ctx, out, name, order{Rate: b.plan.dispatch, Products: products()}, b.plan.warm, b.plan.steady)
		s.stop()
		if err != nil {
			return err
		}
		out.dispatch = append(out.dispatch, m)
	}
	return nil
}
