package routing

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"leadline/internal/rep"
)

// change is a Change that can be tried. Of those with the same instead only one can be.
type change struct {
	Change
	instead string
	apply   func(*situation)
}

func newChange(code, instead string, apply func(*situation), format string, args ...any) change {
	return change{Change{code, fmt.Sprintf(format, args...)}, instead, apply}
}

// obstacles are what stands in the way of the person: each change takes one of them away.
func obstacles(s situation, email string) []change {
	p := s.w.People[email]
	var all []change
	add := func(blocked bool, code string, apply func(*Person), format string, args ...any) {
		if blocked {
			all = append(all, newChange(code, code, func(s *situation) { apply(s.w.People[email]) }, format, args...))
		}
	}
	add(!p.Active, "active", func(p *Person) { p.Active = true }, "being active")
	add(!p.TakesOffers(), "presence", func(p *Person) { p.Presence = rep.Available }, "available instead of %s", p.Presence)
	add(!p.Status.Working(), string(p.Status.Code), func(p *Person) { p.Status = rep.Status{} }, "not being %s", p.Status.Words())
	add(!p.Reachable(s.w.Now), "reachable", func(p *Person) { p.PresenceBy = rep.ByAPI }, "a console open")
	load, limits := spare(s.t, email, p.Load, s.c.ask())
	for _, o := range limits {
		add(true, string(o.code), func(p *Person) { p.Load = load }, "%s fewer: %s", o.amount(), o.words)
	}
	pools := s.t.Chain(s.t.Home(*s.c.Decided, s.c.Facts))
	for _, slug := range s.t.PoolsOf(email) {
		pools = append(pools, s.t.Pool(slug))
	}
	for _, tag := range lacking(pools, p.Rep, s.c.ask().needs) {
		add(true, "tag "+tag, func(p *Person) { p.Tags += " " + tag }, "the tag %s", tag)
	}
	if s.c.had(p.ID) {
		all = append(all, newChange("offered", "offered", func(s *situation) {
			for i := range s.c.Past {
				if s.c.Past[i].Rep == p.ID {
					s.c.Past[i].Rep = [16]byte{}
				}
			}
		}, "not having been offered it before"))
	}
	return all
}

// spare is the most that a rep may have in hand so that none of their pools' limits is in the way, and which limits are.
func spare(t *Table, email string, l Load, a ask) (Load, []obstacle) {
	var reached []obstacle
	for _, slug := range t.PoolsOf(email) {
		m := t.Pool(slug).member(email)
		for o := m.reached(ofMember, l, a); o.code != rep.Able; o = m.reached(ofMember, l, a) {
			if o.over > o.have {
				break // the lead alone is more than they may ever have
			}
			if !slices.ContainsFunc(reached, func(r obstacle) bool { return r.code == o.code }) {
				reached = append(reached, o)
			}
			if code, points := strings.CutSuffix(string(o.code), byPoints); points {
				l.Points = l.Points.lighter(rep.Code(code), o.over)
			} else {
				l.Tally = l.lighter(o.code, o.over)
			}
		}
	}
	return l, reached
}

// lighter takes leads off what a limit looks at, live offers last: they count in every one.
func (t Tally) lighter(code rep.Code, n int) Tally {
	take := func(from *int) {
		d := min(n, *from)
		*from, n = *from-d, n-d
	}
	switch code {
	case CodeOpen, CodeReserved, CodeUncontacted:
		take(&t.Uncontacted)
	case CodePerHour:
		take(&t.Hour)
	case CodePerDay:
		take(&t.Day)
	case CodePerWeek:
		take(&t.Week)
	}
	take(&t.Offers)
	return t
}

// lacking are the tags that a lead and pools need and a rep does not have.
func lacking(pools []*Pool, r rep.Rep, needs []string) []string {
	tags := lacks(r, needs)
	for _, p := range pools {
		for _, tag := range lacks(r, p.Needs) {
			if !slices.Contains(tags, tag) {
				tags = append(tags, tag)
			}
		}
	}
	return tags
}

// amount is how much less there had to be of what a limit counts.
func (o obstacle) amount() string {
	if !strings.HasSuffix(string(o.code), byPoints) {
		return leads(o.over)
	}
	if o.over == 1 {
		return "one point"
	}
	return fmt.Sprintf("%d points", o.over)
}

func leads(n int) string {
	if n == 1 {
		return "one lead"
	}
	return fmt.Sprintf("%d leads", n)
}

// circumstances are what else could have been otherwise: rules, pools, turns, and how far the lead had come. The least far-reaching come
// first.
func circumstances(s situation, email string) []change {
	var all []change
	chain := s.t.Chain(s.t.Home(*s.c.Decided, s.c.Facts))
	for _, p := range chain {
		if slices.ContainsFunc(p.Members, func(m Member) bool { return m.Rep == email }) {
			for _, c := range turns(s, p, email) {
				if !slices.ContainsFunc(all, func(o change) bool { return o.Change == c.Change }) { // fewer leads are fewer in every pool
					all = append(all, c)
				}
			}
		}
		if p.member(email).Overflow {
			first := edit(p.Slug, func(p *Pool) {
				p.Members = slices.Clone(p.Members)
				p.Members[slices.IndexFunc(p.Members, func(m Member) bool { return m.Rep == email })].Overflow = false
			})
			all = append(all, newChange("first_line", "first_line "+p.Slug, first, "being in the first line of the pool %q", p.Slug))
		}
		if o := s.w.full(p, s.c.ask()); o.code != rep.Able && o.over <= o.have {
			below := func(s *situation) {
				for _, key := range p.Quotas() {
					delete(s.w.Pools, key)
				}
			}
			all = append(all, newChange(string(o.code), "quota "+p.Slug, below, "%s fewer in the pool %q: %s", o.amount(), p.Slug, o.words))
		}
		if !p.Hours.Open(s.w.Now) {
			all = append(all, newChange("pool_hours", "pool_hours "+p.Slug, edit(p.Slug, func(p *Pool) { p.Hours = rep.Hours{} }), "the pool %q open at that time", p.Slug))
		}
	}
	if len(s.c.Past) > 0 {
		all = append(all, newChange("earlier", "earlier", func(s *situation) {
			s.c.New, s.c.Waits, s.c.Withdrawn, s.c.Attempt, s.c.Past = true, false, false, 0, nil
		}, "no offers of it to others before"))
	}
	all = append(all, otherRules(s, email)...)
	if len(chain) > 0 && chain[0].member(email).Rep == "" {
		join := edit(chain[0].Slug, func(p *Pool) {
			p.Members = append(slices.Clone(p.Members), Member{Rep: email, Weight: 1})
		})
		all = append(all, newChange("member", "member", join, "being a member of the pool %q", chain[0].Slug))
	}
	return all
}

// otherRules are the decisions that would have led to a rep: one for each of their pools, and one that names them.
func otherRules(s situation, email string) []change {
	var all []change
	rules := s.t.Rules()
	to := func(d Decision) func(*situation) {
		return func(s *situation) {
			s.c.Decided.Band, s.c.Decided.Pool, s.c.Decided.Rep = string(Match), d.Pool, d.Rep
			s.c.New, s.c.Waits, s.c.Withdrawn, s.c.Attempt, s.c.Past = true, false, false, 0, nil
		}
	}
	if s.c.Decided.Band == string(BandOwner) {
		all = append(all, newChange("owner", "rule", to(Decision{Pool: s.c.Decided.Pool}), "nobody having the person or company already"))
	}
	for _, slug := range s.t.PoolsOf(email) {
		if slug == s.c.Decided.Pool && s.c.Decided.Rep == "" {
			continue
		}
		what := fmt.Sprintf("a rule that leads to the pool %q", slug)
		if i := slices.IndexFunc(rules, func(r Rule) bool { return r.Then.Pool == slug && r.Then.Rep == "" }); i >= 0 {
			what = fmt.Sprintf("the rule %q, which leads to the pool %q", rules[i].Name, slug)
		}
		all = append(all, newChange("rule", "rule", to(Decision{Pool: slug}), "%s", what))
	}
	if s.c.Decided.Rep != email {
		what := "a rule that names them"
		if i := slices.IndexFunc(rules, func(r Rule) bool { return r.Then.Rep == email }); i >= 0 {
			what = fmt.Sprintf("the rule %q, which names them", rules[i].Name)
		}
		all = append(all, newChange("rule", "rule", to(Decision{Pool: s.c.Decided.Pool, Rep: email}), "%s", what))
	}
	return all
}

// turns are the changes that bring a member to the front of a pool's line, by its strategy.
func turns(s situation, p *Pool, email string) []change {
	at := slices.IndexFunc(p.Members, func(m Member) bool { return m.Rep == email })
	code := "turns " + p.Slug
	turn := func(apply func(*Turn)) func(*situation) {
		return func(s *situation) {
			s.w.Turns = maps.Clone(s.w.Turns)
			line := maps.Clone(s.w.Turns[p.TurnsKey()])
			if line == nil {
				line = map[string]Turn{}
			}
			t := line[email]
			apply(&t)
			line[email] = t
			if s.w.Turns == nil {
				s.w.Turns = map[string]map[string]Turn{}
			}
			s.w.Turns[p.TurnsKey()] = line
		}
	}
	switch p.Strategy {
	case Weighted:
		var all []change
		for n := 1; n <= 2*maxCredit+1; n++ {
			what := fmt.Sprintf("%d more turns in hand in the pool %q", n, p.Slug)
			if n == 1 {
				what = fmt.Sprintf("one more turn in hand in the pool %q", p.Slug)
			}
			all = append(all, newChange("turns", code, turn(func(t *Turn) { t.Credit, t.Joined = t.Credit+float64(n), true }), "%s", what))
		}
		return all
	case LongestIdle:
		return []change{newChange("waited", code, turn(func(t *Turn) { t.LastAt = time.Time{} }), "no lead from the pool %q before", p.Slug)}
	case LeastLoaded:
		var all []change
		for n := range s.w.People[email].Load.Open() {
			lighter := func(s *situation) { s.w.People[email].Load.Tally = s.w.People[email].Load.lighter(CodeOpen, n+1) }
			all = append(all, newChange("load", code, lighter, "%s fewer open than they had", leads(n+1)))
		}
		return all
	case Fixed:
		first := edit(p.Slug, func(p *Pool) {
			m := p.Members[at]
			p.Members = slices.Insert(slices.Delete(slices.Clone(p.Members), at, at+1), 0, m)
		})
		return []change{newChange("order", code, first, "the first place in the order of the pool %q", p.Slug)}
	}
	return nil
}

// edit changes a pool in a copy of the table.
func edit(slug string, f func(*Pool)) func(*situation) {
	return func(s *situation) {
		p := *s.t.Pool(slug)
		f(&p)
		changed := *s.t
		changed.pools = maps.Clone(s.t.pools)
		changed.pools[slug] = &p
		s.t = &changed
	}
}
