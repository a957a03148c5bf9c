package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Delivery is how far one connection is with a lead, for people and programs that ask.
type Delivery struct {
	Connection  string
	Kind        string
	Destination Destination
	State       State
	Attempts    int // writes sent to it for this lead, over its life
	RecordID    string
	URL         string
	LastError   string // masked, in words
	ConfirmedAt *time.Time
	DueAt       *time.Time // when the next write is due; nil: none is wanted
}

// Deliveries gives what every connection knows of a lead, CRMs first. A lead without any gives none.
func Deliveries(ctx context.Context, pool *pgxpool.Pool, lead uuid.UUID) ([]Delivery, error) {
	rows, err := pool.Query(ctx, `SELECT connection, kind, destination, state, calls, record_id, url, last_error, confirmed_at,
		CASE WHEN wanted > written AND state NOT IN ('quarantined', 'erased') THEN due_at END
		FROM delivery WHERE lead_id = $1 ORDER BY destination DESC, connection`, lead)
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Delivery])
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	return found, nil
}
