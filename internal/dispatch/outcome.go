package dispatch

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/routing"
)

// OutcomeRequest is what came of a contact. RepID is the holder; the zero RepID stands for somebody else who may act for the
// holder (ops), and then By must say who.
type OutcomeRequest struct {
	LeadID      uuid.UUID
	RepID       uuid.UUID
	Disposition string
	Reason      string // at most 200 characters are kept; never contact details
	By          string
}

// stageOf maps dispositions to the stage that follows from them.
var stageOf = map[string]lead.Stage{
	"connected":    lead.StageContacted,
	"no_answer":    lead.StageContacted,
	"voicemail":    lead.StageContacted,
	"wrong_number": lead.StageContacted,
	"callback":     lead.StageContacted,
	"booked":       lead.StageBooked,
	"no_show":      lead.StageContacted, // what was booked did not take place: somebody has to call again
	"cancelled":    lead.StageContacted,
	"disqualified": lead.StageDisqualified,
	"recycle":      lead.StageClosed,
}

// held is a lead whose outcome is recorded, locked.
type held struct {
	stage       lead.Stage
	pool        string
	attempt     int
	holder      *uuid.UUID
	disposition string
	touched     bool
	spoke       bool    // both sides have spoken before
	heldFor     float64 // seconds since the holder took it
}

// Outcome records a disposition and what follows from it. The first one is the first touch. Repeating it is harmless; another
// one replaces it. Faults: Invalid for an unknown disposition, Forbidden for anybody but the holder, Conflict while nobody holds
// the lead, NotFound.
func (s *Service) Outcome(ctx context.Context, r OutcomeRequest) error {
	stage, known := stageOf[r.Disposition]
	if !known {
		return &fault.Error{
			Kind: fault.Invalid, Message: "That is not an outcome.",
			Fields: []fault.Field{{
				Field: "disposition", Code: "unknown",
				Message: "Use connected, no_answer, voicemail, wrong_number, callback, booked, no_show, cancelled, disqualified or recycle.",
			}},
		}
	}
	var toFirstTouch *float64
	err := s.act(ctx, func(tx pgx.Tx) (effects, error) {
		toFirstTouch = nil
		h, err := readHeld(ctx, tx, r)
		if err != nil || h.disposition == r.Disposition && h.stage == stage {
			return effects{}, err
		}
		if toFirstTouch, err = record(ctx, tx, h, r, stage); err != nil {
			return effects{}, err
		}
		if err := s.settleTurn(ctx, tx, h, r); err != nil {
			return effects{}, err
		}
		claimed, err := s.Outbox.Bump(ctx, tx, s.Node, r.LeadID)
		if err != nil {
			return effects{}, err
		}
		e := effects{events: true, claimed: claimed, freed: h.stage == lead.StageClaimed, delays: h.delays(r.Disposition)}
		return e, appendOutcome(ctx, tx, h, r, stage)
	})
	if err == nil && toFirstTouch != nil {
		s.Metrics.FirstTouch(*toFirstTouch)
	}
	return err
}

// delays is what the holder took until what was reached now for the first time.
func (h held) delays(disposition string) (d []delay) {
	if attempts[disposition] && !h.touched {
		d = append(d, delay{routing.ClockAttempt, h.heldFor})
	}
	if contacts[disposition] && !h.spoke {
		d = append(d, delay{routing.ClockContact, h.heldFor})
	}
	return d
}

func readHeld(ctx context.Context, tx pgx.Tx, r OutcomeRequest) (held, error) {
	var h held
	var erased bool
	err := tx.QueryRow(ctx, `SELECT stage, pool, attempt, rep_id, disposition, first_touch_at IS NOT NULL, erased_at IS NOT NULL,
			coalesce(extract(epoch FROM clock_timestamp() - claimed_at), 0)::double precision,
			EXISTS (SELECT FROM event e WHERE e.lead_id = lead.id AND e.kind = 'outcome' AND e.data->>'disposition' = ANY($2))
		FROM lead WHERE id = $1 FOR UPDATE`, r.LeadID, slices.Collect(maps.Keys(contacts))).
		Scan(&h.stage, &h.pool, &h.attempt, &h.holder, &h.disposition, &h.touched, &erased, &h.heldFor, &h.spoke)
	if err != nil {
		return h, missing(err, "There is no such lead.")
	}
	byHolder := h.holder != nil && *h.holder == r.RepID
	byOps := r.RepID == uuid.Nil && r.By != ""
	switch {
	case h.holder == nil:
		return h, conflict("unclaimed", "Nobody has this lead yet. Claim it first.")
	case !byHolder && !byOps:
		return h, fault.New(fault.Forbidden, "Only the rep who has this lead can record its outcome.")
	case erased:
		return h, conflict(CodeMovedOn, "This person was erased. Nothing more can be recorded.")
	case h.stage == lead.StageHeld || h.stage == lead.StageQuarantined:
		return h, conflict(CodeMovedOn, "This lead is on hold.")
	}
	return h, nil
}

// record changes the lead. The answer is the time from acceptance to first touch in seconds, if this was it.
func record(ctx context.Context, tx pgx.Tx, h held, r OutcomeRequest, stage lead.Stage) (*float64, error) {
	closes := stage != lead.StageContacted
	var seconds float64
	batch := &pgx.Batch{}
	batch.Queue(`UPDATE lead SET stage = $2, disposition = $3, revision = revision + 1,
			first_touch_at = coalesce(first_touch_at, clock_timestamp()),
			closed_at = CASE WHEN $4 THEN clock_timestamp() END
		WHERE id = $1 RETURNING extract(epoch FROM first_touch_at - accepted_at)::double precision`,
		r.LeadID, string(stage), r.Disposition, closes).QueryRow(func(row pgx.Row) error { return row.Scan(&seconds) })
	stopHeld(batch, r.LeadID, r.Disposition, closes)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("record the outcome of lead %s: %w", r.LeadID, err)
	}
	if h.touched {
		return nil, nil //nolint:nilnil // touched before: there is nothing to measure
	}
	return &seconds, nil
}

func appendOutcome(ctx context.Context, tx pgx.Tx, h held, r OutcomeRequest, stage lead.Stage) error {
	rows := &eventRows{}
	if !h.touched {
		if err := rows.add(r.LeadID, lead.EventTouched, h.pool, h.holder, h.attempt, map[string]any{"disposition": r.Disposition}); err != nil {
			return err
		}
	}
	data := map[string]any{"disposition": r.Disposition, "stage": string(stage)}
	if reason := shorten(r.Reason); reason != "" {
		data["reason"] = reason
	}
	if r.By != "" {
		data["by"] = r.By
	}
	if err := rows.add(r.LeadID, lead.EventOutcome, h.pool, h.holder, h.attempt, data); err != nil {
		return err
	}
	return rows.append(ctx, tx)
}
