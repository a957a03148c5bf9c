package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/routing"
)

// Offer is one step that a lead took on its ladder.
type Offer struct {
	routing.Past
	Cause     string
	Declined  routing.Decline // empty: it was not passed
	OfferedAt time.Time
	Deadline  *time.Time // nil: it does not end by itself
	ShownAt   *time.Time // when a console of the rep confirmed it
	EndedAt   *time.Time
}

// Offers gives a lead's offers, oldest first. Whether the caller may see the lead is for the caller to know.
func (s *Service) Offers(ctx context.Context, leadID uuid.UUID) ([]Offer, error) {
	rows, err := s.DB.Console.Query(ctx, `SELECT attempt, rung, pool, coalesce(rep_id, $2), state, cause, declined, offered_at, deadline, shown_at, ended_at
		FROM offer WHERE lead_id = $1 ORDER BY attempt`, leadID, uuid.Nil)
	if err != nil {
		return nil, fmt.Errorf("read the offers of lead %s: %w", leadID, err)
	}
	offers, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o Offer, err error) {
		err = row.Scan(&o.Attempt, &o.Rung, &o.Pool, &o.Rep, &o.State, &o.Cause, &o.Declined, &o.OfferedAt, &o.Deadline, &o.ShownAt, &o.EndedAt)
		return o, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the offers of lead %s: %w", leadID, err)
	}
	return offers, nil
}
