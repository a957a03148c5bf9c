package dispatch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/routing"
)

const (
	warnMost = 1000 // clocks that warn in one statement
	lateMost = 50   // clocks that one look takes up
)

// The steps of a clock, as events and metrics name them.
const (
	stepWarn     = "warn"
	stepAct      = "act"
	stepEscalate = "escalate"
)

// errStays says that nobody else can take a late lead, so that it stays where it is.
var errStays = errors.New("nobody else can take the lead")

// lateStep is what a clock of a lead has come to.
type lateStep struct {
	kind      routing.ClockKind
	pool      string
	step      string
	act       routing.Act
	from      uuid.UUID // the rep out of whose hands the lead is to go; zero: nobody has it
	toManager bool
}

// alarms tells steps about which somebody must be told, whatever becomes of the lead.
func (l *lateStep) alarms() bool {
	return l.step == stepEscalate || l.act == routing.ActEscalate && l.kind != routing.ClockSystem
}

func (l *lateStep) event(rows *eventRows, id uuid.UUID, moved bool) error {
	var from *uuid.UUID
	if l.from != uuid.Nil {
		from = &l.from
	}
	return rows.add(id, lead.EventClock, l.pool, from, 0, map[string]any{"clock": l.kind, "step": l.step, "moved": moved})
}

// mark notes that the step was taken. from is the rep who lost the lead to it, attempt the offer that came of it.
func (l *lateStep) mark(ctx context.Context, tx pgx.Tx, id uuid.UUID, from *uuid.UUID, attempt int) error {
	column := map[string]string{stepAct: "acted_at", stepEscalate: "escalated_at"}[l.step]
	_, err := tx.Exec(ctx, `UPDATE lead_clock SET `+column+` = clock_timestamp(), taken_from = coalesce($3, taken_from),
		taken_attempt = CASE WHEN $3::uuid IS NULL THEN taken_attempt ELSE $4 END WHERE lead_id = $1 AND kind = $2`, id, l.kind, from, attempt)
	if err != nil {
		return fmt.Errorf("note a step of a clock of lead %s: %w", id, err)
	}
	return nil
}

// clocks takes every step that is due: warnings all at once, what moves leads one by one. Where nothing is due it costs one look-up. What
// is left over is due at the next look, for which the alarm rings at once.
func (d *dispatcher) clocks(ctx context.Context, snap Snapshot) error {
	due, err := d.lateClocks(ctx)
	if err != nil {
		return err
	}
	warned := false
	for _, c := range due {
		switch {
		case c.warned:
			err = d.s.takeStep(ctx, snap, c)
		case !warned:
			warned = true
			err = d.warn(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A clock that warns is its own lock: who stops it at the same moment waits for the statement or is skipped.
const warnSQL = `
WITH due AS MATERIALIZED (
    SELECT lead_id, kind FROM lead_clock WHERE next_at <= statement_timestamp() AND warned_at IS NULL ORDER BY next_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE lead_clock c SET warned_at = clock_timestamp() FROM due d WHERE c.lead_id = d.lead_id AND c.kind = d.kind
RETURNING c.lead_id, c.kind, c.pool, c.rep_id`

// warn notes clocks that have used half of their time.
func (d *dispatcher) warn(ctx context.Context) error {
	type warned struct {
		id   uuid.UUID
		kind routing.ClockKind
		pool string
		rep  *uuid.UUID
	}
	var all []warned
	err := d.inTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, warnSQL, warnMost)
		if err != nil {
			return fmt.Errorf("look for clocks that warn: %w", err)
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (w warned, err error) {
			err = row.Scan(&w.id, &w.kind, &w.pool, &w.rep)
			return w, err
		})
		if err != nil {
			return fmt.Errorf("look for clocks that warn: %w", err)
		}
		events := &eventRows{}
		for _, w := range all {
			if err := events.add(w.id, lead.EventClock, w.pool, w.rep, 0, map[string]any{"clock": w.kind, "step": stepWarn}); err != nil {
				return err
			}
		}
		return events.append(ctx, tx)
	})
	if err != nil || len(all) == 0 {
		return err
	}
	for _, w := range all {
		d.s.Metrics.ClockStep(string(w.kind), stepWarn, w.pool)
	}
	d.s.announce(effects{events: true})
	return nil
}

// lateClock names a clock of which a step is due.
type lateClock struct {
	lead   uuid.UUID
	kind   routing.ClockKind
	warned bool // so that the step is another one than to warn
}

func (d *dispatcher) lateClocks(ctx context.Context) ([]lateClock, error) {
	rows, err := d.conn.Query(ctx, `SELECT lead_id, kind, warned_at IS NOT NULL FROM lead_clock WHERE next_at <= statement_timestamp() ORDER BY next_at LIMIT $1`, lateMost)
	if err != nil {
		return nil, fmt.Errorf("look for leads that are late: %w", err)
	}
	due, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c lateClock, err error) {
		err = row.Scan(&c.lead, &c.kind, &c.warned)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("look for leads that are late: %w", err)
	}
	return due, nil
}

// takeStep takes the step that is due of one clock. Where nobody else can take the lead, or it cannot be dispatched, the step is noted
// all the same: it is taken once.
func (s *Service) takeStep(ctx context.Context, snap Snapshot, c lateClock) error {
	var taken *lateStep
	try := func(move bool) error {
		return s.act(ctx, func(tx pgx.Tx) (e effects, err error) {
			e, taken, err = s.lateOne(ctx, tx, snap, c, move)
			return e, err
		})
	}
	err := try(true)
	switch {
	case isPoison(err):
		s.Log.ErrorContext(ctx, "a lead that is late cannot be dispatched", "lead_id", c.lead, "error", err)
		s.Metrics.InvariantViolation("undispatchable_lead")
		err = try(false)
	case errors.Is(err, errStays):
		err = try(false)
	}
	switch {
	case fault.Is(err, fault.Unavailable): // somebody holds what it needs; it is due at the next look, too
		return nil
	case err != nil:
		return err
	}
	if taken != nil {
		s.Metrics.ClockStep(string(taken.kind), taken.step, taken.pool)
		s.Log.WarnContext(ctx, "a lead is late", "lead_id", c.lead, "pool", taken.pool, "clock", taken.kind, "step", taken.step)
	}
	return nil
}

const lateLeadSQL = `SELECT ` + taskColumns + `, l.rep_id, l.erased_at IS NOT NULL, l.first_touch_at IS NOT NULL,
	EXISTS (SELECT FROM event e WHERE e.lead_id = l.id AND e.kind = 'outcome' AND e.data->>'disposition' = ANY($3))
FROM lead l WHERE l.id = $2 FOR UPDATE OF l SKIP LOCKED`

// lateLead is a lead with a clock that is over, locked.
type lateLead struct {
	*task
	holder  *uuid.UUID
	erased  bool
	touched bool
	spoke   bool
}

// over says why a clock should have stopped; empty: it runs rightly. The release before knows no clocks, and what it does stops none.
func (l lateLead) over(kind routing.ClockKind) string {
	open := l.stage == lead.StageOffered || l.stage == lead.StageWaiting
	switch {
	case l.erased || !open && (l.holder == nil || !l.inHands()):
		return stoppedClosed
	case !kind.Held() && !open:
		return stoppedClaimed
	case kind.Held() && open:
		return stoppedTakenBack
	case kind == routing.ClockAttempt && l.touched:
		return stoppedAttempt
	case kind == routing.ClockContact && l.spoke:
		return stoppedContact
	}
	return ""
}

// lateOne asks everything again under the lead's lock: somebody may have called, or another process was here first. move: the lead may
// go elsewhere. taken is nil when nothing is to be done any more.
func (s *Service) lateOne(ctx context.Context, tx pgx.Tx, snap Snapshot, c lateClock, move bool) (e effects, taken *lateStep, err error) {
	rows, err := tx.Query(ctx, lateLeadSQL, s.Node, c.lead, slices.Collect(maps.Keys(contacts)))
	if err != nil {
		return e, nil, fmt.Errorf("read the late lead %s: %w", c.lead, err)
	}
	l, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (l lateLead, err error) {
		l.task, err = scanTask(row, &l.holder, &l.erased, &l.touched, &l.spoke)
		return l, err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return e, nil, nil
	}
	if err != nil {
		return e, nil, fmt.Errorf("read the late lead %s: %w", c.lead, err)
	}
	late, err := readLate(ctx, tx, c)
	if late == nil || err != nil {
		return e, nil, err
	}
	if why := l.over(c.kind); why != "" {
		return e, nil, stopClock(ctx, tx, c, why)
	}
	if p := snap.pool(late.pool); p != nil {
		late.act = p.SLA.Act
	}
	move = late.plan(l.stage == lead.StageWaiting) && move
	l.late, l.cause = late, late.cause()
	switch {
	case move && l.inHands():
		late.from = *l.holder
		e, err = s.takeFromHolder(ctx, tx, snap, l.task, *l.holder, rerouted(l.id, map[string]any{"rep": *l.holder, "clock": late.kind}))
	case move:
		e, err = s.moveOn(ctx, tx, snap, l.task)
	default:
		e, err = s.noteLate(ctx, tx, l)
	}
	return e, late, err
}

// readLate reads which step of a clock is due; nil: none any more.
func readLate(ctx context.Context, tx pgx.Tx, c lateClock) (l *lateStep, err error) {
	var pool string
	var acted bool
	rows, err := tx.Query(ctx, `SELECT pool, acted_at IS NOT NULL FROM lead_clock
		WHERE lead_id = $1 AND kind = $2 AND next_at <= clock_timestamp() AND warned_at IS NOT NULL`, c.lead, c.kind)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&pool, &acted}, func() error {
			l = &lateStep{kind: c.kind, pool: pool, step: stepAct, act: routing.ActNone}
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read a clock of lead %s: %w", c.lead, err)
	}
	if acted {
		l.step = stepEscalate
	}
	return l, nil
}

// plan says whether the step moves the lead, and whether to a manager.
func (l *lateStep) plan(waits bool) (moves bool) {
	if l.kind == routing.ClockSystem {
		return false // a screen that shows nothing is the ladder's business
	}
	switch {
	case l.act == routing.ActReassign && l.step == stepAct:
		return !waits // whoever is free next has it
	case l.act == routing.ActReassign, l.act == routing.ActEscalate && l.step == stepAct:
		l.toManager = true
		return true
	}
	return false
}

// moveOn ends the offer of a lead that nobody took in time, and gives it its next place.
func (s *Service) moveOn(ctx context.Context, tx pgx.Tx, snap Snapshot, t *task) (effects, error) {
	if t.stage == lead.StageOffered {
		t.endState, t.reason = stateTimedOut, "the time to take this lead is over"
	}
	last, e, err := s.place(ctx, tx, snap, []*task{t})
	if err != nil {
		return effects{}, err
	}
	if t.to == nil {
		return effects{}, errStays
	}
	if err := t.late.mark(ctx, tx, t.id, nil, 0); err != nil {
		return effects{}, err
	}
	if err := tx.SendBatch(ctx, last).Close(); err != nil {
		return effects{}, fmt.Errorf("write the next place of lead %s: %w", t.id, err)
	}
	return *e, nil
}

func (l *lateStep) cause() string {
	if l.toManager {
		return causeEscalated
	}
	return causeExpired
}

// noteLate notes a step that leaves the lead where it is, and opens an alarm where somebody must be told.
func (s *Service) noteLate(ctx context.Context, tx pgx.Tx, l lateLead) (effects, error) {
	late := l.late
	if err := late.mark(ctx, tx, l.id, nil, 0); err != nil {
		return effects{}, err
	}
	if l.holder != nil {
		late.from = *l.holder
	}
	events := &eventRows{}
	if err := late.event(events, l.id, false); err != nil {
		return effects{}, err
	}
	if late.alarms() {
		done, err := tx.Exec(ctx, `INSERT INTO alarm (kind, lead_id, pool) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, AlarmLate, l.id, late.pool)
		if err != nil {
			return effects{}, fmt.Errorf("open an alarm about lead %s: %w", l.id, err)
		}
		if done.RowsAffected() > 0 {
			if err := events.add(l.id, lead.EventAlarm, late.pool, nil, 0, map[string]any{"kind": AlarmLate, "state": "opened"}); err != nil {
				return effects{}, err
			}
		}
	}
	return effects{events: true}, events.append(ctx, tx)
}

// stopClock stops a clock that runs for nothing.
func stopClock(ctx context.Context, tx pgx.Tx, c lateClock, why string) error {
	_, err := tx.Exec(ctx, `UPDATE lead_clock SET stopped_at = clock_timestamp(), stopped_by = $3
		WHERE lead_id = $1 AND kind = $2 AND stopped_at IS NULL`, c.lead, c.kind, why)
	if err != nil {
		return fmt.Errorf("stop a clock of lead %s: %w", c.lead, err)
	}
	return nil
}
