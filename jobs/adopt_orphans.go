package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"leadline/internal/outbox"
)

// adoptOrphansArgs start a look for deliveries whose job got lost, by an operator's hand for example: no lead depends on a job row.
type adoptOrphansArgs struct{}

// Kind implements river.JobArgs; permanent.
func (adoptOrphansArgs) Kind() string { return "adopt_orphans" }

type adoptOrphansWorker struct {
	river.WorkerDefaults[adoptOrphansArgs]
	pool    *pgxpool.Pool
	enqueue func(ctx context.Context, tx pgx.Tx, refs []outbox.Ref) error
}

// Timeout implements river.Worker.
func (*adoptOrphansWorker) Timeout(*river.Job[adoptOrphansArgs]) time.Duration {
	return 30 * time.Second
}

const orphansSQL = `
SELECT d.id, d.connection, d.hot FROM delivery d
WHERE d.destination = 'crm' AND d.wanted > d.written AND d.state IN ('pending', 'saving', 'delivered')
  AND d.lease_until IS NULL AND d.due_at < clock_timestamp() - interval '1 minute'
  AND NOT EXISTS (
    SELECT 1 FROM river_job j
    WHERE j.kind = 'crm_write' AND j.state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
      AND j.args @> jsonb_build_object('delivery_id', d.id))
ORDER BY d.id LIMIT 1000 FOR UPDATE OF d SKIP LOCKED`

// Work gives each orphan a job.
func (w *adoptOrphansWorker) Work(ctx context.Context, _ *river.Job[adoptOrphansArgs]) error {
	err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, orphansSQL)
		if err != nil {
			return err
		}
		refs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[outbox.Ref])
		if err != nil || len(refs) == 0 {
			return err
		}
		return w.enqueue(ctx, tx, refs)
	})
	if err != nil {
		return fmt.Errorf("adopt deliveries without a job: %w", err)
	}
	return nil
}
