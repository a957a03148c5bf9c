package dispatch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/fault"
	"leadline/internal/routing"
)

// maxReason bounds the words that come with an action.
const maxReason = 200

// PassRequest is a rep's wish not to take an offer.
type PassRequest struct {
	LeadID  uuid.UUID
	RepID   uuid.UUID
	Attempt int             // the offer that the rep saw; 0: whatever is current
	Reason  routing.Decline // empty: other
	Note    string          // in words; at most 200 characters are kept, and never contact details
	By      string          // console, api or slack
}

const passSQL = `SELECT ` + taskColumns + ` FROM lead l WHERE l.id = $2 FOR UPDATE`

// Pass ends an exclusive offer that the rep does not want, and gives the lead its next place in the same transaction. It does
// not count as a missed offer; whether the turn counts is for the reason to say. Repeating it is harmless; an offer that is no longer
// the rep's is a Conflict, a reason that does not exist is Invalid.
func (s *Service) Pass(ctx context.Context, r PassRequest) error {
	if r.Reason == "" {
		r.Reason = routing.OtherReason
	}
	if !r.Reason.Known() {
		return noSuchReason()
	}
	return s.act(ctx, func(tx pgx.Tx) (effects, error) {
		rows, err := tx.Query(ctx, passSQL, s.Node, r.LeadID)
		if err != nil {
			return effects{}, fmt.Errorf("read lead %s for a pass: %w", r.LeadID, err)
		}
		t, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (*task, error) { return scanTask(row) })
		if err != nil {
			return effects{}, missing(err, "There is no such lead.")
		}
		if r.Attempt == 0 {
			r.Attempt = t.attempt
		}
		done, err := passable(ctx, tx, t, r)
		if err != nil || done {
			return effects{}, err
		}
		snap := s.Snapshot()
		if snap.Table.Version() == 0 {
			return effects{}, &fault.Error{Kind: fault.Unavailable, Message: "The configuration is still being loaded. Try again in a moment.", RetryAfter: time.Second}
		}
		t.cause, t.endState, t.reason, t.declined = causeDecline, stateDeclined, shorten(r.Note), r.Reason
		last, e, err := s.place(ctx, tx, snap, []*task{t})
		if err != nil {
			return effects{}, err
		}
		if err := tx.SendBatch(ctx, last).Close(); err != nil {
			return effects{}, fmt.Errorf("write the next place of lead %s: %w", r.LeadID, err)
		}
		return *e, nil
	})
}

func noSuchReason() error {
	codes := make([]string, len(routing.Declines))
	for i, d := range routing.Declines {
		codes[i] = string(d)
	}
	return &fault.Error{
		Kind: fault.Invalid, Message: "That is not a reason to pass.",
		Fields: []fault.Field{{Field: "reason", Code: "unknown", Message: "Use " + strings.Join(codes[:len(codes)-1], ", ") + " or " + codes[len(codes)-1] + "."}},
	}
}

// passable tells whether the offer is the rep's to pass; done: it was passed before.
func passable(ctx context.Context, tx pgx.Tx, t *task, r PassRequest) (done bool, err error) {
	var state string
	var late bool
	err = tx.QueryRow(ctx, `SELECT state, coalesce(deadline <= clock_timestamp(), false) FROM offer
		WHERE lead_id = $1 AND attempt = $2 AND rep_id = $3`, r.LeadID, r.Attempt, r.RepID).Scan(&state, &late)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, conflict(CodeMovedOn, "This lead is not offered to you.")
	case err != nil:
		return false, fmt.Errorf("read the offer to pass: %w", err)
	case state == stateDeclined:
		return true, nil
	case state == stateTimedOut, state == "open" && late:
		return false, conflict(CodeExpired, "The time for this offer ran out. The lead has moved on.")
	case state != "open" || t.attempt != r.Attempt:
		return false, conflict(CodeMovedOn, "This lead has moved on since you saw it.")
	}
	return false, nil
}

// shorten bounds a text of a person without cutting a character in two.
func shorten(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(strings.TrimSpace(s), "\x00", ""), "\uFFFD")
	if utf8.RuneCountInString(s) <= maxReason {
		return s
	}
	return string([]rune(s)[:maxReason])
}
