package dispatch

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/audit"
)

// rerouteMost bounds one look for leads of people who were deactivated; the next look finds the others.
const rerouteMost = 200

const abandonedSQL = `SELECT l.id FROM rep r JOIN lead l ON l.rep_id = r.id AND l.stage = 'claimed'
WHERE NOT r.active AND l.first_touch_at IS NULL AND NOT l.id = ANY($1::uuid[]) ORDER BY l.id LIMIT $2`

// reroute gives leads that somebody took and never touched to others once that person is deactivated. Offers to them are taken back by
// lostOffers; leads they have touched stay theirs, for a person to decide.
func (d *dispatcher) reroute(ctx context.Context, snap Snapshot) error {
	rows, err := d.conn.Query(ctx, abandonedSQL, d.parked, rerouteMost)
	if err != nil {
		return fmt.Errorf("look for leads of people who were deactivated: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return fmt.Errorf("look for leads of people who were deactivated: %w", err)
	}
	for _, id := range ids {
		err := d.s.act(ctx, func(tx pgx.Tx) (effects, error) { return d.s.rerouteOne(ctx, tx, snap, id) })
		switch {
		case err == nil:
		case isPoison(err):
			d.s.Log.ErrorContext(ctx, "a lead of somebody who was deactivated cannot be dispatched", "lead_id", id, "error", err)
			d.s.Metrics.InvariantViolation("undispatchable_lead")
			if len(d.parked) < maxParked {
				d.parked, d.parkedUnder = append(d.parked, id), snap.inForce()
			}
		default:
			return err
		}
	}
	return nil
}

// The conditions are asked again under the lock: the person may be back, or have called, or another process was here first.
const takeBackSQL = `SELECT ` + taskColumns + `, l.rep_id FROM lead l JOIN rep r ON r.id = l.rep_id
WHERE l.id = $2 AND l.stage = 'claimed' AND l.first_touch_at IS NULL AND NOT r.active FOR UPDATE OF l SKIP LOCKED`

// rerouteOne takes one lead back and gives it its next place, in one transaction.
func (s *Service) rerouteOne(ctx context.Context, tx pgx.Tx, snap Snapshot, id uuid.UUID) (effects, error) {
	rows, err := tx.Query(ctx, takeBackSQL, s.Node, id)
	if err != nil {
		return effects{}, fmt.Errorf("take lead %s back: %w", id, err)
	}
	var from uuid.UUID
	t, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (*task, error) { return scanTask(row, &from) })
	if errors.Is(err, pgx.ErrNoRows) {
		return effects{}, nil
	}
	if err != nil {
		return effects{}, fmt.Errorf("take lead %s back: %w", id, err)
	}
	t.cause = causeDeactivated
	return s.takeFromHolder(ctx, tx, snap, t, from, rerouted(id, map[string]any{"rep": from}))
}

// rerouted is what the audit chain is told when nobody in particular takes a lead from its holder.
func rerouted(id uuid.UUID, detail map[string]any) audit.Entry {
	return audit.Entry{ActorKind: audit.System, Action: audit.LeadRerouted, ObjectKind: "lead", Object: id.String(), Detail: detail}
}

const giveUpSQL = `UPDATE lead SET rep_id = NULL, claimed_at = NULL, disposition = '', revision = revision + 1 WHERE id = $1`

const stopTakenSQL = `UPDATE lead_clock SET stopped_at = clock_timestamp(), stopped_by = '` + stoppedTakenBack + `'
WHERE lead_id = $1 AND kind IN ('first_attempt', 'contact') AND stopped_at IS NULL`

// takeFromHolder takes a lead, whose row is locked, from whoever holds it, gives it its next place, and writes down who did it. The CRM is
// told. errStays: a clock led to this and nobody else can take it; the transaction is to be rolled back.
func (s *Service) takeFromHolder(ctx context.Context, tx pgx.Tx, snap Snapshot, t *task, from uuid.UUID, entry audit.Entry) (effects, error) {
	var err error
	if t.paused, err = readPause(ctx, tx, t.id); err != nil {
		return effects{}, err
	}
	send := &pgx.Batch{}
	send.Queue(giveUpSQL, t.id)
	send.Queue(stopTakenSQL, t.id)
	if err := tx.SendBatch(ctx, send).Close(); err != nil {
		return effects{}, fmt.Errorf("take lead %s back: %w", t.id, err)
	}
	last, e, err := s.place(ctx, tx, snap, []*task{t})
	if err != nil {
		return effects{}, err
	}
	if t.late != nil && t.to == nil {
		return effects{}, errStays
	}
	claimed, err := s.Outbox.Bump(ctx, tx, s.Node, t.id)
	if err != nil {
		return effects{}, err
	}
	if t.late != nil {
		if err := t.late.mark(ctx, tx, t.id, &from, t.number()); err != nil {
			return effects{}, err
		}
	}
	if _, err := audit.AppendTx(ctx, tx, entry); err != nil {
		return effects{}, err
	}
	if err := tx.SendBatch(ctx, last).Close(); err != nil {
		return effects{}, fmt.Errorf("write the next place of lead %s: %w", t.id, err)
	}
	e.claimed = append(e.claimed, claimed...)
	return *e, nil
}

// takenBack tells leads whose holder or offer went away through nobody's answer: the step that gave it is tried again.
func (t *task) takenBack() bool {
	return t.endState == stateWithdrawn || t.inHands()
}
