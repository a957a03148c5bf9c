package intake_test

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// deadlocks is how many there were in this database. Sessions tell late, at the latest when they end: the writers must have stopped.
func (b *bench) deadlocks() int {
	b.t.Helper()
	eventually(b.t, "the writers' sessions to end", func() bool {
		return b.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%intake%'`) == 0
	})
	return b.count(`SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()`)
}

// TestControls_BatchesInDifferentOrdersDeadlockAndAreCounted shows what the sorting of batches is for, and that its absence would be
// seen: with the settings of the writers, two batches that claim the same keys in opposite orders.
func TestControls_BatchesInDifferentOrdersDeadlockAndAreCounted(t *testing.T) {
	b := newClockedBench(t)
	var both sync.WaitGroup
	b.exec(`CREATE SEQUENCE found`)
	for _, order := range []string{"ASC", "DESC"} {
		both.Go(func() {
			conn, err := b.db.Connect(context.Background(), "unsorted intake")
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close(context.Background()) }()
			if _, err := conn.Exec(context.Background(), `SET lock_timeout = '250ms'`); err != nil {
				t.Error(err)
			}
			for range 200 {
				if unsorted(conn, order) {
					return
				}
			}
		})
	}
	both.Wait()
	if b.deadlocks() == 0 {
		t.Error("no deadlock was counted")
	}
}

// unsorted claims keys in an order and gives them back; true when either side has met a deadlock.
func unsorted(conn *pgx.Conn, order string) (deadlock bool) {
	ctx := context.Background()
	_, _ = conn.Exec(ctx, `BEGIN`)
	_, _ = conn.Exec(ctx, `INSERT INTO client_key (form, key, submission, fingerprint, digest)
		SELECT 'demo', n::text, gen_random_uuid(), '', '' FROM generate_series(1, 2000) n ORDER BY n `+order+` ON CONFLICT DO NOTHING`)
	failed := conn.PgConn().TxStatus() == 'E'
	_, _ = conn.Exec(ctx, `ROLLBACK`)
	if failed {
		_, _ = conn.Exec(ctx, `SELECT nextval('found')`)
	}
	_ = conn.QueryRow(ctx, `SELECT is_called FROM found`).Scan(&deadlock)
	return deadlock
}
