package erasure

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// reduceSteps leaves of the facts in later decisions what reduceDecisions leaves of the first one's. Rows are read under the locks of their
// leads, to which nobody else can add.
func (s *Service) reduceSteps(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) error {
	type step struct {
		decided
		at time.Time
	}
	rows, err := tx.Query(ctx, `SELECT lead_id, at, version, record FROM decision_step WHERE lead_id = ANY($1) ORDER BY lead_id, at FOR UPDATE`, ids)
	if err != nil {
		return fmt.Errorf("read later decisions: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d step, err error) {
		err = row.Scan(&d.lead, &d.at, &d.version, &d.trace)
		return d, err
	})
	if err != nil {
		return fmt.Errorf("read later decisions: %w", err)
	}
	for _, d := range all {
		table, err := s.TableOf(ctx, d.version)
		if err != nil {
			s.Log.WarnContext(ctx, "a decision cannot be taken again; only harmless facts are kept", "version", d.version, "error", err)
			table = nil
		}
		if err := d.reduce(table); err != nil {
			return err
		}
		record, err := json.Marshal(d.trace)
		if err != nil {
			return fmt.Errorf("write a later decision: %w", err)
		}
		if _, err := tx.Exec(ctx, `UPDATE decision_step SET record = $3 WHERE lead_id = $1 AND at = $2`, d.lead, d.at, string(record)); err != nil {
			return fmt.Errorf("keep the least facts: %w", err)
		}
	}
	return nil
}
