package dispatch

import (
	"slices"

	"leadline/internal/lead"
	"leadline/internal/routing"
)

// rung is a kind of step on the ladder that a lead climbs until somebody takes it.
type rung string

const (
	rungPerson     rung = "person"      // the rep whom a rule names
	rungTurn       rung = "turn"        // the member whose turn it is
	rungPool       rung = "pool"        // everybody in the pool
	rungLastResort rung = "last_resort" // who gets what nobody else could take
)

func (r rung) kind() string {
	if r == rungPool {
		return "pool"
	}
	return "exclusive"
}

// step is one rung in one pool. rep is the e-mail address of whom it is for, when that is known beforehand.
type step struct {
	rung rung
	pool *routing.Pool
	rep  string
}

// ladder lists all steps for leads that belong to a pool, in order. person may be empty.
func ladder(table *routing.Table, first *routing.Pool, person string) []step {
	var steps []step
	if person != "" {
		steps = append(steps, step{rungPerson, first, person})
	}
	pools := chain(table, first)
	for _, p := range pools {
		if takesTurns(p) {
			steps = append(steps, step{rung: rungTurn, pool: p})
		}
		steps = append(steps, step{rung: rungPool, pool: p})
	}
	var asked []string
	for _, p := range pools {
		if p.LastResort != "" && !slices.Contains(asked, p.LastResort) {
			asked = append(asked, p.LastResort)
			steps = append(steps, step{rungLastResort, p, p.LastResort})
		}
	}
	return steps
}

// chain is a pool and those that its leads overflow to, each once.
func chain(table *routing.Table, first *routing.Pool) []*routing.Pool {
	var pools []*routing.Pool
	for p := first; p != nil && !slices.Contains(pools, p); p = table.Pool(p.Overflow) {
		pools = append(pools, p)
	}
	return pools
}

// takesTurns tells pools that offer to one member first from those that open their leads to all at once.
func takesTurns(p *routing.Pool) bool {
	return p.Strategy != routing.Pull && p.Strategy != routing.Broadcast
}

// remaining gives the steps still open to a task: all of them for a lead that is new or waits, those after the offer that ended
// otherwise. An offer taken back because of the rep's absence was nobody's answer, so its step is tried again.
func remaining(steps []step, t *task) []step {
	last, ok := t.last()
	if !ok || t.stage != lead.StageOffered {
		return steps
	}
	at := slices.IndexFunc(steps, func(s step) bool { return s.rung == last.rung && s.pool.Slug == last.pool })
	switch {
	case at < 0: // the configuration has changed: from the start
		return steps
	case t.endState == stateWithdrawn:
		return steps[at:]
	}
	return steps[at+1:]
}
