package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
)

// expireLedgerArgs start the removal of identities, raw payloads, sessions and sign-in links that are past their time.
type expireLedgerArgs struct{}

// Kind implements river.JobArgs; permanent.
func (expireLedgerArgs) Kind() string { return "expire_ledger" }

type expireLedgerWorker struct {
	river.WorkerDefaults[expireLedgerArgs]
	pool *pgxpool.Pool
}

// Timeout implements river.Worker. What is left over waits for the next hour.
func (*expireLedgerWorker) Timeout(*river.Job[expireLedgerArgs]) time.Duration {
	return 2 * time.Minute
}

// expireBatch bounds one statement, so that no lock is held for long.
const expireBatch = 1000

// expired are small tables, and those whose key says how old a row is. The age stands in the outer statement too: a row that was used
// again since it was chosen stays. Sessions end by their own rules long before; this only clears the table.
var expired = []struct{ table, sql string }{
	// The key is a UUIDv7, which begins with milliseconds.
	{"payload", `DELETE FROM payload WHERE submission = ANY(ARRAY(SELECT submission FROM payload WHERE submission < ` + monthAgo + ` ORDER BY submission LIMIT $1))`},
	{"session", `DELETE FROM session WHERE token_hash = ANY(ARRAY(SELECT token_hash FROM session WHERE last_seen_at < statement_timestamp() - interval '30 days' LIMIT $1))
		AND last_seen_at < statement_timestamp() - interval '30 days'`},
	{"signin_link", `DELETE FROM signin_link WHERE token_hash = ANY(ARRAY(SELECT token_hash FROM signin_link WHERE expires_at < statement_timestamp() - interval '1 day' LIMIT $1))
		AND expires_at < statement_timestamp() - interval '1 day'`},
	{"setup_link", `DELETE FROM setup_link WHERE token_hash = ANY(ARRAY(SELECT token_hash FROM setup_link WHERE expires_at < statement_timestamp() - interval '1 day' LIMIT $1))
		AND expires_at < statement_timestamp() - interval '1 day'`},
	// Days and notices go with their group or mail.
	{"drift_group", `DELETE FROM drift_group WHERE id = ANY(ARRAY(SELECT id FROM drift_group WHERE last_seen < statement_timestamp() - interval '90 days' LIMIT $1))
		AND last_seen < statement_timestamp() - interval '90 days'`},
	{"drift_day", `DELETE FROM drift_day WHERE (group_id, day) IN (SELECT group_id, day FROM drift_day WHERE day < (statement_timestamp() - interval '90 days')::date LIMIT $1)`},
	{"drift_mail", `DELETE FROM drift_mail WHERE id = ANY(ARRAY(SELECT id FROM drift_mail WHERE created_at < statement_timestamp() - interval '90 days' LIMIT $1))`},
	// A proof that has run out is refused by its own time.
	{"spent_proof", `DELETE FROM spent_proof WHERE proof = ANY(ARRAY(SELECT proof FROM spent_proof WHERE expires_at < statement_timestamp() ORDER BY expires_at LIMIT $1))`},
	// Who looked, and why, stays in the audit chain. The key is a UUIDv7.
	{"reveal", `DELETE FROM reveal WHERE id = ANY(ARRAY(SELECT id FROM reveal WHERE id < ` + monthAgo + ` ORDER BY id LIMIT $1))`},
}

// monthAgo is the smallest UUIDv7 of the moment 30 days ago.
const monthAgo = `(lpad(to_hex((extract(epoch FROM statement_timestamp() - interval '30 days') * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid`

// walked are large tables in which nothing but the row says how old it is. An index would cost every lead; walking the table once an
// hour, some pages a statement, costs less and holds no lock for long. A row that moves behind our back is found an hour later.
var walked = []struct{ table, sql string }{
	{"client_key", `DELETE FROM client_key WHERE ctid >= $1::text::tid AND ctid < $2::text::tid AND created_at < statement_timestamp() - interval '30 days'`},
	{"fingerprint", `DELETE FROM fingerprint WHERE ctid >= $1::text::tid AND ctid < $2::text::tid AND last_seen < statement_timestamp() - interval '30 days'`},
}

const walkPages = 512 // 4 MB

// Work deletes what is too old.
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
	for _, e := range walked {
		err := walk(ctx, w.pool, e.table, walkPages, func(from, to string) error {
			_, err := w.pool.Exec(ctx, e.sql, from, to)
			return err
		})
		if err != nil {
			return fmt.Errorf("expire rows of %s: %w", e.table, err)
		}
	}
	return nil
}

// walk goes through a table from its first page to its last, some pages at a time; from and to are places in it (ctid).
func walk(ctx context.Context, pool *pgxpool.Pool, table string, step int64, f func(from, to string) error) error {
	var pages int64
	err := pool.QueryRow(ctx, `SELECT pg_relation_size($1::text::regclass) / current_setting('block_size')::bigint`, table).Scan(&pages)
	if err != nil {
		return err
	}
	for page := int64(0); page < pages; page += step {
		if err := f(fmt.Sprintf("(%d,0)", page), fmt.Sprintf("(%d,0)", page+step)); err != nil {
			return err
		}
	}
	return nil
}
