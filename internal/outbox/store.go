package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Ref names a CRM delivery that needs a job.
type Ref struct {
	DeliveryID int64
	Connection string
	Hot        bool
	After      time.Duration // when the job should come, at the earliest; it may come somewhat later
}

// Store reads and writes delivery rows. All methods are safe for concurrent use.
//
// Lock order, the same everywhere: lead rows by id, then delivery rows by id, then the event stream. A transaction that has
// locked deliveries must not go on to lock leads. One rule holds after every commit: a CRM row that still wants a write
// is either leased or has a job.
type Store struct {
	enqueue func(ctx context.Context, tx pgx.Tx, refs []Ref) error
}

// NewStore makes a Store. enqueue starts one job per reference inside the given transaction.
func NewStore(enqueue func(ctx context.Context, tx pgx.Tx, refs []Ref) error) *Store {
	return &Store{enqueue: enqueue}
}

const insertSQL = `
INSERT INTO delivery (lead_id, connection, kind, destination, hot, wanted, sending, node, lease_until, token)
SELECT l.id, t.connection, t.kind, t.destination, l.hot, 1,
       CASE WHEN t.destination = 'crm' THEN 1 ELSE 0 END,
       CASE WHEN t.destination = 'crm' THEN $6::bigint END,
       CASE WHEN t.destination = 'crm' THEN clock_timestamp() + $7::interval END,
       CASE WHEN t.destination = 'crm' THEN 1 ELSE 0 END
FROM unnest($1::uuid[], $2::boolean[]) WITH ORDINALITY AS l(id, hot, ord)
CROSS JOIN unnest($3::text[], $4::text[], $5::text[]) AS t(connection, kind, destination)
ORDER BY l.ord, t.connection
ON CONFLICT (lead_id, connection) DO NOTHING
RETURNING id, lead_id, connection, kind, destination, hot`

// QueueInsert queues what writes one delivery row per lead and target; hot is parallel to leads. CRM rows are leased to node, and
// in claimed once the batch was sent: after COMMIT the caller must hand them to the CRM writer. Chat rows are left for any
// process to take, at the pace of their channel. A row that exists already is left alone and not in claimed.
func QueueInsert(send *pgx.Batch, node int64, leads []uuid.UUID, hot []bool, targets []Target, claimed *[]Claimed) {
	if len(leads) == 0 || len(targets) == 0 {
		return
	}
	connections, kinds, destinations := make([]string, len(targets)), make([]string, len(targets)), make([]string, len(targets))
	for i, t := range targets {
		connections[i], kinds[i], destinations[i] = t.Connection, t.Kind, string(t.Destination)
	}
	send.Queue(insertSQL, leads, hot, connections, kinds, destinations, node, Lease).Query(func(rows pgx.Rows) error {
		all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Claimed, error) {
			c := Claimed{Token: 1, Revision: 1}
			err := row.Scan(&c.ID, &c.LeadID, &c.Connection, &c.Kind, &c.Destination, &c.Hot)
			return c, err
		})
		if err != nil {
			return fmt.Errorf("insert deliveries: %w", err)
		}
		*claimed = crmOnly(all)
		return nil
	})
}

func crmOnly(all []Claimed) []Claimed {
	kept := all[:0]
	for _, c := range all {
		if c.Destination == CRM {
			kept = append(kept, c)
		}
	}
	return kept
}

const lockOfLeadSQL = `SELECT id FROM delivery WHERE lead_id = $1 ORDER BY id FOR NO KEY UPDATE`

// A CRM row is free for an update when nobody holds it and no job will come for it: then its last write was confirmed.
const bumpSQL = `
UPDATE delivery d SET
    wanted      = n.wanted,
    sending     = CASE WHEN n.free THEN n.wanted ELSE d.sending END,
    token       = CASE WHEN n.free THEN d.token + 1 ELSE d.token END,
    node        = CASE WHEN n.free THEN $2::bigint ELSE d.node END,
    lease_until = CASE WHEN n.free THEN clock_timestamp() + $3::interval ELSE d.lease_until END,
    due_at      = CASE WHEN d.destination = 'chat' AND d.written >= d.wanted THEN clock_timestamp() ELSE d.due_at END
FROM (
    SELECT o.id, CASE WHEN o.destination = 'crm' THEN greatest(o.wanted, l.revision) ELSE o.wanted + 1 END AS wanted,
           o.destination = 'crm' AND o.state = 'delivered' AND o.lease_until IS NULL AND l.revision > o.written AND o.wanted <= o.written AS free
    FROM delivery o JOIN lead l ON l.id = o.lead_id
    WHERE o.lead_id = $1 AND o.state NOT IN ('merged', 'erased') AND l.erased_at IS NULL
) n
WHERE d.id = n.id
RETURNING n.free, ` + claimedColumns

const claimedColumns = `d.id, d.lead_id, d.connection, d.kind, d.destination, d.token, d.sending, d.written, d.attempts, d.record_id, d.failing_since, d.hot`

func (c *Claimed) targets() []any {
	return []any{
		&c.ID, &c.LeadID, &c.Connection, &c.Kind, &c.Destination, &c.Token, &c.Revision, &c.Written, &c.Attempts, &c.RecordID, &c.FailingSince, &c.Hot,
	}
}

// Bump says that a lead has changed: its CRM rows want the lead's revision of this transaction, its chat rows one more
// update. CRM rows that nobody works on are leased to node and returned, for the CRM writer after commit; the others are
// picked up by whoever holds them. The caller has raised lead.revision in the same transaction and so holds the lead's lock.
func (s *Store) Bump(ctx context.Context, tx pgx.Tx, node int64, leadID uuid.UUID) ([]Claimed, error) {
	if _, err := tx.Exec(ctx, lockOfLeadSQL, leadID); err != nil {
		return nil, fmt.Errorf("lock deliveries of lead %s: %w", leadID, err)
	}
	rows, err := tx.Query(ctx, bumpSQL, leadID, node, Lease)
	if err != nil {
		return nil, fmt.Errorf("bump deliveries of lead %s: %w", leadID, err)
	}
	var taken []Claimed
	var free bool
	var c Claimed
	_, err = pgx.ForEachRow(rows, append([]any{&free}, c.targets()...), func() error {
		if free {
			taken = append(taken, c)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("bump deliveries of lead %s: %w", leadID, err)
	}
	return taken, nil
}

// takeOverBatch bounds one statement, so that a crash with a deep queue does not make one giant transaction.
const takeOverBatch = 1000

const takeOverSQL = `
WITH gone AS (
    SELECT id FROM delivery
    WHERE lease_until IS NOT NULL AND CASE WHEN $1::bigint[] IS NULL THEN lease_until < clock_timestamp() ELSE node = ANY($1) END
    ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE delivery d SET lease_until = NULL, node = NULL, due_at = clock_timestamp()
FROM gone WHERE d.id = gone.id
RETURNING d.id, d.connection, d.hot, d.destination = 'crm' AND d.wanted > d.written AND d.state IN ('pending', 'saving', 'delivered')`

// TakeOver hands on the deliveries of dead nodes or, with nil, those whose lease ran out: a CRM row gets a job, a chat row
// becomes free. It returns how many it took. Tokens stay as they are: should the old holder's answer still arrive before
// anybody claims the row, it is worth recording.
func (s *Store) TakeOver(ctx context.Context, tx pgx.Tx, dead []int64) (int, error) {
	total := 0
	for {
		taken, refs, err := s.takeOverSome(ctx, tx, dead)
		if err != nil {
			return total, err
		}
		total += taken
		if len(refs) > 0 {
			if err := s.enqueue(ctx, tx, refs); err != nil {
				return total, fmt.Errorf("start jobs for deliveries taken over: %w", err)
			}
		}
		if taken < takeOverBatch {
			return total, nil
		}
	}
}

func (s *Store) takeOverSome(ctx context.Context, tx pgx.Tx, dead []int64) (int, []Ref, error) {
	rows, err := tx.Query(ctx, takeOverSQL, dead, takeOverBatch)
	if err != nil {
		return 0, nil, fmt.Errorf("take over deliveries: %w", err)
	}
	var refs []Ref
	var ref Ref
	var needsJob bool
	taken := 0
	_, err = pgx.ForEachRow(rows, []any{&ref.DeliveryID, &ref.Connection, &ref.Hot, &needsJob}, func() error {
		taken++
		if needsJob {
			refs = append(refs, ref)
		}
		return nil
	})
	if err != nil {
		return 0, nil, fmt.Errorf("take over deliveries: %w", err)
	}
	return taken, refs, nil
}

// seconds turns what the database measured into a duration.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
