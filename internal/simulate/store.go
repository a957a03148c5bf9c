package simulate

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"leadline/internal/postgres"
	"leadline/internal/routing"
)

// stored is a decision as it was written.
type stored struct {
	lead   uuid.UUID
	at     time.Time
	first  bool
	erased bool
	record []byte
}

// Records are written out once they are in order: sorting them would take hundreds of megabytes.
const decisionsSQL = `
SELECT r.lead_id, r.at, r.first, r.record::text::bytea, r.erased FROM (
    SELECT d.lead_id, d.at, true AS first, d.trace AS record, l.erased_at IS NOT NULL AS erased
    FROM decision d LEFT JOIN lead l ON l.id = d.lead_id WHERE d.at >= $1
    UNION ALL
    SELECT s.lead_id, s.at, false, s.record, l.erased_at IS NOT NULL FROM decision_step s LEFT JOIN lead l ON l.id = s.lead_id WHERE s.at >= $1
    ORDER BY 2 DESC LIMIT $2) r`

// fetched is how many rows are read at once: what is done with them must not count against the time of one long statement.
const fetched = 1000

// eachRow runs a query through a cursor and hands every row on.
func eachRow(ctx context.Context, db *postgres.DB, sql string, args []any, row func(pgx.CollectableRow) error) error {
	return postgres.InTx(ctx, db.Jobs, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DECLARE decisions NO SCROLL CURSOR FOR `+sql, args...); err != nil {
			return fmt.Errorf("read stored decisions: %w", err)
		}
		for {
			rows, err := tx.Query(ctx, fmt.Sprintf(`FETCH %d FROM decisions`, fetched))
			if err != nil {
				return fmt.Errorf("read stored decisions: %w", err)
			}
			n := 0
			for ; rows.Next(); n++ {
				if err := row(rows); err != nil {
					rows.Close()
					return err
				}
			}
			if err := rows.Err(); err != nil {
				return fmt.Errorf("read stored decisions: %w", err)
			}
			if n < fetched {
				return nil
			}
		}
	})
}

// eachDecision reads the newest decisions made within a time before now, the database's, and hands them on one by one. A limit of 0
// means all.
func eachDecision(ctx context.Context, db *postgres.DB, within time.Duration, limit int, f func(stored) error) error {
	var most *int
	if limit > 0 {
		most = &limit
	}
	var since time.Time
	if err := db.Jobs.QueryRow(ctx, `SELECT clock_timestamp() - $1::interval`, within).Scan(&since); err != nil {
		return fmt.Errorf("ask the database for its time: %w", err)
	}
	return eachRow(ctx, db, decisionsSQL, []any{since, most}, func(row pgx.CollectableRow) error {
		s, err := scanStored(row)
		if err != nil {
			return err
		}
		return f(s)
	})
}

func scanStored(row pgx.CollectableRow) (s stored, err error) {
	if err := row.Scan(&s.lead, &s.at, &s.first, &s.record, &s.erased); err != nil {
		return s, fmt.Errorf("read a stored decision: %w", err)
	}
	return s, nil
}

const firstSQL = `
SELECT r.lead_id, r.at, true, r.trace::text::bytea, r.erased FROM (
    SELECT d.lead_id, d.at, d.trace, l.erased_at IS NOT NULL AS erased FROM decision d LEFT JOIN lead l ON l.id = d.lead_id
    WHERE d.at >= $1 ORDER BY d.lead_id) r`

// chunk is some decisions, read by one goroutine and decoded by another.
type chunk struct {
	rows    []stored
	records []*routing.Record
	decoded chan error
}

const chunkSize = 200

// eachFirst hands on the first decisions made within a time before now, in the order in which their leads came, with how many there were
// before and in all. Decoding, which takes longest, is done on all processors.
func eachFirst(ctx context.Context, db *postgres.DB, within time.Duration, f func(s stored, r *routing.Record, done, of int) error) error {
	var since time.Time
	var of int
	err := db.Jobs.QueryRow(ctx, `WITH t AS (SELECT clock_timestamp() - $1::interval AS since)
		SELECT t.since, (SELECT count(*) FROM decision WHERE at >= t.since) FROM t`, within).Scan(&since, &of)
	if err != nil {
		return fmt.Errorf("count stored decisions: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	work, ordered := make(chan *chunk, 4), make(chan *chunk, 8)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			for c := range work {
				c.decoded <- c.decode()
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(ordered)
		defer close(work)
		return readChunks(ctx, db, since, func(c *chunk) error {
			for _, to := range []chan *chunk{ordered, work} {
				select {
				case to <- c:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	group.Go(func() error {
		done := 0
		for c := range ordered {
			select {
			case err := <-c.decoded:
				if err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
			for i, s := range c.rows {
				if err := f(s, c.records[i], done, of); err != nil {
					return err
				}
				done++
			}
		}
		return nil
	})
	return group.Wait()
}

func readChunks(ctx context.Context, db *postgres.DB, since time.Time, hand func(*chunk) error) error {
	fresh := func() *chunk { return &chunk{decoded: make(chan error, 1)} }
	c := fresh()
	err := eachRow(ctx, db, firstSQL, []any{since}, func(row pgx.CollectableRow) error {
		s, err := scanStored(row)
		if err != nil {
			return err
		}
		if c.rows = append(c.rows, s); len(c.rows) < chunkSize {
			return nil
		}
		full := c
		c = fresh()
		return hand(full)
	})
	if err != nil {
		return err
	}
	return hand(c)
}

func (c *chunk) decode() error {
	c.records = make([]*routing.Record, len(c.rows))
	for i := range c.rows {
		var err error
		if c.records[i], err = routing.ReadRecord(c.rows[i].record); err != nil {
			return err
		}
		c.rows[i].record = nil
	}
	return nil
}

const ofLeadSQL = `
SELECT d.lead_id, d.at, true, d.trace::text::bytea, l.erased_at IS NOT NULL FROM decision d JOIN lead l ON l.id = d.lead_id WHERE d.lead_id = $1
UNION ALL
SELECT s.lead_id, s.at, false, s.record::text::bytea, l.erased_at IS NOT NULL FROM decision_step s JOIN lead l ON l.id = s.lead_id WHERE s.lead_id = $1
ORDER BY 2`

// ofLead gives the decisions about one lead, oldest first.
func ofLead(ctx context.Context, db *postgres.DB, id uuid.UUID) ([]stored, error) {
	rows, err := db.Console.Query(ctx, ofLeadSQL, id)
	if err != nil {
		return nil, fmt.Errorf("read the decisions about a lead: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanStored)
	if err != nil {
		return nil, fmt.Errorf("read the decisions about a lead: %w", err)
	}
	return all, nil
}

// routedSQL finds the first decisions among the next events. Events are numbered in the order of their commits, without gaps: none is missed.
const routedSQL = `
SELECT e.seq, d.lead_id, d.at, d.trace::text::bytea, coalesce(l.erased_at IS NOT NULL, true)
FROM (SELECT seq, kind, lead_id FROM event WHERE seq > $1 ORDER BY seq LIMIT $2) e
LEFT JOIN decision d ON e.kind = 'routed' AND d.lead_id = e.lead_id LEFT JOIN lead l ON l.id = d.lead_id
ORDER BY e.seq`

// routedSince reads the first decisions among the events after a number, at most so many, and the number of the last of these.
func routedSince(ctx context.Context, db *postgres.DB, after int64, most int) (all []stored, last int64, err error) {
	rows, err := db.Jobs.Query(ctx, routedSQL, after, most)
	if err != nil {
		return nil, after, fmt.Errorf("read decisions behind the live ones: %w", err)
	}
	last = after
	var id *uuid.UUID
	var at *time.Time
	s := stored{first: true}
	_, err = pgx.ForEachRow(rows, []any{&last, &id, &at, &s.record, &s.erased}, func() error {
		if id != nil {
			s.lead, s.at = *id, *at
			all = append(all, s)
		}
		return nil
	})
	if err != nil {
		return nil, after, fmt.Errorf("read decisions behind the live ones: %w", err)
	}
	return all, last, nil
}
