package dispatch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

// Reasons why the clocks of a lead stand. They are permanent: rows, events and the API carry them.
const (
	PauseQuietHours   = "quiet_hours"    // the law forbids calling now
	PauseAskedForTime = "asked_for_time" // the lead asked to be called at a time
	PauseOnHold       = "on_hold"        // something else, which the note says
)

// PauseReasons lists every one.
var PauseReasons = []string{PauseQuietHours, PauseAskedForTime, PauseOnHold}

// CodeNotPaused is the code of a Conflict: the lead's clocks run already.
const CodeNotPaused = "not_paused"

// mostPause is how far ahead a pause may end.
const mostPause = 90 * 24 * time.Hour

// PauseRequest asks that the clocks of a lead stand. Until is when they run again by themselves; zero: when somebody resumes them, which only
// on_hold may leave open. on_hold needs a note. RepID is the holder; the zero RepID stands for somebody else who may act for the holder.
type PauseRequest struct {
	LeadID uuid.UUID
	RepID  uuid.UUID
	Reason string
	Until  time.Time
	Note   string // at most 200 characters are kept; never contact details
	By     string // console, api or command line
}

// pause is why and until when the clocks of a lead stand.
type pause struct{ until *time.Time }

// end is when the pause is over by itself; zero: never.
func (p *pause) end() time.Time {
	if p.until == nil {
		return time.Time{}
	}
	return *p.until
}

// openPauseSQL finds the pause of a lead that is not over.
const openPauseSQL = `SELECT until FROM lead_pause WHERE lead_id = $1 AND resumed_at IS NULL AND (until IS NULL OR until > clock_timestamp())`

// readPause gives the pause of a lead; nil: it is not paused.
func readPause(ctx context.Context, tx pgx.Tx, id uuid.UUID) (p *pause, err error) {
	var until *time.Time
	rows, err := tx.Query(ctx, openPauseSQL, id)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&until}, func() error { p = &pause{until}; return nil })
	}
	if err != nil {
		return nil, fmt.Errorf("read the pause of lead %s: %w", id, err)
	}
	return p, nil
}

// check says what is wrong with a request; nil: nothing.
func (r PauseRequest) check() error {
	field := func(name, code, message string) error {
		return &fault.Error{Kind: fault.Invalid, Message: "The lead cannot be paused like this.", Fields: []fault.Field{{Field: name, Code: code, Message: message}}}
	}
	switch {
	case !slices.Contains(PauseReasons, r.Reason):
		return field("reason", "unknown", "Use quiet_hours, asked_for_time or on_hold.")
	case r.Reason != PauseOnHold && r.Until.IsZero():
		return field("until", "missing", "Say when it is over, like 2026-11-30T09:00:00+01:00.")
	case r.Reason == PauseOnHold && shorten(r.Note) == "":
		return field("note", "missing", "Say why it is on hold.")
	}
	return nil
}

// Pause lets the clocks for people stand; offers of the lead go on as they are. Pausing a lead that is paused already changes why and until
// when. Faults: Invalid, NotFound, Forbidden for a rep who does not have it, Conflict for a lead that nobody works on.
func (s *Service) Pause(ctx context.Context, r PauseRequest) error {
	if err := r.check(); err != nil {
		return err
	}
	return s.act(ctx, func(tx pgx.Tx) (effects, error) {
		l, err := readPausable(ctx, tx, r.LeadID, r.RepID)
		if err != nil {
			return effects{}, err
		}
		switch {
		case !r.Until.IsZero() && !r.Until.After(l.now):
			return effects{}, notThen("Give a time that is to come.")
		case r.Until.After(l.now.Add(mostPause)):
			return effects{}, notThen("Give a time within 90 days.")
		}
		e := effects{events: true}
		send := &pgx.Batch{}
		send.Queue(`UPDATE lead_pause SET resumed_at = least($2, until) WHERE lead_id = $1 AND resumed_at IS NULL`, r.LeadID, l.now)
		send.Queue(`INSERT INTO lead_pause (lead_id, at, reason, note, until, by) VALUES ($1, $2, $3, $4, $5, $6)`,
			r.LeadID, l.now, r.Reason, shorten(r.Note), stored(r.Until), r.By)
		s.setClocks(send, l, &e, func(c routing.Clock, hours rep.AllOf) routing.Clock { return c.Pause(l.now, r.Until, hours) })
		data := map[string]any{"reason": r.Reason, "by": r.By}
		if !r.Until.IsZero() {
			data["until"] = r.Until.UTC().Format(time.RFC3339)
		}
		return e, l.finish(ctx, tx, send, lead.EventPaused, data)
	})
}

func notThen(message string) error {
	return &fault.Error{
		Kind: fault.Invalid, Message: "The lead cannot be paused until then.",
		Fields: []fault.Field{{Field: "until", Code: "range", Message: message}},
	}
}

// Resume lets the clocks of a paused lead run again at once. repID is as in PauseRequest. Faults: NotFound, Forbidden, Conflict when it is not
// paused.
func (s *Service) Resume(ctx context.Context, leadID, repID uuid.UUID, by string) error {
	return s.act(ctx, func(tx pgx.Tx) (effects, error) {
		l, err := readPausable(ctx, tx, leadID, repID)
		if err != nil {
			return effects{}, err
		}
		if !l.paused {
			return effects{}, conflict(CodeNotPaused, "This lead is not paused.")
		}
		e := effects{events: true}
		send := &pgx.Batch{}
		send.Queue(`UPDATE lead_pause SET resumed_at = $2 WHERE lead_id = $1 AND resumed_at IS NULL`, leadID, l.now)
		s.setClocks(send, l, &e, func(c routing.Clock, _ rep.AllOf) routing.Clock { return c.Resume(l.now) })
		return e, l.finish(ctx, tx, send, lead.EventResumed, map[string]any{"by": by})
	})
}

// pausable is a lead whose clocks are to be changed, locked.
type pausable struct {
	id     uuid.UUID
	pool   string
	stage  lead.Stage
	zone   string // its own
	holder *uuid.UUID
	now    time.Time
	paused bool
	clocks []running
}

// running is a clock for people that has not stopped, with whose hours it runs on.
type running struct {
	kind  routing.ClockKind
	pool  string
	clock routing.Clock
	who   *rep.Rep
}

// readPausable locks a lead and only then reads the rest. repID asks, unless it is zero.
func readPausable(ctx context.Context, tx pgx.Tx, id, repID uuid.UUID) (*pausable, error) {
	l := &pausable{id: id}
	var erased bool
	batch := &pgx.Batch{}
	batch.Queue(`SELECT stage, pool, rep_id, timezone, erased_at IS NOT NULL FROM lead WHERE id = $1 FOR UPDATE`, id).QueryRow(func(row pgx.Row) error {
		return missing(row.Scan(&l.stage, &l.pool, &l.holder, &l.zone, &erased), "There is no such lead.")
	})
	batch.Queue(`SELECT clock_timestamp(), EXISTS (`+openPauseSQL+`)`, id).QueryRow(func(row pgx.Row) error { return row.Scan(&l.now, &l.paused) })
	batch.Queue(`SELECT c.kind, c.pool, c.target, c.used, c.since, r.hours, r.timezone FROM lead_clock c LEFT JOIN rep r ON r.id = c.rep_id
		WHERE c.lead_id = $1 AND c.kind <> 'system' AND c.stopped_at IS NULL`, id).Query(func(rows pgx.Rows) (err error) {
		l.clocks, err = pgx.CollectRows(rows, scanRunning)
		return err
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("read the clocks of lead %s: %w", id, err)
	}
	if repID != uuid.Nil && (l.holder == nil || *l.holder != repID) {
		return nil, fault.New(fault.Forbidden, "Only the rep who has this lead can pause it.")
	}
	switch l.stage {
	case lead.StageOffered, lead.StageWaiting, lead.StageClaimed, lead.StageContacted:
		if !erased {
			return l, nil
		}
	}
	return nil, conflict(CodeMovedOn, "Nobody works on this lead now, so its clocks do not run.")
}

func scanRunning(row pgx.CollectableRow) (r running, err error) {
	var since *time.Time
	var hours, zone *string
	if err := row.Scan(&r.kind, &r.pool, &r.clock.Target, &r.clock.Used, &since, &hours, &zone); err != nil {
		return r, err
	}
	if since != nil {
		r.clock.Since = *since
	}
	if hours != nil && zone != nil {
		r.who = &rep.Rep{Hours: *hours, Timezone: *zone}
	}
	return r, nil
}

// setClocks queues the clocks of a lead as a change makes them, with when their steps are due from then on. A pool that is no more has no
// hours either: such a clock runs all the time.
func (s *Service) setClocks(send *pgx.Batch, l *pausable, e *effects, change func(routing.Clock, rep.AllOf) routing.Clock) {
	for _, r := range l.clocks {
		p := s.Snapshot().pool(r.pool)
		if p == nil {
			p = &routing.Pool{Calendar: routing.NoCalendar}
		}
		hours := p.ClockHours(r.kind, r.who, l.zone)
		c := change(r.clock, hours)
		steps := c.Steps(hours)
		send.Queue(`UPDATE lead_clock SET used = $3, since = $4, warn_at = $5, target_at = $6, escalate_at = $7 WHERE lead_id = $1 AND kind = $2`,
			l.id, r.kind, c.Used, stored(c.Since), stored(steps.Warn), stored(steps.Act), stored(steps.Escalate))
		if !steps.Warn.IsZero() {
			e.soon(max(steps.Warn.Sub(l.now), time.Millisecond))
		}
	}
}

// finish writes what was queued, and the event.
func (l *pausable) finish(ctx context.Context, tx pgx.Tx, send *pgx.Batch, kind lead.EventKind, data map[string]any) error {
	events := &eventRows{}
	if err := events.add(l.id, kind, l.pool, l.holder, 0, data); err != nil {
		return err
	}
	events.queue(send)
	if err := tx.SendBatch(ctx, send).Close(); err != nil {
		return fmt.Errorf("change the clocks of lead %s: %w", l.id, err)
	}
	return nil
}
