package routing

import "slices"

// Rung is a kind of step on the ladder that a lead climbs until somebody takes it.
type Rung string

// The rungs.
const (
	RungPerson     Rung = "person"      // the rep whom a rule names
	RungTurn       Rung = "turn"        // the member whose turn it is
	RungPool       Rung = "pool"        // everybody in the pool
	RungLastResort Rung = "last_resort" // who gets what nobody else could take
	RungManager    Rung = "manager"     // who is asked when nobody is left
)

// Kind is how an offer of this rung is made: exclusive, to one rep, or to a pool.
func (r Rung) Kind() string {
	if r == RungPool {
		return "pool"
	}
	return "exclusive"
}

// step is one rung in one pool. rep is the e-mail address of whom it is for, when that is known beforehand.
type step struct {
	rung Rung
	pool *Pool
	rep  string
}

// ladder lists all steps for leads that belong to a pool, in order. person may be empty.
func (t *Table) ladder(first *Pool, person string) []step {
	var steps []step
	if person != "" {
		steps = append(steps, step{RungPerson, first, person})
	}
	pools := t.Chain(first)
	for _, p := range pools {
		if p.TakesTurns() {
			for range p.turns() {
				steps = append(steps, step{rung: RungTurn, pool: p})
			}
		}
		steps = append(steps, step{rung: RungPool, pool: p})
	}
	steps = append(steps, named(pools, RungLastResort, func(p *Pool) string { return p.LastResort })...)
	return append(steps, named(pools, RungManager, func(p *Pool) string { return p.Offer.Manager })...)
}

// named are the steps to the persons that pools name for a rung, each once.
func named(pools []*Pool, rung Rung, of func(*Pool) string) (steps []step) {
	for _, p := range pools {
		person := of(p)
		if person != "" && !slices.ContainsFunc(steps, func(s step) bool { return s.rep == person }) {
			steps = append(steps, step{rung, p, person})
		}
	}
	return steps
}

// final tells the rungs at the end of every ladder, to which a lead goes when its attempts or its time are used up.
func (r Rung) final() bool { return r == RungLastResort || r == RungManager }

// Chain is a pool and those that its leads overflow to, each once. nil gives none.
func (t *Table) Chain(first *Pool) []*Pool {
	var pools []*Pool
	for p := first; p != nil && !slices.Contains(pools, p); p = t.Pool(p.Overflow) {
		pools = append(pools, p)
	}
	return pools
}

// TakesTurns tells pools that offer to one member first from those that open their leads to all at once.
func (p *Pool) TakesTurns() bool { return p.Strategy != Pull && p.Strategy != Broadcast }

// remaining gives the steps still open to a lead: all of them for one that is new or waits, those after the offer that ended
// otherwise. An offer taken back because of the rep's absence was nobody's answer, so its step is tried again. One that is escalated goes
// to the managers, unless one of them is being asked already.
func remaining(steps []step, c Case) []step {
	last, ok := c.last()
	if c.Escalated {
		if ok && last.Rung == RungManager && last.State == "open" {
			return nil
		}
		return slices.DeleteFunc(steps, func(s step) bool { return s.rung != RungManager })
	}
	if !ok || c.Waits || c.New {
		return steps
	}
	at := slices.IndexFunc(steps, func(s step) bool { return s.rung == last.Rung && s.pool.Slug == last.Pool })
	switch {
	case at < 0: // the configuration has changed: from the start
		return steps
	case last.Rung == RungTurn:
		return steps[at+min(c.turnsHad(last.Pool), steps[at].pool.turns()):]
	case c.Withdrawn:
		return steps[at:]
	}
	return steps[at+1:]
}
