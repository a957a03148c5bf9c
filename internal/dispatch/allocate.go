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
		w.giveBack(t)
		var out routing.Outcome
		out, t.record = routing.PlaceAndRecord(t.under.table, t.under.hash, &w.World, t.asCase())
		if out.Overflowed {
			t.cause = causeOverflow
		}
		t.alarm = out.Alarm
		t.to = placed(out.Place)
		if t.to != nil && t.to.rung == routing.RungTurn {
			w.rows[t.under.table.Pool(t.to.pool).TurnsKey()].dirty = true
		}
	}
	return nil
}

// giveBack returns the turn of a rep who passed for a reason that is not theirs.
func (w *world) giveBack(t *task) {
	pool := t.under.table.Pool(t.ended.Pool)
	if pool == nil || t.ended.Rung != routing.RungTurn || !t.declined.ReturnsTurn() {
		return
	}
	row := w.rows[pool.TurnsKey()]
	for email, who := range w.People {
		if row != nil && who.ID == t.ended.Rep && w.ReturnTurn(pool, email) {
			t.returned, row.dirty = row.key, true
		}
	}
}

// asCase is the lead as routing sees it. Its decision is taken by then.
func (t *task) asCase() routing.Case {
	return routing.Case{
		Facts: t.facts, Decided: &t.decision, Routed: t.decided && !t.overruled, New: t.stage == lead.StageNew, Waits: t.stage == lead.StageWaiting,
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
	to := &placement{stage: lead.StageOffered, pool: p.Pool, rung: p.Rung, terms: p.Terms, screen: p.Screen}
	if p.Rep != nil {
		id := p.Rep.ID
		to.repID = &id
	}
	return to
}
