package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/routing"
)

// The states of a clock.
const (
	ClockRuns    = "running"
	ClockPaused  = "paused"
	ClockStopped = "stopped"
)

// ClockState is one clock of a lead as it is now.
type ClockState struct {
	Kind        routing.ClockKind
	Pool        string
	Target      time.Duration
	State       string
	StartedAt   time.Time
	WarnAt      *time.Time // nil, like the next two, while it stands with no end
	DueAt       *time.Time
	EscalateAt  *time.Time
	WarnedAt    *time.Time // nil, like the next three: not yet
	ActedAt     *time.Time
	EscalatedAt *time.Time
	StoppedAt   *time.Time
	StoppedBy   string // empty: it has not stopped
}

// PauseState says since when, why and until when the clocks of a lead stand.
type PauseState struct {
	Reason string
	Note   string // words of a person
	By     string
	At     time.Time
	Until  *time.Time // nil: until somebody resumes it
}

// Clocks gives the clocks of a lead in the order in which they end, and its pause, nil when it has none. Whether the caller may see the lead is
// for the caller to know.
func (s *Service) Clocks(ctx context.Context, leadID uuid.UUID) (clocks []ClockState, paused *PauseState, err error) {
	look := &pgx.Batch{}
	look.Queue(`SELECT kind, pool, target, CASE WHEN stopped_at IS NOT NULL THEN 'stopped' WHEN since IS NULL OR since > clock_timestamp() THEN 'paused' ELSE 'running' END,
			started_at, warn_at, target_at, escalate_at, warned_at, acted_at, escalated_at, stopped_at, stopped_by
		FROM lead_clock WHERE lead_id = $1 ORDER BY array_position($2::text[], kind)`, leadID, routing.ClockKinds).Query(func(rows pgx.Rows) (err error) {
		clocks, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ClockState])
		return err
	})
	look.Queue(`SELECT reason, note, by, at, until FROM lead_pause
		WHERE lead_id = $1 AND resumed_at IS NULL AND (until IS NULL OR until > clock_timestamp())`, leadID).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[PauseState])
		if err == nil && len(found) > 0 {
			paused = &found[0]
		}
		return err
	})
	if err := s.DB.Console.SendBatch(ctx, look).Close(); err != nil {
		return nil, nil, fmt.Errorf("read the clocks of lead %s: %w", leadID, err)
	}
	return clocks, paused, nil
}
