package dispatch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/audit"
	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/postgres"
)

// closeOwnedSQL closes alarms of a lead that somebody has taken.
const closeOwnedSQL = `UPDATE alarm SET closed_at = clock_timestamp() WHERE lead_id = $1 AND closed_at IS NULL RETURNING kind`

const openSQL = `
WITH opened AS (
    INSERT INTO alarm (kind, lead_id, pool) SELECT kind, lead_id, pool FROM unnest($1::text[], $2::uuid[], $3::text[]) AS a(kind, lead_id, pool)
    ON CONFLICT DO NOTHING RETURNING kind, lead_id, pool
)
SELECT append_events(array_agg(lead_id), array_agg($4::text), array_agg(pool), array_agg(NULL::uuid), array_agg(0),
    array_agg(jsonb_build_object('kind', kind, 'state', 'opened'))) FROM opened HAVING count(*) > 0`

// openAlarms queues alarms about leads whose ladder has ended or who are far too late, with an event for each that was not open before. It comes before the other
// events: alarms are locked before the counter of events, everywhere.
func openAlarms(send *pgx.Batch, batch []*task) {
	var kinds, pools []string
	var leads []uuid.UUID
	open := func(t *task, kind string) {
		kinds, leads, pools = append(kinds, kind), append(leads, t.id), append(pools, t.to.pool)
	}
	for _, t := range batch {
		if t.alarm != "" && t.to != nil {
			open(t, t.alarm)
		}
		if t.late != nil && t.late.alarms() && t.to != nil {
			open(t, AlarmLate)
		}
	}
	if len(leads) > 0 {
		send.Queue(openSQL, kinds, leads, pools, string(lead.EventAlarm))
	}
}

// Alarm is something that somebody must look at.
type Alarm struct {
	ID             uuid.UUID
	Kind           string
	LeadID         *uuid.UUID // nil: not about one lead
	Pool           string
	OpenedAt       time.Time
	ClosedAt       *time.Time
	AcknowledgedAt *time.Time
}

// AlarmFilter narrows a list of alarms.
type AlarmFilter struct {
	Kind   string // empty: any
	Closed bool   // also those that are over
}

const alarmColumns = `id, kind, lead_id, pool, opened_at, closed_at, acknowledged_at`

func scanAlarm(row pgx.CollectableRow) (a Alarm, err error) {
	err = row.Scan(&a.ID, &a.Kind, &a.LeadID, &a.Pool, &a.OpenedAt, &a.ClosedAt, &a.AcknowledgedAt)
	return a, err
}

// Alarms gives the newest thousand alarms, newest first.
func (s *Service) Alarms(ctx context.Context, f AlarmFilter) ([]Alarm, error) {
	if f.Kind != "" && !slices.Contains(AlarmKinds, f.Kind) {
		return nil, fault.New(fault.Malformed, "There is no such kind of alarm. Use one of %s.", strings.Join(AlarmKinds, ", "))
	}
	rows, err := s.DB.Console.Query(ctx, `SELECT `+alarmColumns+` FROM alarm WHERE ($1 = '' OR kind = $1) AND ($2 OR closed_at IS NULL)
		ORDER BY opened_at DESC, id LIMIT $3`, f.Kind, f.Closed, mostAlarms)
	if err != nil {
		return nil, fmt.Errorf("list alarms: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanAlarm)
	if err != nil {
		return nil, fmt.Errorf("list alarms: %w", err)
	}
	return found, nil
}

// Acknowledge notes that whoever acts in ctx saw an alarm, once. NotFound when there is no such alarm.
func (s *Service) Acknowledge(ctx context.Context, id uuid.UUID) (seen Alarm, err error) {
	by := audit.ActorOf(ctx).ID
	err = postgres.InTx(ctx, s.DB.Console, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+alarmColumns+` FROM alarm WHERE id = $1 FOR UPDATE`, id)
		if err != nil {
			return fmt.Errorf("read an alarm: %w", err)
		}
		if seen, err = pgx.CollectExactlyOneRow(rows, scanAlarm); err != nil {
			return missing(err, "There is no such alarm.")
		}
		if seen.AcknowledgedAt != nil {
			return nil
		}
		err = tx.QueryRow(ctx, `UPDATE alarm SET acknowledged_at = clock_timestamp(), acknowledged_by = $2 WHERE id = $1 RETURNING acknowledged_at`, id, by).Scan(&seen.AcknowledgedAt)
		if err != nil {
			return fmt.Errorf("acknowledge an alarm: %w", err)
		}
		_, err = audit.AppendTx(ctx, tx, audit.Entry{Action: audit.AlarmSeen, ObjectKind: "alarm", Object: id.String(), Detail: map[string]string{"kind": seen.Kind}})
		return err
	})
	return seen, err
}
