package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"leadline/internal/keyring"
	"leadline/internal/lead"
	"leadline/internal/privacy"
)

// sealPayloadsArgs start the sealing of what the release before kept in clear beside repeats and corrections. Servers of that release
// that still run write more of it: it is repeated.
type sealPayloadsArgs struct{}

// Kind implements river.JobArgs; permanent.
func (sealPayloadsArgs) Kind() string { return "seal_payloads" }

type sealPayloadsWorker struct {
	river.WorkerDefaults[sealPayloadsArgs]
	pool *pgxpool.Pool
	seal func(ctx context.Context, plain, aad []byte) (keyring.Envelope, error)
}

// Timeout implements river.Worker. What is left over waits for the next hour.
func (*sealPayloadsWorker) Timeout(*river.Job[sealPayloadsArgs]) time.Duration {
	return 5 * time.Minute
}

// sealPages bounds one transaction: half a megabyte of rows.
const sealPages = 64

// Work goes through the table from its first page to its last: an index would cost every repeat, for rows that only the release before
// wrote.
func (w *sealPayloadsWorker) Work(ctx context.Context, _ *river.Job[sealPayloadsArgs]) error {
	err := walk(ctx, w.pool, "touch", sealPages, func(from, to string) error {
		return pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error { return w.some(ctx, tx, from, to) })
	})
	if err != nil {
		return fmt.Errorf("seal payloads that are in clear: %w", err)
	}
	return nil
}

// A row that somebody holds, an erasure for example, is left for the next time.
const clearSQL = `SELECT id, correlation_id, payload::text FROM touch
	WHERE ctid >= $1::text::tid AND ctid < $2::text::tid AND payload <> '{}' ORDER BY id FOR UPDATE SKIP LOCKED`

// clearText is a submission in clear: the answers of it, as the release before understood them.
type clearText struct {
	id          uuid.UUID
	correlation string
	answers     string
}

// some seals what is in clear between two places of the table.
func (w *sealPayloadsWorker) some(ctx context.Context, tx pgx.Tx, from, to string) error {
	rows, err := tx.Query(ctx, clearSQL, from, to)
	if err != nil {
		return err
	}
	batch, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c clearText, err error) {
		err = row.Scan(&c.id, &c.correlation, &c.answers)
		return c, err
	})
	if err != nil || len(batch) == 0 {
		return err
	}
	var (
		ids             []uuid.UUID
		keys            []int64
		wrapped, sealed [][]byte
	)
	for _, c := range batch {
		document, err := lead.PayloadDocument(&lead.Submission{
			BodyType: "application/json", Body: privacy.Text(c.answers), CorrelationID: c.correlation,
		}, uuid.Nil)
		if err != nil {
			return err
		}
		e, err := w.seal(ctx, document, c.id[:])
		if err != nil {
			return err
		}
		ids, keys, wrapped, sealed = append(ids, c.id), append(keys, e.KeyID), append(wrapped, e.Wrapped), append(sealed, e.Sealed)
	}
	_, err = tx.Exec(ctx, `INSERT INTO payload (submission, data_key, wrapped, sealed)
		SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bytea[], $4::bytea[]) ON CONFLICT (submission) DO NOTHING`, ids, keys, wrapped, sealed)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE touch SET payload = '{}' WHERE id = ANY($1)`, ids); err != nil {
		return err
	}
	return nil
}
