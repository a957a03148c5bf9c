package dispatch

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/audit"
	"leadline/internal/credit"
	"leadline/internal/fault"
	"leadline/internal/lead"
)

// HandOverRequest is the wish that somebody else gets a lead that a rep has taken and not contacted yet.
type HandOverRequest struct {
	LeadID uuid.UUID
	RepID  uuid.UUID // the holder, who gives it to others by choice; zero: somebody takes it from them
	Reason string    // in words, needed; at most 200 characters are kept, and never contact details
}

const handOverSQL = `SELECT ` + taskColumns + `, l.rep_id FROM lead l WHERE l.id = $2 FOR UPDATE`

// HandOver takes a lead from its holder and gives it its next place in the same transaction, to whoever is next and has not had it. From
// whom it was taken gets the turn back; who gave it to others has had theirs. Either is a row of the ledger, and audited. Faults:
// Invalid without a reason, Forbidden for a rep who is not the holder, Conflict while nobody holds it and once it was contacted, NotFound.
func (s *Service) HandOver(ctx context.Context, r HandOverRequest) error {
	if r.Reason = shorten(r.Reason); strings.TrimSpace(r.Reason) == "" {
		return &fault.Error{
			Kind: fault.Invalid, Message: "Say why somebody else should have this lead.",
			Fields: []fault.Field{{Field: "reason", Code: "missing", Message: "Say why in up to 200 characters."}},
		}
	}
	return s.act(ctx, func(tx pgx.Tx) (effects, error) {
		rows, err := tx.Query(ctx, handOverSQL, s.Node, r.LeadID)
		if err != nil {
			return effects{}, fmt.Errorf("read lead %s to hand it over: %w", r.LeadID, err)
		}
		var holder *uuid.UUID
		t, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (*task, error) { return scanTask(row, &holder) })
		if err != nil {
			return effects{}, missing(err, "There is no such lead.")
		}
		if err := mayBeHandedOver(t, holder, r); err != nil {
			return effects{}, err
		}
		snap := s.Snapshot()
		if snap.Table.Version() == 0 {
			return effects{}, &fault.Error{Kind: fault.Unavailable, Message: "The configuration is still being loaded. Try again in a moment.", RetryAfter: time.Second}
		}
		t.cause, t.handed = causeTaken, &credit.Entry{Kind: credit.Taken, RepID: *holder, Reason: r.Reason}
		if r.RepID != uuid.Nil {
			t.cause, t.handed.Kind = causeHandedOver, credit.HandedOver
		}
		return s.takeFromHolder(ctx, tx, snap, t, *holder, audit.Entry{
			Action: audit.LeadHandedOver, ObjectKind: "lead", Object: r.LeadID.String(), Note: r.Reason,
			Detail: map[string]any{"rep": *holder, "kind": string(t.handed.Kind)},
		})
	})
}

// mayBeHandedOver says why a lead cannot be taken from its holder; nil: can.
func mayBeHandedOver(t *task, holder *uuid.UUID, r HandOverRequest) error {
	switch {
	case holder == nil:
		return conflict("unclaimed", "Nobody has this lead, so there is nobody to take it from.")
	case r.RepID != uuid.Nil && *holder != r.RepID:
		return fault.New(fault.Forbidden, "Only the rep who has this lead can give it to others.")
	case t.stage != lead.StageClaimed:
		return conflict(CodeMovedOn, "This lead was contacted already. It stays with whoever did.")
	}
	return nil
}
