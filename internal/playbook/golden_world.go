package playbook

import (
	"fmt"
	"slices"

	"leadline/internal/rep"
	"leadline/internal/routing"
)

// Circumstances are what a test says of people and pools. Whoever is not named is available, reachable, has nothing in hand, and works if
// hours, dates and holidays say so at the time of the test. Nobody has had a turn yet.
type Circumstances struct {
	Away      []string // e-mail addresses of people whose presence is away
	Leave     []string // of people on leave
	Full      []string // of people who are at all of their limits
	FullPools []string // slugs of pools that are at all of their limits, and those of their group
}

func (w Circumstances) empty() bool {
	return len(w.Away)+len(w.Leave)+len(w.Full)+len(w.FullPools) == 0
}

// placed tells tests about who gets a lead, and not only about the rules.
func (t Test) placed() bool {
	return t.Expect.To != "" || t.Expect.Stage != "" || t.Expect.In != "" || !t.With.empty()
}

// circumstances reads what a test says of people and pools.
func (b *builder) circumstances(path, what string, d *testDoc, t *Test) {
	for key, emails := range map[string][]string{"away": d.With.Away, "leave": d.With.Leave, "full": d.With.Full} {
		for i := range emails {
			b.email(path+".with."+key, what, &emails[i])
		}
	}
	t.With = Circumstances{d.With.Away, d.With.Leave, d.With.Full, d.With.FullPools}
	t.Expect.To, t.Expect.In, t.Expect.Stage = b.email(path+".expect.to", what, &d.Expect.To), d.Expect.In, d.Expect.Stage
	if t.Expect.Stage != "" {
		b.known(path+".expect.stage", what+": expect.stage", []string{t.Expect.Stage}, stageOffered, stageWaiting)
	}
	switch {
	case !t.placed():
	case t.At.IsZero():
		b.fail(path, "missing", "add at: 2026-12-01T10:00:00Z", "%s is about who gets the lead, but does not say when it comes", what)
	case t.Expect.To == "" && t.Expect.Stage == "" && t.Expect.In == "":
		b.fail(path+".with", "unused", "expect to, stage or in too", "%s says who is there, but expects nothing that follows from it", what)
	}
}

// The stages that a test can expect: the lead is offered to somebody or to a pool, or it waits.
const (
	stageOffered = "offered"
	stageWaiting = "waiting"
)

// full is more than any limit lets through.
const full = 1 << 20

// placements runs the tests about who gets a lead. Tests about people of whom nothing is known are left out: they are named among the unknown,
// and run where the database knows them.
func (c *checker) placements(table *routing.Table, s staff) {
	for i, test := range c.cfg.Tests {
		form := c.cfg.form(test.Form)
		if form == nil || !test.placed() {
			continue
		}
		g, err := test.golden(form)
		if err != nil {
			continue // told by golden
		}
		path := fmt.Sprintf("tests[%d]", i)
		g.facts.AcceptedAt = g.at
		w, ok := c.world(path, table, g, s)
		if !ok {
			continue
		}
		out := routing.Place(table, w, routing.Case{Facts: g.facts, New: true})
		for _, part := range test.Expect.misplaced(out) {
			c.fail(path+".expect."+part.key, "golden", "change the configuration or the test", "test %q expects %s %s, but it is %s", test.Name, part.key, part.want, part.got)
		}
	}
}

// misplaced lists what becomes of a lead otherwise than expected.
func (e Expectation) misplaced(out routing.Outcome) []miss {
	to, in, stage := "nobody", "nowhere", stageWaiting
	if p := out.Place; p != nil {
		if in = p.Pool; !p.Waiting {
			stage = stageOffered
		}
		if p.Rep != nil {
			to = p.Rep.Email
		} else if !p.Waiting {
			to = "everybody in the pool"
		}
	}
	return slices.DeleteFunc([]miss{{"to", e.To, to}, {"stage", e.Stage, stage}, {"in", e.In, in}}, func(m miss) bool { return m.want == "" || m.want == m.got })
}

// world is what a test says of people and pools, as a placement reads it. ok is false when somebody who could be asked is not known, or the
// test says something that cannot be.
func (c *checker) world(path string, table *routing.Table, g goldenLead, s staff) (w *routing.World, ok bool) {
	w = &routing.World{Now: g.at, People: map[string]*routing.Person{}, Turns: map[string]map[string]routing.Turn{}, Pools: map[string]routing.Load{}}
	roster := rep.BuildRoster(nil, nil, c.cfg.Calendars, g.at)
	d := table.Decide(g.facts, g.at)
	asked := []string{d.Rep}
	for _, p := range table.Chain(table.Home(d, g.facts)) {
		asked = append(asked, p.LastResort, p.Offer.Manager)
		for _, m := range p.Members {
			asked = append(asked, m.Rep)
		}
	}
	for _, email := range slices.Concat(asked, g.With.Away, g.With.Leave, g.With.Full) {
		r, known := s[email]
		if email == "" {
			continue
		}
		if !known {
			return nil, false
		}
		r.Presence, r.PresenceBy, r.PresenceReason = rep.Available, rep.ByAPI, ""
		p := &routing.Person{Rep: r, Status: roster.At(r, g.at)}
		if slices.Contains(g.With.Away, email) {
			p.Presence = rep.Away
		}
		if slices.Contains(g.With.Leave, email) {
			p.Status = rep.Status{Code: rep.OnLeave}
		}
		if slices.Contains(g.With.Full, email) {
			p.Load = loaded()
		}
		w.People[email] = p
	}
	return w, c.fill(path, table, g, w)
}

// fill notes which pools are at their limits, and refuses limits that nobody has.
func (c *checker) fill(path string, table *routing.Table, g goldenLead, w *routing.World) bool {
	ok := true
	for _, slug := range g.With.FullPools {
		p := table.Pool(slug)
		if p == nil || len(p.Quotas()) == 0 {
			c.fail(path+".with.full_pools", "unused", "name a pool that has limits, or whose group has", "test %q: the pool %q has no limits that it could be at", g.Name, slug)
			ok = false
			continue
		}
		for _, key := range p.Quotas() {
			w.Pools[key] = loaded()
		}
	}
	for _, email := range g.With.Full {
		limited := func(p *routing.Pool) bool {
			return slices.ContainsFunc(p.Members, func(m routing.Member) bool { return m.Rep == email && m.Limited() })
		}
		if !slices.ContainsFunc(table.Pools(), limited) {
			c.fail(path+".with.full", "unused", "name somebody with limits", "test %q: %s has no limits to be at", g.Name, email)
			ok = false
		}
	}
	return ok
}

func loaded() routing.Load {
	t := routing.Tally{Offers: full, Uncontacted: full, Hour: full, Day: full, Week: full}
	return routing.Load{Tally: t, Points: t}
}
