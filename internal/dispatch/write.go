package dispatch

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/credit"
	"leadline/internal/lead"
	"leadline/internal/rep"
)

const placeSQL = `
WITH moved AS (
    UPDATE lead l SET stage = m.stage, pool = m.pool, attempt = m.attempt
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::integer[]) AS m(id, stage, pool, attempt) WHERE l.id = m.id
), decided AS (
    INSERT INTO decision (lead_id, version, rule, pool, rep_id, trace)
    SELECT id, version, rule, pool, rep_id, trace::jsonb
    FROM unnest($5::uuid[], $6::bigint[], $7::text[], $8::text[], $9::uuid[], $10::text[]) AS d(id, version, rule, pool, rep_id, trace)
    ON CONFLICT (lead_id) DO NOTHING
), stepped AS (
    INSERT INTO decision_step (lead_id, at, attempt, cause, version, record)
    SELECT id, clock_timestamp(), attempt, cause, version, record::jsonb
    FROM unnest($21::uuid[], $22::integer[], $23::text[], $24::bigint[], $25::text[]) AS s(id, attempt, cause, version, record)
)
INSERT INTO offer (lead_id, attempt, kind, rung, pool, rep_id, cause, deadline, screen_by)
SELECT o.id, o.attempt, o.kind, o.rung, o.pool, o.rep_id, o.cause, o.deadline,
    CASE WHEN o.screen_by IS NULL OR EXISTS (SELECT FROM console_poll c WHERE c.rep_id = o.rep_id AND c.at > clock_timestamp() - $20::interval)
        THEN NULL ELSE o.screen_by END
FROM unnest($11::uuid[], $12::integer[], $13::text[], $14::text[], $15::text[], $16::uuid[], $17::text[], $18::timestamptz[], $19::timestamptz[])
    AS o(id, attempt, kind, rung, pool, rep_id, cause, deadline, screen_by)`

// columns are the rows of placeSQL turned on their side, as unnest wants them.
type columns struct {
	lead    []uuid.UUID
	stage   []string
	pool    []string
	attempt []int32

	decided  []uuid.UUID
	version  []int64
	rule     []string
	toPool   []string
	toRep    []*uuid.UUID
	document []string

	stepped []uuid.UUID // decisions after the first, or that found no pool
	at      []int
	why     []string
	under   []int64
	record  []string

	offered  []uuid.UUID
	number   []int32
	kind     []string
	rung     []string
	inPool   []string
	rep      []*uuid.UUID
	cause    []string
	deadline []*time.Time
	screenBy []*time.Time
}

func columnsOf(batch []*task) (*columns, error) {
	c := &columns{}
	for _, t := range batch {
		if t.to == nil {
			continue
		}
		if t.to.offered() {
			c.offer(t)
		}
		c.lead, c.stage = append(c.lead, t.id), append(c.stage, string(t.to.stage))
		c.pool, c.attempt = append(c.pool, t.to.pool), append(c.attempt, int32(t.number())) //nolint:gosec // number of an offer
		if err := c.decide(t); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// routed tells tasks whose first decision is made now. One that found no pool is decided again later.
func (t *task) routed() bool { return !t.decided && t.to != nil && t.to.pool != "" }

func (c *columns) offer(t *task) {
	c.offered, c.number = append(c.offered, t.id), append(c.number, int32(t.number())) //nolint:gosec // number of an offer
	c.kind, c.rung = append(c.kind, t.to.rung.Kind()), append(c.rung, string(t.to.rung))
	c.inPool, c.rep, c.cause = append(c.inPool, t.to.pool), append(c.rep, t.to.repID), append(c.cause, t.cause)
	c.deadline, c.screenBy = append(c.deadline, t.to.deadline), append(c.screenBy, t.to.screenBy)
}

// decide keeps the record of where the lead goes: the first decision in a row of its own kind, later ones as steps.
func (c *columns) decide(t *task) error {
	document, err := json.Marshal(t.record)
	if err != nil {
		return &poisonError{fmt.Errorf("encode the record of a decision: %w", err)}
	}
	if !t.routed() {
		c.stepped, c.at, c.why = append(c.stepped, t.id), append(c.at, t.number()), append(c.why, t.cause)
		c.under, c.record = append(c.under, t.record.Under), append(c.record, string(document))
		return nil
	}
	d := t.decision
	c.decided, c.version, c.rule = append(c.decided, t.id), append(c.version, d.Version), append(c.rule, d.Rule)
	c.toPool, c.toRep, c.document = append(c.toPool, d.Pool), append(c.toRep, t.to.repID), append(c.document, string(document))
	return nil
}

// write queues the outcome of allocate: leads, records and offers in one statement, credits, deliveries of new leads, and events.
func (s *Service) write(snap Snapshot, w *world, batch []*task) (*pgx.Batch, *effects, error) {
	send, e := &pgx.Batch{}, &effects{}
	w.setDeadlines(batch, e)
	c, err := columnsOf(batch)
	if err != nil {
		return nil, nil, err
	}
	if e.moved = len(c.lead); e.moved == 0 {
		return send, e, nil
	}
	for _, t := range batch {
		e.freed = e.freed || t.away || t.endState == stateDeclined
	}
	send.Queue(placeSQL, c.lead, c.stage, c.pool, c.attempt, c.decided, c.version, c.rule, c.toPool, c.toRep, c.document,
		c.offered, c.number, c.kind, c.rung, c.inPool, c.rep, c.cause, c.deadline, c.screenBy, rep.AwayAfter,
		c.stepped, c.at, c.why, c.under, c.record)
	for _, st := range w.rows {
		if st.dirty {
			st.store(send, w.Turns[st.key], w)
		}
	}
	w.startClocks(send, batch, e)
	noteAsks(send, batch)
	queueLedger(send, batch)
	queueJoined(send, batch)
	queueHeld(send, batch)
	s.deliver(send, snap, batch, &e.claimed)
	events, err := eventsOf(batch)
	if err != nil {
		return nil, nil, err
	}
	e.events = true
	openAlarms(send, batch)
	events.queue(send)
	return send, e, nil
}

// setDeadlines counts the terms of offers from the moment at which reps were read, on the database's clock.
func (w *world) setDeadlines(batch []*task, e *effects) {
	for _, t := range batch {
		if t.to == nil || !t.to.offered() || t.to.terms <= 0 {
			continue
		}
		at, soonest := w.Now.Add(t.to.terms), t.to.terms
		t.to.deadline = &at
		if t.to.screen > 0 {
			by := w.Now.Add(t.to.screen)
			t.to.screenBy, soonest = &by, min(soonest, t.to.screen)
		}
		e.soon(soonest)
	}
}

// unheard tells leads that are new or were never routed: only those the destinations have not heard of.
func (t *task) unheard() bool { return t.stage == lead.StageNew || !t.decided }

// queueLedger writes turns that were given back, and those that might have been, into the ledger of credits.
func queueLedger(send *pgx.Batch, batch []*task) {
	var entries []credit.Entry
	for _, t := range batch {
		if t.ledger != nil {
			entries = append(entries, *t.ledger)
		}
	}
	credit.Queue(send, entries)
}
