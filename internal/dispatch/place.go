package dispatch

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// session is what dispatch asks of the database: a connection that has begun a transaction, or a transaction.
type session interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// place is dispatch: it gives every task its place. The tasks' lead rows are locked, in the transaction of db. It answers with the
// statements that write all that follows from it; the caller sends them, as the last of the transaction, and announces
// the effects after COMMIT. The effects are complete once the statements were sent. Any error leaves nothing behind once the
// transaction is rolled back.
//
// What an exchange with the database costs, not what it says, is what dispatch costs: everything that can go together does.
func (s *Service) place(ctx context.Context, db session, snap Snapshot, batch []*task) (*pgx.Batch, *effects, error) {
	if err := loadHistory(ctx, db, batch); err != nil {
		return nil, nil, err
	}
	if err := decide(snap, batch); err != nil {
		return nil, nil, err
	}
	w := &world{roster: snap.Roster}
	v := newInvolved()
	for _, t := range batch {
		v.add(t.under.table, t.first)
		for _, email := range t.under.table.Asks(t.decision, t.asCase()) {
			v.person(email, uncounted)
		}
	}
	look := &pgx.Batch{}
	lockStanding(look, batch)
	endOffers(look, batch)
	w.lockPools(look, v)
	countMisses(look, batch)
	readCompanies(look, batch)
	w.readReps(look, v)
	if err := db.SendBatch(ctx, look).Close(); err != nil {
		return nil, nil, err
	}
	if err := w.addPools(ctx, db, v); err != nil {
		return nil, nil, err
	}
	w.seat()
	if err := w.allocate(batch); err != nil {
		return nil, nil, err
	}
	return s.write(snap, w, batch)
}

// decide routes tasks that were never routed before, and finds the pool that each belongs to.
func decide(snap Snapshot, batch []*task) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &poisonError{fmt.Errorf("decide: %v", r)}
		}
	}()
	for _, t := range batch {
		t.under = snap.rulesFor(t.id, t.facts.AcceptedAt)
		t.beside.complete(&t.facts, t.under.table)
		if !t.decided || t.overruled {
			t.decision = t.under.table.Decide(t.facts, t.facts.AcceptedAt)
		}
		t.first = t.under.table.Home(t.decision, t.facts)
		if last, ok := t.last(); ok && t.endState != "" {
			t.ended = last
		}
	}
	return nil
}

const endSQL = `
UPDATE offer o SET state = e.state, reason = e.reason, declined = e.declined, screen_by = NULL, ended_at = clock_timestamp()
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS e(lead_id, state, reason, declined)
WHERE o.lead_id = e.lead_id AND o.state = 'open'`

// endOffers queues what closes open offers. A statement of its own: the unique index allows one open offer per lead at every
// moment.
func endOffers(send *pgx.Batch, batch []*task) {
	var ids []uuid.UUID
	var states, reasons, declined []string
	for _, t := range batch {
		if t.endState != "" {
			ids, states, reasons = append(ids, t.id), append(states, t.endState), append(reasons, t.reason)
			declined = append(declined, string(t.declined))
		}
	}
	if len(ids) > 0 {
		send.Queue(endSQL, ids, states, reasons, declined)
	}
}
