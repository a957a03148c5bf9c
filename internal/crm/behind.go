package crm

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"leadline/internal/outbox"
	"leadline/internal/postgres"
)

// behindRecorder records what jobs learnt, all that waits in one transaction. Each such transaction ends with events, and those that
// write events commit one after the other: dozens of jobs with one each would hold up everybody else who writes events, new leads
// among them.
type behindRecorder struct {
	pool  *pgxpool.Pool
	store *outbox.Store
	turn  chan struct{} // held by the one who records for all

	mu      sync.Mutex
	waiting []*learnt
}

// learnt is one job's result on its way.
type learnt struct {
	result outbox.Result
	finish func(tx pgx.Tx) error

	applied outbox.Applied
	later   time.Duration
	err     error
	done    chan struct{} // closed once the three above are set
}

func newBehind(pool *pgxpool.Pool, store *outbox.Store) *behindRecorder {
	return &behindRecorder{pool: pool, store: store, turn: make(chan struct{}, 1)}
}

// record writes a result, and finish in the same transaction when the job need not come back; else later says when it has to.
func (b *behindRecorder) record(ctx context.Context, result outbox.Result, finish func(tx pgx.Tx) error) (outbox.Applied, time.Duration, error) {
	mine := &learnt{result: result, finish: finish, done: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, mine)
	b.mu.Unlock()
	for {
		select {
		case <-mine.done:
			return mine.applied, mine.later, mine.err
		case <-ctx.Done():
			return outbox.Applied{}, 0, ctx.Err()
		case b.turn <- struct{}{}:
			b.flush(ctx)
			<-b.turn
		}
	}
}

// flush records for everybody who waits. Where one result spoils it for the others, each is recorded by itself.
func (b *behindRecorder) flush(ctx context.Context) {
	b.mu.Lock()
	all := b.waiting
	b.waiting = nil
	b.mu.Unlock()
	if len(all) == 0 {
		return
	}
	err := b.write(ctx, all)
	alone := err != nil && len(all) > 1 && !postgres.Away(err)
	for _, one := range all {
		if one.err = err; alone {
			one.err = b.write(ctx, []*learnt{one})
		}
		close(one.done)
	}
}

func (b *behindRecorder) write(ctx context.Context, all []*learnt) error {
	results := make([]outbox.Result, len(all))
	for i, one := range all {
		results[i] = one.result
	}
	return postgres.InTxThen(ctx, b.pool, func(tx pgx.Tx) (*pgx.Batch, error) {
		applied, last, err := b.store.RecordIn(ctx, tx, results)
		if err != nil {
			return nil, err
		}
		for i, one := range all {
			one.applied, one.later = applied[i], comeBack(applied[i])
			if one.later > 0 {
				continue
			}
			if err := one.finish(tx); err != nil {
				return nil, err
			}
		}
		return last, nil
	})
}
