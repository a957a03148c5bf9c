package dispatch

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/rep"
	"leadline/internal/routing"
)

// Why a clock stopped. They are permanent: rows carry them.
const (
	stoppedClaimed   = "claimed"
	stoppedAttempt   = "attempt"
	stoppedContact   = "contact"
	stoppedClosed    = "closed"
	stoppedTakenBack = "taken_back"
)

// startSQL lets clocks begin, also anew with the next rep; what has been reached stays reached.
const startSQL = `
INSERT INTO lead_clock AS c (lead_id, kind, pool, rep_id, target, started_at, since, warn_at, target_at, escalate_at)
SELECT lead_id, kind, pool, rep_id, make_interval(secs => seconds), started_at, since, warn_at, target_at, escalate_at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::double precision[], $6::timestamptz[],
    $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[])
    AS s(lead_id, kind, pool, rep_id, seconds, started_at, since, warn_at, target_at, escalate_at)
ON CONFLICT (lead_id, kind) DO UPDATE SET pool = excluded.pool, rep_id = excluded.rep_id, target = excluded.target, used = '0',
    started_at = excluded.started_at, since = excluded.since, warn_at = excluded.warn_at, target_at = excluded.target_at, escalate_at = excluded.escalate_at,
    warned_at = NULL, stopped_at = NULL, stopped_by = ''
WHERE c.stopped_by NOT IN ('attempt', 'contact')`

// clockRows are the rows of startSQL turned on their side, as unnest wants them.
type clockRows struct {
	leads               []uuid.UUID
	kinds, pools        []string
	reps                []*uuid.UUID
	targets             []float64
	starts, since       []*time.Time
	warn, act, escalate []*time.Time
}

// start adds a clock that begins at a moment, if the pool has it. who has the lead, or nobody does; zone is the lead's
// own; while paused it stands.
func (r *clockRows) start(kind routing.ClockKind, p *routing.Pool, leadID uuid.UUID, at time.Time, who *rep.Rep, zone string, paused *pause) {
	target := p.SLA.Target(kind)
	if target <= 0 {
		return
	}
	c, hours := routing.Clock{Target: target, Since: at}, p.ClockHours(kind, who, zone)
	if paused != nil && kind != routing.ClockSystem {
		c = c.Pause(at, paused.end(), hours)
	}
	steps := c.Steps(hours)
	var holder *uuid.UUID
	if who != nil {
		holder = &who.ID
	}
	r.leads, r.kinds, r.pools, r.reps = append(r.leads, leadID), append(r.kinds, string(kind)), append(r.pools, p.Slug), append(r.reps, holder)
	r.targets, r.starts, r.since = append(r.targets, target.Seconds()), append(r.starts, &at), append(r.since, stored(c.Since))
	r.warn, r.act, r.escalate = append(r.warn, stored(steps.Warn)), append(r.act, stored(steps.Act)), append(r.escalate, stored(steps.Escalate))
}

// queue adds what writes the rows, if there are any.
func (r *clockRows) queue(send *pgx.Batch) {
	if len(r.leads) > 0 {
		send.Queue(startSQL, r.leads, r.kinds, r.pools, r.reps, r.targets, r.starts, r.since, r.warn, r.act, r.escalate)
	}
}

// first is when the first step of a clock is due, from a moment; 0: never.
func (r *clockRows) first(now time.Time) (nearest time.Duration) {
	for _, at := range r.warn {
		if at != nil && (nearest == 0 || at.Sub(now) < nearest) {
			nearest = max(at.Sub(now), time.Millisecond)
		}
	}
	return nearest
}

// startClocks queues the clocks of leads that nobody has: those routed now, and those taken out of somebody's hands.
func (w *world) startClocks(send *pgx.Batch, batch []*task, e *effects) {
	rows := &clockRows{}
	for _, t := range batch {
		if t.to == nil || t.first == nil || t.held() || t.joins() {
			continue
		}
		switch {
		case t.routed():
			from := t.facts.AcceptedAt
			if t.beside.held != nil {
				from = w.Now // what the review took is nobody's delay here
			}
			rows.start(routing.ClockSystem, t.first, t.id, from, nil, t.facts.Timezone, nil)
			rows.start(routing.ClockAccept, t.first, t.id, from, nil, t.facts.Timezone, nil)
		case t.inHands():
			rows.start(routing.ClockAccept, t.first, t.id, w.Now, nil, t.facts.Timezone, t.paused)
		}
	}
	rows.queue(send)
	e.soon(rows.first(w.Now))
}

// stopNobodysSQL stops the clocks that run while nobody has a lead.
const stopNobodysSQL = `UPDATE lead_clock SET stopped_at = clock_timestamp(), stopped_by = '` + stoppedClaimed + `'
WHERE lead_id = $1 AND kind IN ('system', 'accept') AND stopped_at IS NULL`

// startHeld queues what becomes of the clocks of a lead that a rep takes.
func (s *Service) startHeld(send *pgx.Batch, c *claim, leadID uuid.UUID, e *effects) {
	send.Queue(stopNobodysSQL, leadID)
	p := s.Snapshot().rulesFor(c.lead, c.accepted).table.Pool(c.pool)
	if p == nil {
		return
	}
	rows := &clockRows{}
	for _, kind := range routing.ClockKinds {
		if kind.Held() {
			rows.start(kind, p, leadID, c.now, &c.who, c.zone, c.paused)
		}
	}
	rows.queue(send)
	e.soon(rows.first(c.now))
}

// How a disposition counts. Setting a field says nothing: only these do.
var (
	attempts = map[string]bool{"connected": true, "no_answer": true, "voicemail": true, "wrong_number": true, "callback": true, "booked": true}
	contacts = map[string]bool{"connected": true, "callback": true, "booked": true}
)

// Spoke tells dispositions of which both sides have spoken: a real contact, after which nobody takes the lead away.
func Spoke(disposition string) bool { return contacts[disposition] }

// stopHeldSQL stops the clocks that an outcome ends. One that stopped only because the lead was closed runs on when another outcome
// opens it again.
const stopHeldSQL = `
UPDATE lead_clock c SET stopped_at = CASE WHEN s.by IS NOT NULL THEN clock_timestamp() END, stopped_by = coalesce(s.by, '')
FROM lead_clock k LEFT JOIN unnest($2::text[], $3::text[]) AS s(kind, by) ON s.kind = k.kind
WHERE k.lead_id = $1 AND k.kind IN ('first_attempt', 'contact') AND c.lead_id = k.lead_id AND c.kind = k.kind
  AND (c.stopped_at IS NULL AND s.by IS NOT NULL OR c.stopped_by = 'closed' AND s.by IS DISTINCT FROM 'closed')`

// stopHeld queues what an outcome does to the clocks of a lead.
func stopHeld(send *pgx.Batch, leadID uuid.UUID, disposition string, closes bool) {
	var kinds, by []string
	stop := func(kind routing.ClockKind, reached bool, why string) {
		switch {
		case reached:
			kinds, by = append(kinds, string(kind)), append(by, why)
		case closes:
			kinds, by = append(kinds, string(kind)), append(by, stoppedClosed)
		}
	}
	stop(routing.ClockAttempt, attempts[disposition], stoppedAttempt)
	stop(routing.ClockContact, contacts[disposition], stoppedContact)
	send.Queue(stopHeldSQL, leadID, kinds, by)
}
