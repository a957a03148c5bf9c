package dispatch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/failpoint"
	"leadline/internal/lead"
	"leadline/internal/outbox"
)

// roundLimit ends a transaction on a connection that has died. A round that has begun is finished even while stopping.
const roundLimit = 15 * time.Second

// maxParked bounds what is remembered of leads that could not be dispatched.
const maxParked = 1000

// dispatcher runs rounds on a connection of its own. One goroutine uses it.
type dispatcher struct {
	s           *Service
	conn        *pgx.Conn
	parked      []uuid.UUID // cannot be dispatched under this version of the configuration
	parkedUnder inForce
	tried       inForce // under which leads without a pool were looked at
	triedAt     time.Time
	nextMinute  time.Duration // until waiting leads are looked at for the clock's sake; 0: none wait
	named       []string      // e-mail addresses of persons that rules name, under namedUnder
	namedUnder  inForce
}

// round dispatches one batch of a source and tells how many leads it took and how many of these moved.
func (d *dispatcher) round(ctx context.Context, from source) (taken, moved int, nearest time.Duration, err error) {
	snap := d.s.Snapshot()
	batch, e, err := d.attempt(ctx, snap, from, nil)
	if err == nil {
		return len(batch), e.moved, e.nearest, nil
	}
	if !isPoison(err) || len(batch) == 0 {
		return 0, 0, 0, err
	}
	d.s.Log.WarnContext(ctx, "a dispatch batch failed; its leads go one by one", "leads", len(batch), "error", err)
	for _, t := range batch {
		alone, e, err := d.attempt(ctx, snap, from, []uuid.UUID{t.id})
		switch {
		case err == nil:
			taken, moved = taken+len(alone), moved+e.moved
			if nearest == 0 || e.nearest > 0 && e.nearest < nearest {
				nearest = e.nearest
			}
		case isPoison(err):
			if err := d.park(ctx, snap, t, err); err != nil {
				return taken, moved, nearest, err
			}
		default:
			return taken, moved, nearest, err
		}
	}
	return taken, moved, nearest, nil
}

// attempt is one transaction of a round, in three exchanges with the database where leads are new: BEGIN goes with the statement
// that claims them, COMMIT with those that write. The batch is returned even when it failed.
func (d *dispatcher) attempt(ctx context.Context, snap Snapshot, from source, only []uuid.UUID) (batch []*task, e effects, err error) {
	failpoint.At(failpoint.Dispatching)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), roundLimit)
	defer cancel()
	start := d.s.Now()
	begin := &pgx.Batch{}
	begin.Queue("BEGIN")
	from(begin, only, &batch)
	if err := d.conn.SendBatch(ctx, begin).Close(); err != nil {
		_ = d.rollback(ctx) // the first error says more
		return batch, e, fmt.Errorf("begin a round of dispatch: %w", err)
	}
	if len(batch) == 0 {
		return nil, e, d.rollback(ctx)
	}
	end, done, err := d.s.place(ctx, d.conn, snap, batch)
	if err != nil {
		_ = d.rollback(ctx) // the first error says more
		return batch, e, err
	}
	failpoint.At(failpoint.Placing)
	end.Queue("COMMIT")
	if err := d.conn.SendBatch(ctx, end).Close(); err != nil {
		_ = d.rollback(ctx) // the first error says more
		return batch, e, fmt.Errorf("write and commit a round of dispatch: %w", err)
	}
	failpoint.At(failpoint.Placed)
	d.s.settle(batch)
	d.s.announce(*done)
	d.s.Log.DebugContext(ctx, "dispatched", "leads", len(batch), "moved", done.moved, "cause", batch[0].cause,
		"step_ms", float64(d.s.Now().Sub(start).Microseconds())/1000)
	return batch, *done, nil
}

// rollback ends a transaction that wrote nothing or failed. A connection that cannot do that is of no more use, which the next round
// finds; the server rolls back by itself.
func (d *dispatcher) rollback(ctx context.Context) error {
	if d.conn.PgConn().TxStatus() == 'I' {
		return nil
	}
	if _, err := d.conn.Exec(ctx, "ROLLBACK"); err != nil {
		return fmt.Errorf("roll back a round of dispatch: %w", err)
	}
	return nil
}

func (d *dispatcher) inTx(ctx context.Context, f func(pgx.Tx) error) error {
	tx, err := d.conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin a transaction of dispatch: %w", err)
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback(ctx) // a connection that cannot roll back is replaced, and the server rolls back
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit a transaction of dispatch: %w", err)
	}
	return nil
}

// settle takes leads of this process that have been dispatched off the count of waiting ones.
func (s *Service) settle(batch []*task) {
	n := 0
	for _, t := range batch {
		if t.stage == lead.StageNew && t.mine {
			n++
		}
	}
	s.waiting.Add(int64(-n))
}

// park puts a lead that cannot be dispatched where people see it: the waiting queue of its pool, or of the one that everything
// else goes to. Its deliveries are written too, when they can be: the CRM may well accept what our rules stumbled over.
func (d *dispatcher) park(ctx context.Context, snap Snapshot, t *task, cause error) error {
	d.s.Log.ErrorContext(ctx, "a lead cannot be dispatched; it waits for a person", "lead_id", t.id, "error", cause)
	d.s.Metrics.InvariantViolation("undispatchable_lead")
	if len(d.parked) < maxParked {
		d.parked, d.parkedUnder = append(d.parked, t.id), snap.inForce()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), roundLimit)
	defer cancel()
	pool := t.pool
	if pool == "" {
		pool = catchAll(snap)
	}
	var e effects
	err := d.inTx(ctx, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, `UPDATE lead SET stage = 'waiting', pool = $3 WHERE id = $1 AND stage = $2`, t.id, string(t.stage), pool)
		if err != nil || done.RowsAffected() == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE offer SET state = 'withdrawn', reason = 'could not be dispatched', screen_by = NULL, ended_at = clock_timestamp()
			WHERE lead_id = $1 AND state = 'open'`, t.id); err != nil {
			return err
		}
		if t.stage == lead.StageNew && len(snap.Targets) > 0 {
			err := pgx.BeginFunc(ctx, tx, func(save pgx.Tx) error {
				send := &pgx.Batch{}
				outbox.QueueInsert(send, d.s.Node, []uuid.UUID{t.id}, []bool{t.hot()}, snap.Targets, &e.claimed)
				return save.SendBatch(ctx, send).Close()
			})
			if err != nil {
				d.s.Log.ErrorContext(ctx, "deliveries of an undispatchable lead were not written", "lead_id", t.id, "error", err)
			}
		}
		rows := &eventRows{}
		if err := rows.add(t.id, lead.EventWaiting, pool, nil, t.attempt, map[string]any{"cause": "failed"}); err != nil {
			return err
		}
		e.events = true
		return rows.append(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("park lead %s: %w", t.id, err)
	}
	d.s.settle([]*task{t})
	d.s.announce(e)
	return nil
}

// catchAll is the pool that the default rule names: where a lead of which nothing is known would go.
func catchAll(snap Snapshot) (slug string) {
	defer func() {
		if recover() != nil {
			slug = "" // the rules themselves are at fault: the lead waits without a pool, and is looked at under the next version
		}
	}()
	for _, r := range slices.Backward(snap.Table.Rules()) {
		if p := snap.Table.Pool(r.Then.Pool); p != nil {
			return p.Slug
		}
	}
	return ""
}
