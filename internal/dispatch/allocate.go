package dispatch

import (
	"fmt"

	"leadline/internal/lead"
	"leadline/internal/routing"
)

// allocate finds a place for every task, in order: each sees what those before it took.
//
// It is the one part that runs rules on what a visitor sent. A panic there is a bug, but it must cost one lead a detour and
// not stop everybody's: it comes back as an error, and the batch is taken apart.
func (w *world) allocate(batch []*task) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &poisonError{fmt.Errorf("allocate: %v", r)}
		}
	}()
	for _, t := range batch {
		out := routing.Place(w.table, &w.World, t.asCase())
		if !t.decided {
			t.trace = out.Considered
		}
		if out.Overflowed {
			t.cause = causeOverflow
		}
		t.to = placed(out.Place)
		if t.to != nil && t.to.rung == routing.RungTurn {
			w.rows[w.table.Pool(t.to.pool).TurnsKey()].dirty = true
		}
	}
	return nil
}

// asCase is the lead as routing sees it. Its decision is taken by then.
func (t *task) asCase() routing.Case {
	return routing.Case{
		Facts: t.facts, Decided: &t.decision, New: t.stage == lead.StageNew, Waits: t.stage == lead.StageWaiting,
		Withdrawn: t.takenBack(), Pool: t.pool, Past: t.history, Attempt: t.attempt, Company: t.company,
	}
}

func placed(p *routing.Placement) *placement {
	switch {
	case p == nil:
		return nil
	case p.Waiting:
		return &placement{stage: lead.StageWaiting, pool: p.Pool}
	}
	to := &placement{stage: lead.StageOffered, pool: p.Pool, rung: p.Rung, terms: p.Terms}
	if p.Rep != nil {
		id := p.Rep.ID
		to.repID = &id
	}
	return to
}
