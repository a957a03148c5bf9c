package outbox

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"leadline/internal/failpoint"
)

// RecorderOptions are what a Recorder needs; After may be nil.
type RecorderOptions struct {
	Pool     *pgxpool.Pool
	Store    *Store
	After    func([]Applied) // called after each commit, by the Recorder's goroutine: must not block
	OnCommit func()          // events were written
	Log      *slog.Logger
}

// Recorder writes results in batches, one transaction for all that wait, away from the goroutines that make the calls.
// A result is kept until the database has it; while the database is away leases run out and others take over, which the
// token then tells.
type Recorder struct {
	o    RecorderOptions
	wake chan struct{}

	mu      sync.Mutex
	waiting []Result
}

const (
	recordBatch   = 128
	recordAtStop  = 5 * time.Second
	recordTimeout = 10 * time.Second
	retryFirst    = 20 * time.Millisecond
	retryMost     = time.Second
)

// NewRecorder makes a Recorder; Run does the work.
func NewRecorder(o RecorderOptions) *Recorder {
	return &Recorder{o: o, wake: make(chan struct{}, 1)}
}

// Add takes a result; it never blocks. Results for one delivery are applied in the order of Add.
func (r *Recorder) Add(result Result) {
	r.mu.Lock()
	r.waiting = append(r.waiting, result)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run records until ctx ends, then whatever still waits, within a few seconds. Whoever calls Add stops before ctx ends.
func (r *Recorder) Run(ctx context.Context) {
	for {
		select {
		case <-r.wake:
			r.flush(ctx)
		case <-ctx.Done():
			last, release := context.WithTimeout(context.WithoutCancel(ctx), recordAtStop)
			defer release()
			r.flush(last)
			return
		}
	}
}

// flush records until nothing waits or ctx ends.
func (r *Recorder) flush(ctx context.Context) {
	pause := retryFirst
	for ctx.Err() == nil {
		batch := r.take()
		if len(batch) == 0 {
			return
		}
		left, err := r.record(ctx, batch)
		if err == nil {
			pause = retryFirst
			continue
		}
		r.putBack(left)
		if ctx.Err() != nil {
			return
		}
		r.o.Log.Warn("delivery results wait for the database", "waiting", len(left), "error", err.Error())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, retryMost)
	}
}

// take removes a batch in which each delivery appears once: a result replaces an earlier WasSlow of the same call.
func (r *Recorder) take() []Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	batch := make([]Result, 0, min(len(r.waiting), recordBatch))
	place := make(map[int64]int, cap(batch))
	taken := 0
	for _, result := range r.waiting {
		at, seen := place[result.Claimed.ID]
		switch {
		case !seen && len(batch) < recordBatch:
			place[result.Claimed.ID] = len(batch)
			batch = append(batch, result)
		case seen && batch[at].Outcome == WasSlow && batch[at].Claimed.Token == result.Claimed.Token:
			batch[at] = result
		default:
			r.waiting = r.waiting[taken:]
			return batch
		}
		taken++
	}
	r.waiting = nil
	return batch
}

func (r *Recorder) putBack(batch []Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = append(append(make([]Result, 0, len(batch)+len(r.waiting)), batch...), r.waiting...)
}

// record returns what must be tried again. A batch with one bad member is recorded one by one, so that only the culprit is lost:
// its lease runs out and a job repeats the write.
func (r *Recorder) record(ctx context.Context, batch []Result) (left []Result, err error) {
	err = r.commit(ctx, batch)
	if err == nil || !isDataError(err) {
		return batch, err
	}
	for i, result := range batch {
		err := r.commit(ctx, []Result{result})
		switch {
		case err == nil:
		case isDataError(err):
			r.o.Log.Error("a delivery result cannot be stored", "lead_id", result.Claimed.LeadID.String(), "error", err.Error())
			if r.o.After != nil {
				r.o.After([]Applied{{Result: result}})
			}
		default:
			return batch[i:], err
		}
	}
	return nil, nil
}

func (r *Recorder) commit(ctx context.Context, batch []Result) error {
	ctx, release := context.WithTimeout(ctx, recordTimeout)
	defer release()
	applied, err := r.write(ctx, batch)
	if err != nil {
		return err
	}
	failpoint.At(failpoint.Recorded)
	if r.o.OnCommit != nil {
		r.o.OnCommit()
	}
	if r.o.After != nil {
		r.o.After(applied)
	}
	return nil
}

func (r *Recorder) write(ctx context.Context, batch []Result) (applied []Applied, err error) {
	if asksForJobs(batch) {
		return r.o.Store.Record(ctx, r.o.Pool, batch)
	}
	// A connection that comes back to its pool inside a transaction is closed, and the server rolls back.
	err = r.o.Pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) (err error) {
		applied, err = recordPlain(ctx, conn.Conn(), batch)
		return err
	})
	return applied, err
}

// isDataError tells a refusal of the values (classes 22 and 23) from trouble that passes.
func isDataError(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && len(pg.Code) == 5 && (pg.Code[:2] == "22" || pg.Code[:2] == "23")
}
