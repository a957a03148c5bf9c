package live

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/lead"
	"leadline/internal/rep"
)

// eventsPerRead bounds one step of catching up.
const eventsPerRead = 2000

// defaultGoal is the first-touch goal of hot leads whose pool names none.
const defaultGoal = 2 * time.Minute

const cardColumns = `l.id, l.form, l.intent, l.product, l.country, l.region, l.timezone, l.source, l.domain_class, l.accepted_at,
	l.stage, l.crm_state, l.pool, l.rep_id, l.attempt, l.claimed_at, l.first_touch_at, l.closed_at, l.disposition, l.demo,
	coalesce(o.kind, ''), o.rep_id, o.deadline, coalesce(d.url, ''), coalesce(d.attempts, 0), r.hours, r.timezone,
	(SELECT max(j.at) FROM lead_joined j WHERE j.to_lead = l.id), k.kind, k.seconds, k.warn_at, k.target_at, k.since
	FROM lead l
	LEFT JOIN LATERAL (SELECT kind, rep_id, deadline FROM offer WHERE lead_id = l.id AND state = 'open' LIMIT 1) o ON true
	LEFT JOIN LATERAL (SELECT max(url) AS url, max(attempts) AS attempts FROM delivery
	                   WHERE lead_id = l.id AND destination = 'crm') d ON true
	LEFT JOIN LATERAL (SELECT kind, extract(epoch FROM target)::double precision AS seconds, warn_at, target_at, since FROM lead_clock
	                   WHERE lead_id = l.id AND kind <> 'system' AND stopped_at IS NULL ORDER BY target_at LIMIT 1) k ON true
	LEFT JOIN rep r ON r.id = coalesce(l.rep_id, o.rep_id)`

// rebuild reads the whole board in one snapshot, so that cards and position agree.
func (h *Hub) rebuild(ctx context.Context) error {
	tx, err := h.db.Console.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return fmt.Errorf("begin reading the board: %w", err)
	}
	defer func() { _ = tx.Rollback(ctx) }()
	var seq int64
	var now time.Time
	if err := tx.QueryRow(ctx, `SELECT seq, clock_timestamp() FROM event_stream WHERE name = 'console'`).Scan(&seq, &now); err != nil {
		return fmt.Errorf("read the stream's position: %w", err)
	}
	cards, err := h.cards(ctx, tx, seq, boarded(now), `SELECT `+cardColumns+`
		WHERE l.stage IN ('new','offered','waiting','claimed')
		   OR (l.rep_id IS NOT NULL AND coalesce(l.closed_at, l.first_touch_at) > clock_timestamp() - interval '24 hours')
		   OR (l.rep_id IS NOT NULL AND l.closed_at IS NULL AND l.id IN (SELECT j.to_lead FROM lead_joined j WHERE j.at > clock_timestamp() - interval '24 hours'))`)
	if err != nil {
		return err
	}
	h.board.replace(seq, cards)
	h.signalAll()
	return nil
}

// replace swaps the whole content of the board.
func (b *Board) replace(seq int64, cards map[uuid.UUID]*Card) {
	fresh := newBoard()
	for _, c := range cards {
		fresh.add(c)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq, b.cards, b.pools, b.offers, b.holdings = seq, fresh.cards, fresh.pools, fresh.offers, fresh.holdings
}

// catchUp reads events after the board's position, in order, until it has seen the newest. What commits meanwhile wakes it again.
func (h *Hub) catchUp(ctx context.Context) error {
	for {
		from := h.board.Seq()
		last, ids, err := h.eventsAfter(ctx, from)
		if err != nil {
			return err
		}
		if last == from {
			return nil
		}
		cards, err := h.cards(ctx, h.db.Path, last, boarded(h.Clock()), `SELECT `+cardColumns+` WHERE l.id = ANY($1)`, ids)
		if err != nil {
			return err
		}
		h.signal(h.board.apply(last, ids, cards))
		if last-from < eventsPerRead {
			return nil
		}
	}
}

// eventsAfter gives the position reached and the leads concerned. The stream is gapless by construction (its writers number
// events under one lock); a hole means rows were taken away, and then only a fresh board is right.
func (h *Hub) eventsAfter(ctx context.Context, from int64) (int64, []uuid.UUID, error) {
	rows, err := h.db.Path.Query(ctx, `SELECT seq, lead_id FROM event WHERE seq > $1 ORDER BY seq LIMIT $2`, from, eventsPerRead)
	if err != nil {
		return from, nil, fmt.Errorf("read events: %w", err)
	}
	defer rows.Close()
	last := from
	var ids []uuid.UUID
	seen := map[uuid.UUID]bool{}
	for rows.Next() {
		var seq int64
		var id uuid.UUID
		if err := rows.Scan(&seq, &id); err != nil {
			return from, nil, fmt.Errorf("read an event: %w", err)
		}
		if seq != last+1 {
			return from, nil, errGap
		}
		last = seq
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	if err := rows.Err(); err != nil {
		return from, nil, fmt.Errorf("read events: %w", err)
	}
	return last, ids, nil
}

// querier is what a pool and a transaction have in common.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func (h *Hub) cards(ctx context.Context, q querier, version int64, keep func(*Card) bool, sql string, args ...any) (map[uuid.UUID]*Card, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read cards: %w", err)
	}
	defer rows.Close()
	out := map[uuid.UUID]*Card{}
	for rows.Next() {
		c := &Card{Version: version}
		var stage, crm string
		var hours, zone *string // of whoever holds it or is asked
		var k runningClock
		if err := rows.Scan(&c.ID, &c.Form, &c.Intent, &c.Product, &c.Country, &c.Region, &c.Timezone, &c.Source, &c.DomainClass,
			&c.AcceptedAt, &stage, &crm, &c.Pool, &c.RepID, &c.Attempt, &c.ClaimedAt, &c.FirstTouchAt, &c.ClosedAt,
			&c.Disposition, &c.Demo, &c.OfferKind, &c.OfferRep, &c.OfferDeadline, &c.CRMURL, &c.CRMAttempts, &hours, &zone, &c.Again,
			&k.kind, &k.seconds, &k.warnAt, &k.dueAt, &k.since); err != nil {
			return nil, fmt.Errorf("read a card: %w", err)
		}
		c.Stage, c.CRMState = lead.Stage(stage), lead.CRMState(crm)
		var who *rep.Rep
		if hours != nil && zone != nil {
			who = &rep.Rep{Hours: *hours, Timezone: *zone}
		}
		c.Goal = h.goalOf(c, who)
		h.clock(c, k)
		if keep(c) {
			out[c.ID] = c
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read cards: %w", err)
	}
	return out, nil
}

// goalOf gives the moment at which the first touch is due; nil: there is no goal.
func (h *Hub) goalOf(c *Card, who *rep.Rep) *time.Time {
	goal := h.goals(c.Pool)
	if goal == 0 && c.Hot() {
		goal = defaultGoal
	}
	if goal == 0 {
		return nil
	}
	due := h.due(c.Pool, c.AcceptedAt, goal, who)
	return &due
}

// runningClock is the clock of a lead as it is read; all nil: none runs.
type runningClock struct {
	kind                 *string
	seconds              *float64
	warnAt, dueAt, since *time.Time
}

// clock shows the running clock of a lead instead of the goal of its first touch, unless that is over sooner.
func (h *Hub) clock(c *Card, k runningClock) {
	if k.kind == nil || k.seconds == nil {
		return
	}
	sooner := c.FirstTouchAt == nil && h.goals(c.Pool) > 0 && c.Goal != nil && k.dueAt != nil && c.Goal.Before(*k.dueAt)
	clock := &Clock{Kind: *k.kind, Target: time.Duration(*k.seconds * float64(time.Second)), WarnAt: k.warnAt, Since: k.since}
	if sooner && !clock.Stands(h.Clock()) {
		return
	}
	c.Goal, c.Clock = k.dueAt, clock
}
