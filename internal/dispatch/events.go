package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/lead"
	"leadline/internal/outbox"
	"leadline/internal/routing"
)

// eventRows collects events for one call of append_events.
type eventRows struct {
	leads    []uuid.UUID
	kinds    []string
	pools    []string
	reps     []*uuid.UUID
	attempts []int32
	data     []json.RawMessage
}

func (r *eventRows) add(id uuid.UUID, kind lead.EventKind, pool string, repID *uuid.UUID, attempt int, data map[string]any) error {
	body, err := json.Marshal(data)
	if err != nil {
		return &poisonError{fmt.Errorf("encode an event: %w", err)}
	}
	r.leads, r.kinds, r.pools = append(r.leads, id), append(r.kinds, string(kind)), append(r.pools, pool)
	r.reps, r.attempts, r.data = append(r.reps, repID), append(r.attempts, int32(attempt)), append(r.data, body) //nolint:gosec // number of an offer
	return nil
}

const appendSQL = `SELECT append_events($1, $2, $3, $4, $5, $6)`

// queue adds what writes the events. It must be the last statement before COMMIT: from there on every other writer of events waits.
func (r *eventRows) queue(send *pgx.Batch) {
	if len(r.leads) > 0 {
		send.Queue(appendSQL, r.leads, r.kinds, r.pools, r.reps, r.attempts, r.data)
	}
}

// append writes the events at once, under the same rule.
func (r *eventRows) append(ctx context.Context, tx pgx.Tx) error {
	if len(r.leads) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, appendSQL, r.leads, r.kinds, r.pools, r.reps, r.attempts, r.data); err != nil {
		return fmt.Errorf("append %d events: %w", len(r.leads), err)
	}
	return nil
}

// eventsOf tells what became of a batch, lead by lead.
func eventsOf(batch []*task) (*eventRows, error) {
	rows := &eventRows{}
	for _, t := range batch {
		if t.to == nil {
			continue
		}
		if err := t.events(rows); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func (t *task) events(rows *eventRows) error {
	if t.late != nil {
		if err := t.late.event(rows, t.id, true); err != nil {
			return err
		}
	}
	if t.endState != "" {
		data := map[string]any{"state": t.endState, "reason": t.reason}
		if t.declined != "" {
			data["code"], data["turn"] = t.declined, "spent"
			if t.ledger != nil {
				data["turn"] = "returned"
			}
		}
		if t.missed > 0 {
			data["missed"] = t.missed
		}
		if t.away {
			data["away"] = true
		}
		if err := rows.add(t.id, lead.EventOfferEnded, t.ended.Pool, holder(t.ended), t.ended.Attempt, data); err != nil {
			return err
		}
	}
	if t.routed() {
		data := map[string]any{"version": t.decision.Version, "rule": t.decision.Rule}
		if err := rows.add(t.id, lead.EventRouted, t.decision.Pool, nil, 0, data); err != nil {
			return err
		}
	}
	if t.joins() {
		return t.joinedEvents(rows)
	}
	if t.held() {
		return rows.add(t.id, lead.EventHeld, "", nil, t.attempt, map[string]any{"rule": t.decision.Rule})
	}
	if err := t.passedEvents(rows); err != nil {
		return err
	}
	data := map[string]any{"cause": t.cause}
	if t.to.deadline != nil {
		data["deadline"] = t.to.deadline.Format(time.RFC3339Nano)
	}
	kind := lead.EventWaiting
	switch {
	case t.to.repID != nil:
		kind = lead.EventOffered
	case t.to.offered():
		kind = lead.EventPooled
	}
	switch t.to.rung {
	case routing.RungLastResort:
		data["last_resort"] = true
	case routing.RungManager:
		data["manager"] = true
	}
	return rows.add(t.id, kind, t.to.pool, t.to.repID, t.number(), data)
}

// deliver queues what writes the deliveries of leads that the destinations have not heard of.
func (s *Service) deliver(send *pgx.Batch, snap Snapshot, batch []*task, claimed *[]outbox.Claimed) {
	var ids []uuid.UUID
	var hot []bool
	for _, t := range batch {
		if t.to != nil && t.unheard() && !t.held() {
			ids, hot = append(ids, t.id), append(hot, t.hot())
		}
	}
	outbox.QueueInsert(send, s.Node, ids, hot, snap.Targets, claimed)
}

// holder is the rep of an exclusive offer, or nil.
func holder(p routing.Past) *uuid.UUID {
	if p.Rep == uuid.Nil {
		return nil
	}
	return &p.Rep
}
