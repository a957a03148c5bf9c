package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
)

// expireLedgerArgs start the removal of identities, sessions and sign-in links that are past their time.
type expireLedgerArgs struct{}

// Kind implements river.JobArgs; permanent.
func (expireLedgerArgs) Kind() string { return "expire_ledger" }

type expireLedgerWorker struct {
	river.WorkerDefaults[expireLedgerArgs]
	pool *pgxpool.Pool
}

// Timeout implements river.Worker. What is left over waits for the next hour.
func (*expireLedgerWorker) Timeout(*river.Job[expireLedgerArgs]) time.Duration {
	return 30 * time.Second
}

const expireBatch = 1000

// expired names what may go, a small batch per statement so that no lock is held for long. Sessions end by their own rules long
// before; this only clears the table.
var expired = []struct{ table, sql string }{
	{"client_key", `DELETE FROM client_key WHERE ctid = ANY(ARRAY(SELECT ctid FROM client_key WHERE created_at < clock_timestamp() - interval '30 days' LIMIT $1))`},
	{"fingerprint", `DELETE FROM fingerprint WHERE ctid = ANY(ARRAY(SELECT ctid FROM fingerprint WHERE last_seen < clock_timestamp() - interval '30 days' LIMIT $1))`},
	{"session", `DELETE FROM session WHERE ctid = ANY(ARRAY(SELECT ctid FROM session WHERE last_seen_at < clock_timestamp() - interval '30 days' LIMIT $1))`},
	{"signin_link", `DELETE FROM signin_link WHERE ctid = ANY(ARRAY(SELECT ctid FROM signin_link WHERE expires_at < clock_timestamp() - interval '1 day' LIMIT $1))`},
}

// Work deletes until nothing is left that is too old.
func (w *expireLedgerWorker) Work(ctx context.Context, _ *river.Job[expireLedgerArgs]) error {
	for _, e := range expired {
		for {
			tag, err := w.pool.Exec(ctx, e.sql, expireBatch)
			if err != nil {
				return fmt.Errorf("expire rows of %s: %w", e.table, err)
			}
			if tag.RowsAffected() < expireBatch {
				break
			}
		}
	}
	return nil
}
