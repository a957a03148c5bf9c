package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/postgres"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

// The codes of Conflict faults.
const (
	CodeLostRace    = "lost_race"    // somebody else has it; Extra names the winner
	CodeExpired     = "expired"      // the rep's offer ran out
	CodeMovedOn     = "moved_on"     // the lead is somewhere else by now
	CodeNotEligible = "not_eligible" // this rep may not take it
)

// ClaimRequest is a rep's wish to take a lead.
type ClaimRequest struct {
	LeadID  uuid.UUID
	RepID   uuid.UUID
	Attempt int    // the offer that the rep saw; 0: whatever is current
	By      string // console, api or slack
}

// Won says that the lead is the rep's. Already: it was before this call.
type Won struct {
	LeadID  uuid.UUID
	Attempt int
	At      time.Time
	Already bool
}

// Claim gives a lead to a rep, or says why not: a Conflict with one of the codes above, or NotFound. Exactly one rep can win;
// the row lock on the lead decides, or in a pool with a window the turns of those who claim within it: the answer then takes as long as the
// window. Repeating a claim that won is harmless.
func (s *Service) Claim(ctx context.Context, r ClaimRequest) (Won, error) {
	var won Won
	var wait time.Duration
	err := s.act(ctx, func(tx pgx.Tx) (effects, error) {
		wait = 0
		c, err := readClaim(ctx, tx, r)
		if err != nil {
			return effects{}, err
		}
		if c.holder != nil && *c.holder == r.RepID {
			won = Won{LeadID: r.LeadID, Attempt: c.attempt, At: c.claimedAt, Already: true}
			return effects{}, nil
		}
		if err := s.judge(c, r); err != nil {
			return effects{}, err
		}
		if p := s.windowed(c); p != nil {
			r.Attempt = c.attempt
			wait, err = bid(ctx, tx, c, r, p.Offer.Window)
			return effects{}, err
		}
		won = Won{LeadID: r.LeadID, Attempt: c.attempt}
		return s.give(ctx, tx, c, r, &won.At)
	})
	if err != nil {
		return Won{}, err
	}
	if wait > 0 {
		return s.settleBids(ctx, r, wait)
	}
	return won, nil
}

// claim is a lead as its claimant finds it, locked.
type claim struct {
	lead      uuid.UUID
	accepted  time.Time
	stage     lead.Stage
	pool      string
	attempt   int
	holder    *uuid.UUID
	claimedAt time.Time
	since     time.Duration // since it was claimed

	open      bool // an offer of the current attempt is open
	offeredTo *uuid.UUID
	late      bool    // its deadline has passed
	shownFor  float64 // seconds since a screen showed it, or since it was made where none did

	asked string // state of the offer that the rep saw; empty: none, or not the rep's

	who      rep.Rep   // the claimant, as far as a claim asks
	now      time.Time // on the database's clock
	zone     string    // the lead's own
	paused   *pause    // nil: its clocks run
	barred   bool      // the lead was just taken out of the claimant's hands
	needs    []string  // tags that whoever gets the lead must have
	tags     string    // of the rep
	winner   string    // e-mail and name of the holder
	winnerIs string
}

// readClaim locks the lead, and only then reads the rest: what stood in the way of the lock has changed it.
func readClaim(ctx context.Context, tx pgx.Tx, r ClaimRequest) (*claim, error) {
	c := &claim{lead: r.LeadID}
	var claimedAt *time.Time
	var since *float64
	batch := &pgx.Batch{}
	batch.Queue(`SELECT stage, pool, attempt, rep_id, accepted_at, timezone FROM lead WHERE id = $1 FOR UPDATE`, r.LeadID).QueryRow(func(row pgx.Row) error {
		return missing(row.Scan(&c.stage, &c.pool, &c.attempt, &c.holder, &c.accepted, &c.zone), "There is no such lead.")
	})
	batch.Queue(`SELECT claimed_at, extract(epoch FROM clock_timestamp() - claimed_at)::double precision, coalesce(r.email, ''), coalesce(r.name, '')
		FROM lead l LEFT JOIN rep r ON r.id = l.rep_id WHERE l.id = $1`, r.LeadID).QueryRow(func(row pgx.Row) error {
		return row.Scan(&claimedAt, &since, &c.winner, &c.winnerIs)
	})
	batch.Queue(`SELECT o.rep_id, o.state = 'open', coalesce(o.deadline <= clock_timestamp(), false),
			extract(epoch FROM clock_timestamp() - coalesce(o.shown_at, o.offered_at))::double precision
		FROM offer o JOIN lead l ON l.id = o.lead_id AND l.attempt = o.attempt WHERE l.id = $1`, r.LeadID).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&c.offeredTo, &c.open, &c.late, &c.shownFor}, func() error { return nil })
		return err
	})
	batch.Queue(`SELECT state FROM offer WHERE lead_id = $1 AND attempt = $2 AND rep_id = $3`, r.LeadID, r.Attempt, r.RepID).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&c.asked}, func() error { return nil })
		return err
	})
	batch.Queue(`SELECT id, email, active, hours, timezone FROM rep WHERE id = $1`, r.RepID).QueryRow(func(row pgx.Row) error {
		return missing(row.Scan(&c.who.ID, &c.who.Email, &c.who.Active, &c.who.Hours, &c.who.Timezone), "There is no such rep.")
	})
	batch.Queue(`SELECT clock_timestamp(), EXISTS (SELECT FROM lead_clock c JOIN lead l ON l.id = c.lead_id
		WHERE c.lead_id = $1 AND c.taken_from = $2 AND c.taken_attempt = l.attempt)`, r.LeadID, r.RepID).QueryRow(func(row pgx.Row) error {
		return row.Scan(&c.now, &c.barred)
	})
	batch.Queue(openPauseSQL, r.LeadID).Query(func(rows pgx.Rows) error {
		var until *time.Time
		_, err := pgx.ForEachRow(rows, []any{&until}, func() error { c.paused = &pause{until}; return nil })
		return err
	})
	c.readNeeds(batch, r.LeadID, r.RepID)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("read lead %s for a claim: %w", r.LeadID, err)
	}
	if claimedAt != nil && since != nil {
		c.claimedAt, c.since = *claimedAt, time.Duration(*since*float64(time.Second))
	}
	return c, nil
}

// missing turns an absent row into a fault for people.
func missing(err error, message string) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.New(fault.NotFound, "%s", message)
	}
	return err
}

// judge says why a rep cannot have a lead; nil: can.
func (s *Service) judge(c *claim, r ClaimRequest) error {
	switch {
	case c.holder != nil:
		return c.lost()
	case !c.who.Active:
		return conflict(CodeNotEligible, "Your rep account is switched off, so you cannot take leads.")
	case c.stage != lead.StageOffered && c.stage != lead.StageWaiting:
		return conflict(CodeMovedOn, "This lead cannot be taken now.")
	case c.barred:
		return conflict(CodeNotEligible, "Your time for this lead ran out, so others are asked first.")
	case r.Attempt != 0 && r.Attempt != c.attempt:
		if c.asked == stateTimedOut {
			return conflict(CodeExpired, "The time for this offer ran out. The lead has moved on.")
		}
		return conflict(CodeMovedOn, "This lead has moved on since you saw it.")
	case c.stage == lead.StageOffered && !c.open:
		return conflict(CodeMovedOn, "This lead has moved on since you saw it.")
	case c.stage == lead.StageOffered && c.offeredTo != nil:
		switch {
		case *c.offeredTo != r.RepID:
			return conflict(CodeMovedOn, "This lead is offered to somebody else right now.")
		case c.late:
			return conflict(CodeExpired, "The time for this offer has just run out.")
		}
		return nil
	}
	if !slices.Contains(s.Snapshot().rulesFor(c.lead, c.accepted).table.PoolsOf(c.who.Email), c.pool) {
		return conflict(CodeNotEligible, "This lead is in a pool that you are not in.")
	}
	if tag := c.lacks(); tag != "" {
		return conflict(CodeNotEligible, "This lead is for people with the tag "+tag+".")
	}
	return nil
}

func conflict(code, message string) error {
	return &fault.Error{Kind: fault.Conflict, Code: code, Message: message}
}

// lost names the winner, so that losing a race is no riddle.
func (c *claim) lost() error {
	name := c.winnerIs
	if name == "" {
		name = "Somebody else"
	}
	return &fault.Error{
		Kind: fault.Conflict, Code: CodeLostRace, Message: fmt.Sprintf("%s took this %s before you.", name, ago(c.since)),
		Extra: map[string]any{"winner": map[string]string{"email": c.winner, "name": c.winnerIs}, "by_ms": max(c.since.Milliseconds(), 0)},
	}
}

// ago is a short time in words.
func ago(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", max(d.Seconds(), 0.1))
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f h", d.Hours())
}

// followSQL hands over the leads that are attached to one.
const followSQL = `UPDATE lead SET rep_id = $2, revision = revision + 1 FROM lead_joined j WHERE j.to_lead = $1 AND lead.id = j.lead_id RETURNING lead.id`

// give writes the claim. c.who is who gets the lead.
func (s *Service) give(ctx context.Context, tx pgx.Tx, c *claim, r ClaimRequest, at *time.Time) (effects, error) {
	batch := &pgx.Batch{}
	batch.Queue(`UPDATE lead SET stage = 'claimed', rep_id = $2, claimed_at = clock_timestamp(), revision = revision + 1
		WHERE id = $1 RETURNING claimed_at`, r.LeadID, r.RepID).QueryRow(func(row pgx.Row) error { return row.Scan(at) })
	batch.Queue(`UPDATE offer SET state = 'accepted', screen_by = NULL, ended_at = clock_timestamp() WHERE lead_id = $1 AND state = 'open'`, r.LeadID)
	var over []string // kinds of alarms
	batch.Queue(closeOwnedSQL, r.LeadID).Query(func(rows pgx.Rows) (err error) {
		over, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	batch.Queue(`UPDATE rep SET missed = 0 WHERE id = $1 AND missed > 0`, r.RepID)
	e := effects{events: true}
	s.startHeld(batch, c, r.LeadID, &e)
	var attached []uuid.UUID
	batch.Queue(followSQL, r.LeadID, r.RepID).Query(func(rows pgx.Rows) (err error) {
		attached, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		return err
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return effects{}, fmt.Errorf("give lead %s to a rep: %w", r.LeadID, err)
	}
	var err error
	if e.claimed, err = s.Outbox.Bump(ctx, tx, s.Node, r.LeadID); err != nil {
		return effects{}, err
	}
	for _, id := range attached {
		with, err := s.Outbox.Bump(ctx, tx, s.Node, id)
		if err != nil {
			return effects{}, err
		}
		e.claimed = append(e.claimed, with...)
	}
	rows := &eventRows{}
	if c.open {
		e.delays = append(e.delays, delay{routing.ClockAccept, c.shownFor})
		if err := rows.add(r.LeadID, lead.EventOfferEnded, c.pool, c.offeredTo, c.attempt, map[string]any{"state": "accepted", "reason": ""}); err != nil {
			return effects{}, err
		}
	}
	if err := rows.add(r.LeadID, lead.EventClaimed, c.pool, &r.RepID, c.attempt, map[string]any{"by": r.By}); err != nil {
		return effects{}, err
	}
	for _, kind := range over {
		if err := rows.add(r.LeadID, lead.EventAlarm, c.pool, nil, 0, map[string]any{"kind": kind, "state": "closed"}); err != nil {
			return effects{}, err
		}
	}
	return e, rows.append(ctx, tx)
}

// How long an action of a person waits for a lead that dispatch or somebody else has locked, and how often it tries.
const (
	actLockWait = "400ms"
	actTries    = 3
)

// act runs what a person asked for in one transaction, again when it lost a deadlock or could not get a lock, and announces its
// effects once committed.
func (s *Service) act(ctx context.Context, f func(pgx.Tx) (effects, error)) error {
	for try := 1; ; try++ {
		var e effects
		err := postgres.InTx(ctx, s.DB.Console, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '`+actLockWait+`'`); err != nil {
				return fmt.Errorf("limit waiting for locks: %w", err)
			}
			var err error
			e, err = f(tx)
			return err
		})
		switch {
		case err == nil:
			s.announce(e)
			if e.nearest > 0 {
				poke(s.rearm)
			}
			return nil
		case !isTransient(err):
			return err
		case try == actTries:
			busy := fault.Wrap(fault.Unavailable, err, "This lead is busy. Try again in a moment.")
			busy.RetryAfter = time.Second
			return busy
		}
	}
}
