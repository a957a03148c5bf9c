package erasure

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/routing"
)

// Tables gives routing tables of versions that decided about leads, compiled anew from what was stored. An error means that this binary can no
// longer read the version.
func Tables(db *postgres.DB) func(ctx context.Context, version int64) (*routing.Table, error) {
	return func(ctx context.Context, version int64) (*routing.Table, error) {
		cfg, _, err := playbook.Stored(ctx, db, version)
		if err != nil {
			return nil, err
		}
		table, _ := cfg.Table(version)
		if table == nil {
			return nil, fmt.Errorf("version %d can no longer be compiled", version)
		}
		return table, nil
	}
}

// decided is the trace of a lead's first decision.
type decided struct {
	lead    uuid.UUID
	version int64
	trace   map[string]json.RawMessage
}

// reduceDecisions leaves of the facts in each decision the least that leads to it again.
func (s *Service) reduceDecisions(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) error {
	rows, err := tx.Query(ctx, `SELECT lead_id, version, trace FROM decision WHERE lead_id = ANY($1) ORDER BY lead_id FOR UPDATE`, ids)
	if err != nil {
		return fmt.Errorf("read decisions: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d decided, err error) {
		err = row.Scan(&d.lead, &d.version, &d.trace)
		return d, err
	})
	if err != nil {
		return fmt.Errorf("read decisions: %w", err)
	}
	tables := map[int64]*routing.Table{}
	for _, d := range all {
		table, known := tables[d.version]
		if !known {
			if table, err = s.TableOf(ctx, d.version); err != nil {
				s.Log.WarnContext(ctx, "a decision cannot be taken again; only harmless facts are kept", "version", d.version, "error", err)
				table = nil
			}
			tables[d.version] = table
		}
		if err := d.reduce(table); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE decision SET trace = $2 WHERE lead_id = $1`, d.lead, d.trace); err != nil {
			return fmt.Errorf("keep the least facts: %w", err)
		}
	}
	return nil
}

// reduce changes a trace. Without a table the facts that are no one's are kept, and the trace says that it may not be taken again.
func (d *decided) reduce(table *routing.Table) error {
	var full routing.Facts
	if stored, ok := d.trace["facts"]; ok {
		if err := json.Unmarshal(stored, &full); err != nil {
			return fmt.Errorf("read the facts of a decision: %w", err)
		}
	}
	least := routing.Facts{Form: full.Form, Intent: full.Intent, Country: full.Country, DomainClass: full.DomainClass, AcceptedAt: full.AcceptedAt}
	if table != nil {
		least = routing.Least(table, full)
	} else {
		d.trace["facts_reduced"] = json.RawMessage("true")
	}
	facts, err := json.Marshal(least)
	if err != nil {
		return fmt.Errorf("write the facts of a decision: %w", err)
	}
	d.trace["facts"] = facts
	return nil
}
