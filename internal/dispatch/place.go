package dispatch

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/routing"
)

// place is dispatch: it gives every task its place and writes all that follows from it, within tx. The tasks' lead rows are
// locked. The caller commits, then announces the effects. Any error leaves nothing behind once tx is rolled back.
func (s *Service) place(ctx context.Context, tx pgx.Tx, snap Snapshot, batch []*task) (effects, error) {
	if err := loadHistory(ctx, tx, batch); err != nil {
		return effects{}, err
	}
	if err := decide(snap.Table, batch); err != nil {
		return effects{}, err
	}
	if err := endOffers(ctx, tx, batch); err != nil {
		return effects{}, err
	}
	w := &world{table: snap.Table}
	v := newInvolved()
	for _, t := range batch {
		v.add(snap.Table, t.first)
		v.person(t.decision.Rep, false)
	}
	if err := w.lockPools(ctx, tx, v); err != nil {
		return effects{}, err
	}
	if err := countMisses(ctx, tx, batch); err != nil {
		return effects{}, err
	}
	if err := w.readReps(ctx, tx, v); err != nil {
		return effects{}, err
	}
	if err := w.allocate(batch); err != nil {
		return effects{}, err
	}
	return s.write(ctx, tx, snap, w, batch)
}

// decide routes tasks that were never routed before, and finds the pool that each belongs to.
func decide(table *routing.Table, batch []*task) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &poisonError{fmt.Errorf("decide: %v", r)}
		}
	}()
	for _, t := range batch {
		if !t.decided {
			t.decision = table.Decide(t.facts, t.facts.AcceptedAt)
		}
		t.first = home(table, t)
		if last, ok := t.last(); ok && t.endState != "" {
			t.ended = last
		}
	}
	return nil
}

// home is the pool that a lead belongs to: the one decided on, or what the rules say today if that pool is no more.
func home(table *routing.Table, t *task) *routing.Pool {
	if p := table.Pool(t.decision.Pool); p != nil {
		return p
	}
	return table.Pool(table.Decide(t.facts, t.facts.AcceptedAt).Pool)
}

const endSQL = `
UPDATE offer o SET state = e.state, reason = e.reason, ended_at = clock_timestamp()
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS e(lead_id, state, reason)
WHERE o.lead_id = e.lead_id AND o.state = 'open'`

// endOffers closes what is open. A statement of its own: the unique index allows one open offer per lead at every moment.
func endOffers(ctx context.Context, tx pgx.Tx, batch []*task) error {
	var ids []uuid.UUID
	var states, reasons []string
	for _, t := range batch {
		if t.endState != "" {
			ids, states, reasons = append(ids, t.id), append(states, t.endState), append(reasons, t.reason)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, endSQL, ids, states, reasons); err != nil {
		return fmt.Errorf("end %d offers: %w", len(ids), err)
	}
	return nil
}
