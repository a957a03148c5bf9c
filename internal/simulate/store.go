package simulate

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres"
)

// stored is a decision as it was written.
type stored struct {
	lead   uuid.UUID
	at     time.Time
	first  bool
	erased bool
	record []byte
}

const decisionsSQL = `
SELECT d.lead_id, d.at, true, d.trace::text::bytea, l.erased_at IS NOT NULL FROM decision d LEFT JOIN lead l ON l.id = d.lead_id WHERE d.at >= $1
UNION ALL
SELECT s.lead_id, s.at, false, s.record::text::bytea, l.erased_at IS NOT NULL FROM decision_step s LEFT JOIN lead l ON l.id = s.lead_id WHERE s.at >= $1
ORDER BY 2 DESC LIMIT $2`

// eachDecision reads the newest decisions made within a time before now, the database's, and hands them on one by one. A limit of 0
// means all.
func eachDecision(ctx context.Context, db *postgres.DB, within time.Duration, limit int, f func(stored) error) error {
	var most *int
	if limit > 0 {
		most = &limit
	}
	var since time.Time
	if err := db.Jobs.QueryRow(ctx, `SELECT clock_timestamp() - $1::interval`, within).Scan(&since); err != nil {
		return fmt.Errorf("ask the database for its time: %w", err)
	}
	rows, err := db.Jobs.Query(ctx, decisionsSQL, since, most)
	if err != nil {
		return fmt.Errorf("read stored decisions: %w", err)
	}
	var s stored
	_, err = pgx.ForEachRow(rows, []any{&s.lead, &s.at, &s.first, &s.record, &s.erased}, func() error { return f(s) })
	if err != nil {
		return fmt.Errorf("read stored decisions: %w", err)
	}
	return nil
}

const ofLeadSQL = `
SELECT d.lead_id, d.at, true, d.trace::text::bytea, l.erased_at IS NOT NULL FROM decision d JOIN lead l ON l.id = d.lead_id WHERE d.lead_id = $1
UNION ALL
SELECT s.lead_id, s.at, false, s.record::text::bytea, l.erased_at IS NOT NULL FROM decision_step s JOIN lead l ON l.id = s.lead_id WHERE s.lead_id = $1
ORDER BY 2`

// ofLead gives the decisions about one lead, oldest first.
func ofLead(ctx context.Context, db *postgres.DB, id uuid.UUID) ([]stored, error) {
	rows, err := db.Console.Query(ctx, ofLeadSQL, id)
	if err != nil {
		return nil, fmt.Errorf("read the decisions about a lead: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s stored, err error) {
		err = row.Scan(&s.lead, &s.at, &s.first, &s.record, &s.erased)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the decisions about a lead: %w", err)
	}
	return all, nil
}
