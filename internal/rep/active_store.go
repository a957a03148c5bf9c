package rep

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"leadline/internal/audit"
)

// SetActive says whether somebody takes leads at all, and tells all processes. Somebody who no longer does loses offers and leads
// they have not touched: dispatch gives these to others at once. It is audited; repeating it changes nothing. A missing rep is a
// NotFound fault.
func (s *Store) SetActive(ctx context.Context, email string, active bool) (Rep, error) {
	var changed Rep
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var err error
		if changed, err = NewStore(tx).ByEmail(ctx, email); err != nil || changed.Active == active {
			return err
		}
		changed.Active = active
		if err := tx.Exec(`UPDATE rep SET active = ?, updated_at = clock_timestamp() WHERE id = ?`, active, changed.ID).Error; err != nil {
			return fmt.Errorf("change whether a rep is active: %w", err)
		}
		return recordActive(ctx, tx, changed.ID, active)
	})
	return changed, err
}

// recordActive notes in the transaction that changed it that somebody was activated or deactivated, and announces it.
func recordActive(ctx context.Context, tx *gorm.DB, id uuid.UUID, active bool) error {
	action := audit.RepDeactivated
	if active {
		action = audit.RepActivated
	}
	if _, err := audit.Append(ctx, tx, audit.Entry{Action: action, ObjectKind: "rep", Object: id.String()}); err != nil {
		return err
	}
	return announce(tx)
}

// Fingerprint tells apart any two states of what rosters are built from, presence and whatever else changes by the second left out, and
// what time it is for the database.
func (s *Store) Fingerprint(ctx context.Context) (state string, now time.Time, err error) {
	const query = `SELECT md5(concat(
		(SELECT string_agg(concat_ws('|', id, timezone, hours, active), ',' ORDER BY id) FROM rep), ';',
		(SELECT string_agg(concat_ws('|', rep_id, xmin), ',' ORDER BY rep_id) FROM rep_terms), ';',
		(SELECT string_agg(concat_ws('|', id, xmin), ',' ORDER BY id) FROM absence))), clock_timestamp()`
	if err := s.db.WithContext(ctx).Raw(query).Row().Scan(&state, &now); err != nil {
		return "", now, fmt.Errorf("ask for changed people: %w", err)
	}
	return state, now, nil
}
