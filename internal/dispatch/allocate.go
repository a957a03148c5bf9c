package dispatch

import (
	"fmt"

	"github.com/google/uuid"

	"leadline/internal/credit"
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
		t.decision, t.passed = out.Decision, w.passes(t, &out)
		switch {
		case out.Overflowed:
			t.cause = causeOverflow
		case out.Place != nil && out.Place.Kept:
			t.cause = causeKept
		}
		t.alarm = out.Alarm
		t.to = placed(out.Place)
		if t.to != nil && t.to.rung == routing.RungTurn {
			w.rows[t.under.table.Pool(t.to.pool).TurnsKey()].dirty = true
		}
	}
	return nil
}

// giveBack returns the turn of a rep who passed for a reason that is not theirs, or from whom the lead was taken. Who gave it to others by
// choice has had the turn, and that is written down.
func (w *world) giveBack(t *task) {
	turn, entry := t.ended, credit.Entry{Kind: credit.Declined, Reason: string(t.declined)}
	if t.handed != nil {
		turn, entry = t.takenBy(t.handed.RepID), *t.handed
	}
	pool := t.under.table.Pool(turn.Pool)
	if pool == nil || turn.Rung != routing.RungTurn || t.handed == nil && !t.declined.ReturnsTurn() {
		return
	}
	entry.Pool, entry.RepID, entry.LeadID = pool.TurnsKey(), turn.Rep, &t.id
	row := w.rows[entry.Pool]
	for email, who := range w.People {
		switch {
		case row == nil || who.ID != turn.Rep:
		case entry.Kind == credit.HandedOver:
			t.ledger = &entry
		case w.ReturnTurn(pool, email):
			entry.Amount = 1
			t.ledger, row.dirty = &entry, true
		}
	}
}

// takenBy is the offer by which somebody came to have the lead; the zero Past when they took it from a queue.
func (t *task) takenBy(by uuid.UUID) routing.Past {
	if last, ok := t.last(); ok && last.State == "accepted" && last.Rep == by {
		return last
	}
	return routing.Past{}
}

// heldFor is why a lead was held for review before its stages were passed.
func (t *task) heldFor() string {
	if t.decided || t.beside.held == nil {
		return ""
	}
	return *t.beside.held
}

// asCase is the lead as routing sees it. Its decision is taken by then.
func (t *task) asCase() routing.Case {
	c := routing.Case{
		Facts: t.facts, Decided: &t.decision, Routed: t.decided && !t.overruled, New: t.stage == lead.StageNew, Waits: t.stage == lead.StageWaiting,
		Withdrawn: t.takenBack(), Pool: t.pool, Past: t.history, Attempt: t.attempt, Company: t.company,
		Known: t.known, Held: t.heldFor(),
	}
	if t.late != nil {
		c.From, c.Escalated = t.late.from, t.late.toManager
	}
	return c
}

func placed(p *routing.Placement) *placement {
	switch {
	case p == nil:
		return nil
	case p.Waiting:
		return &placement{stage: lead.StageWaiting, pool: p.Pool}
	case p.Held:
		return &placement{stage: lead.StageHeld}
	case p.Joins != uuid.Nil:
		return &placement{stage: lead.StageClosed, pool: p.Pool, joins: p.Joins}
	}
	to := &placement{stage: lead.StageOffered, pool: p.Pool, rung: p.Rung, terms: p.Terms, screen: p.Screen}
	if p.Rep != nil {
		id := p.Rep.ID
		to.repID = &id
	}
	return to
}
