package dispatch

import (
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/rep"
	"leadline/internal/routing"
)

// batchSize bounds one dispatch transaction.
const batchSize = 256

// source queues the statement that takes leads which need a place and locks their rows; rows that somebody else holds are left
// for the next time. What it took is in found once the batch was sent. only restricts it to some leads; nil: any.
type source func(send *pgx.Batch, only []uuid.UUID, found *[]*task)

// take queues one such statement. what names it in errors.
func take(send *pgx.Batch, found *[]*task, what string, scan pgx.RowToFunc[*task], sql string, args ...any) {
	send.Queue(sql, args...).Query(func(rows pgx.Rows) (err error) {
		if *found, err = pgx.CollectRows(rows, scan); err != nil {
			return fmt.Errorf("claim %s: %w", what, err)
		}
		return nil
	})
}

const newSQL = `SELECT ` + taskColumns + `, ` + knownColumn + ` FROM lead l
WHERE l.stage = 'new' AND (l.node = $1 OR l.dispatch_lease < clock_timestamp()) AND ($2::uuid[] IS NULL OR l.id = ANY($2))
ORDER BY l.id LIMIT $3 FOR UPDATE SKIP LOCKED`

// newLeads are leads of this process, and those whose process did not dispatch them in time.
func (s *Service) newLeads(send *pgx.Batch, only []uuid.UUID, found *[]*task) {
	scan := func(row pgx.CollectableRow) (*task, error) {
		var known []byte
		t, err := scanTask(row, &known)
		if err != nil {
			return t, err
		}
		t.cause = causeFirst
		t.known, err = readKnown(known)
		return t, err
	}
	tables := s.Snapshot().tables()
	who, company := slices.ContainsFunc(tables, (*routing.Table).AsksWho), slices.ContainsFunc(tables, (*routing.Table).AsksCompany)
	take(send, found, "new leads", scan, newSQL, s.Node, only, batchSize, who, company)
}

// The offer's attempt is compared with the lead's: a lead that moved on while we looked is re-read under its lock, its offer
// is not, and only the comparison tells that this offer is no longer the one that counts.
//
// Offers are found first, in a step of their own: whatever the statistics say, leads are then looked up by their key. The
// statement's own time, unlike clock_timestamp(), can be looked up in an index.
const dueSQL = `
WITH due AS MATERIALIZED (
    SELECT lead_id, attempt, kind, cause, deadline FROM offer
    WHERE state = 'open' AND deadline <= statement_timestamp() AND ($2::uuid[] IS NULL OR lead_id = ANY($2))
    ORDER BY deadline LIMIT $3
)
SELECT ` + taskColumns + `, o.kind, o.cause FROM due o JOIN lead l ON l.id = o.lead_id
WHERE l.stage = 'offered' AND l.attempt = o.attempt
ORDER BY l.id FOR UPDATE OF l SKIP LOCKED`

// dueOffers are leads whose offer ran out.
func (s *Service) dueOffers(send *pgx.Batch, only []uuid.UUID, found *[]*task) {
	scan := func(row pgx.CollectableRow) (*task, error) {
		var kind, cause string
		t, err := scanTask(row, &kind, &cause)
		t.cause, t.endState, t.reason = causeTimeout, stateTimedOut, "not answered in time"
		switch {
		case kind == routing.RungPool.Kind():
			t.reason = "nobody in the pool took it in time"
		case cause == causeKept:
			t.kept, t.reason = true, "its owner did not come back in time"
		}
		return t, err
	}
	take(send, found, "offers that ran out", scan, dueSQL, s.Node, only, batchSize)
}

const unseenSQL = `
WITH due AS MATERIALIZED (
    SELECT lead_id, attempt FROM offer
    WHERE state = 'open' AND screen_by <= statement_timestamp() AND ($2::uuid[] IS NULL OR lead_id = ANY($2))
    ORDER BY screen_by LIMIT $3
)
SELECT ` + taskColumns + ` FROM due o JOIN lead l ON l.id = o.lead_id
WHERE l.stage = 'offered' AND l.attempt = o.attempt
ORDER BY l.id FOR UPDATE OF l SKIP LOCKED`

// unseenOffers are leads whose offer no screen of the rep has shown in time: a console that is connected and paints nothing must not
// keep a lead. It is no miss of the rep's.
func (s *Service) unseenOffers(send *pgx.Batch, only []uuid.UUID, found *[]*task) {
	scan := func(row pgx.CollectableRow) (*task, error) {
		t, err := scanTask(row)
		t.cause, t.endState, t.reason = causeUnseen, stateWithdrawn, "no screen showed it in time"
		return t, err
	}
	take(send, found, "offers that no screen showed", scan, unseenSQL, s.Node, only, batchSize)
}

const lostSQL = `
WITH lost AS MATERIALIZED (
    SELECT o.lead_id, o.attempt, r.active, r.presence FROM rep r JOIN offer o ON o.rep_id = r.id AND o.state = 'open'
    WHERE (NOT r.active
        OR o.cause <> 'kept' AND NOT (r.presence = 'available' OR r.presence = 'focus' AND o.rung IN ('last_resort', 'manager'))
        OR o.cause <> 'kept' AND r.presence_by <> 'api' AND (r.reachable_at IS NULL OR r.reachable_at <= statement_timestamp() - $4::interval))
      AND ($2::uuid[] IS NULL OR o.lead_id = ANY($2))
    LIMIT $3
)
SELECT ` + taskColumns + `, o.active, o.presence FROM lost o JOIN lead l ON l.id = o.lead_id
WHERE l.stage = 'offered' AND l.attempt = o.attempt
ORDER BY l.id FOR UPDATE OF l SKIP LOCKED`

// lostOffers are leads offered to somebody who can no longer answer: a lead never sticks to a rep who is gone.
func (s *Service) lostOffers(send *pgx.Batch, only []uuid.UUID, found *[]*task) {
	scan := func(row pgx.CollectableRow) (*task, error) {
		var active bool
		var presence rep.Presence
		t, err := scanTask(row, &active, &presence)
		t.cause, t.endState = causePresenceLost, stateWithdrawn
		switch {
		case !active:
			t.cause, t.reason = causeDeactivated, "the rep is no longer active"
		case presence == rep.Available:
			t.reason = "connection to the rep's console was lost"
		default:
			t.reason = "the rep's presence is " + string(presence)
		}
		return t, err
	}
	take(send, found, "offers to absent reps", scan, lostSQL, s.Node, only, batchSize, rep.AwayAfter)
}
