package hold

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"leadline/internal/audit"
	"leadline/internal/lead"
)

// decision is one of the three things that people do to held leads. All of them are harmless to repeat: what has moved on is left alone.
type decision struct {
	from  State
	to    State
	stage lead.Stage // that the lead must have
	lead  string     // how it changes
	event lead.EventKind
	word  audit.Action
}

var (
	release = decision{
		from: Open, to: Released, stage: lead.StageHeld, event: lead.EventReleased, word: audit.HoldReleased,
		lead: `UPDATE lead SET stage = 'new', node = @node, dispatch_lease = clock_timestamp() + interval '5 seconds' WHERE id IN @ids`,
	}
	discard = decision{
		from: Open, to: Discarded, stage: lead.StageHeld, event: lead.EventDiscarded, word: audit.HoldDiscarded,
		lead: `UPDATE lead SET stage = 'disqualified', disposition = 'spam', closed_at = clock_timestamp() WHERE id IN @ids`,
	}
	restore = decision{
		from: Discarded, to: Open, stage: lead.StageDisqualified, event: lead.EventHeld, word: audit.HoldRestored,
		lead: `UPDATE lead SET stage = 'held', disposition = '', closed_at = NULL WHERE id IN @ids`,
	}
)

// Release lets held leads in scope go on as new ones, and tells how many did.
func (s *Store) Release(ctx context.Context, scope lead.Scope, ids []uuid.UUID) (int, error) {
	n, err := s.settle(ctx, scope, ids, release)
	if err == nil && n > 0 {
		s.Released(n)
	}
	return n, err
}

// Discard closes held leads in scope as spam, and gives those that were.
func (s *Store) Discard(ctx context.Context, scope lead.Scope, ids []uuid.UUID) (int, error) {
	return s.settle(ctx, scope, ids, discard)
}

// Restore undoes Discard.
func (s *Store) Restore(ctx context.Context, scope lead.Scope, ids []uuid.UUID) (int, error) {
	return s.settle(ctx, scope, ids, restore)
}

// settle carries a decision out in one transaction. Locks: leads by id, the audit chain's head, and last the event counter.
func (s *Store) settle(ctx context.Context, scope lead.Scope, ids []uuid.UUID, d decision) (int, error) {
	if err := chosen(ids); err != nil {
		return 0, err
	}
	var moved []uuid.UUID
	err := s.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		within, args := scope.Where()
		err := tx.Raw(`SELECT l.id FROM lead l JOIN hold h ON h.lead_id = l.id WHERE l.id IN ? AND l.stage = ? AND h.state = ? AND l.erased_at IS NULL AND `+within+`
			ORDER BY l.id FOR UPDATE OF l, h`, append([]any{ids, string(d.stage), string(d.from)}, args...)...).Scan(&moved).Error
		if err != nil || len(moved) == 0 {
			return err
		}
		names := map[string]any{"ids": moved, "node": s.Node, "to": string(d.to), "by": audit.ActorOf(ctx).ID, "kind": string(d.event)}
		if err := tx.Exec(d.lead, names).Error; err != nil {
			return err
		}
		err = tx.Exec(`UPDATE hold SET state = @to, settled_at = CASE WHEN @to = 'open' THEN NULL ELSE clock_timestamp() END,
			settled_by = CASE WHEN @to = 'open' THEN NULL ELSE CAST(@by AS uuid) END WHERE lead_id IN @ids`, names).Error
		if err != nil {
			return err
		}
		for _, id := range moved {
			if _, err := audit.Append(ctx, tx, audit.Entry{Action: d.word, ObjectKind: "lead", Object: id.String()}); err != nil {
				return err
			}
		}
		return tx.Exec(`SELECT append_events(array_agg(id), array_agg(CAST(@kind AS text)), array_agg(pool), array_agg(NULL::uuid), array_agg(attempt),
			array_agg(jsonb_build_object('account', CAST(@by AS uuid)))) FROM lead WHERE id IN @ids`, names).Error
	})
	if err != nil {
		return 0, fmt.Errorf("settle %d held leads: %w", len(ids), err)
	}
	if len(moved) > 0 {
		s.Changed()
	}
	return len(moved), nil
}
