package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Querier is what a single statement needs: a pool, a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Turn says whose turn it is to write a delivery.
type Turn string

// The turns.
const (
	Mine  Turn = "mine"  // the caller holds the lease now
	Held  Turn = "held"  // somebody else does; ask again
	Early Turn = "early" // not due yet; ask again after the time given
	Done  Turn = "done"  // nothing is to be written
)

const claimOneSQL = `
UPDATE delivery d SET
    token       = d.token + 1,
    node        = $2,
    lease_until = clock_timestamp() + $3::interval,
    sending     = CASE WHEN d.sending > d.written THEN d.sending ELSE d.wanted END
WHERE d.id = $1 AND d.destination = 'crm' AND d.wanted > d.written AND d.state IN ('pending', 'saving', 'delivered')
  AND (d.lease_until IS NULL OR d.lease_until < clock_timestamp()) AND d.due_at <= clock_timestamp()
RETURNING ` + claimedColumns

const whoseTurnSQL = `
SELECT wanted > written AND state IN ('pending', 'saving', 'delivered'),
       lease_until IS NOT NULL AND lease_until >= clock_timestamp(),
       extract(epoch FROM due_at - clock_timestamp())::float8
FROM delivery WHERE id = $1`

// ClaimOne takes the lease of one CRM row for node if the row wants a write, is due and nobody holds it. A write whose answer
// was never learnt keeps its name: Revision is then the revision it was first sent with. wait goes with Early.
func (s *Store) ClaimOne(ctx context.Context, q Querier, deliveryID, node int64) (c Claimed, turn Turn, wait time.Duration, err error) {
	err = q.QueryRow(ctx, claimOneSQL, deliveryID, node, Lease).Scan(c.targets()...)
	if err == nil {
		return c, Mine, 0, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return c, "", 0, fmt.Errorf("claim delivery %d: %w", deliveryID, err)
	}
	var wants, held bool
	var due float64
	err = q.QueryRow(ctx, whoseTurnSQL, deliveryID).Scan(&wants, &held, &due)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return c, Done, 0, nil
	case err != nil:
		return c, "", 0, fmt.Errorf("look at delivery %d: %w", deliveryID, err)
	case !wants:
		return c, Done, 0, nil
	case !held && due > 0:
		return c, Early, seconds(due), nil
	}
	return c, Held, 0, nil
}

// Held rows of others are skipped, not waited for; a row skipped once is renewed next time, well within its lease.
const renewSQL = `
UPDATE delivery d SET lease_until = clock_timestamp() + $4::interval
FROM (
    SELECT o.id FROM delivery o JOIN unnest($1::bigint[], $2::bigint[]) AS h(id, token) ON h.id = o.id AND h.token = o.token
    WHERE o.node = $3 AND o.lease_until IS NOT NULL
    ORDER BY o.id FOR NO KEY UPDATE OF o SKIP LOCKED
) mine
WHERE d.id = mine.id`

// Renew extends the leases of rows that node still holds under these tokens (parallel to ids). A row that somebody else took
// over stays theirs.
func (s *Store) Renew(ctx context.Context, q Querier, node int64, ids, tokens []int64) error {
	if len(ids) == 0 {
		return nil
	}
	if _, err := q.Exec(ctx, renewSQL, ids, tokens, node, Lease); err != nil {
		return fmt.Errorf("renew %d leases: %w", len(ids), err)
	}
	return nil
}

const hurrySQL = `
UPDATE delivery d SET due_at = clock_timestamp()
FROM (
    SELECT id FROM delivery
    WHERE destination = 'crm' AND connection = $1 AND wanted > written AND state = 'saving' AND lease_until IS NULL AND due_at > clock_timestamp()
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
) late
WHERE d.id = late.id`

// Hurry makes all that waits for a connection due now: it works again, so nothing need sit out its back-off.
func (s *Store) Hurry(ctx context.Context, q Querier, connection string) error {
	if _, err := q.Exec(ctx, hurrySQL, connection); err != nil {
		return fmt.Errorf("hurry deliveries of %s: %w", connection, err)
	}
	return nil
}

const waitingSQL = `
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(CASE WHEN written = 0 THEN created_at ELSE due_at END)), 0)::float8
FROM delivery WHERE destination = $1 AND wanted > written AND state IN ('pending', 'saving', 'delivered')`

// Waiting says how many deliveries to a destination are not finished, and for how long the oldest has been waiting.
func (s *Store) Waiting(ctx context.Context, q Querier, destination Destination) (n int, oldest time.Duration, err error) {
	var age float64
	if err := q.QueryRow(ctx, waitingSQL, destination).Scan(&n, &age); err != nil {
		return 0, 0, fmt.Errorf("count waiting deliveries: %w", err)
	}
	return n, max(0, seconds(age)), nil
}
