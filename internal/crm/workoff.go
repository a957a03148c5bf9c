package crm

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/failpoint"
	"leadline/internal/outbox"
)

const (
	behindPatience = 2 * time.Second  // for a slot; a job that waits costs less than one that comes back
	behindRecord   = 10 * time.Second // to record a result, even while the process stops
	recordTries    = 6
	recordRest     = 200 * time.Millisecond // after the first failure to record; longer after each further one
)

// WorkOff makes the write that a job stands for. When nothing is left to do, finish ran in the transaction that recorded it (the
// job completes there). Otherwise later says when to call again, and finish did not run.
func (w *Writer) WorkOff(ctx context.Context, ref outbox.Ref, finish func(tx pgx.Tx) error) (later time.Duration, err error) {
	conn := w.connection(ref.Connection)
	p, no := conn.enter(ctx, behind, behindPatience)
	if no != nil {
		return max(no.wait, time.Millisecond), nil
	}
	c, turn, wait, err := w.o.Store.ClaimOne(ctx, w.o.DB.Jobs, ref.DeliveryID, w.o.Node)
	if err != nil || turn != outbox.Mine {
		p.drop()
	}
	switch {
	case err != nil:
		return 0, err
	case turn == outbox.Done:
		return 0, w.finishOnly(ctx, finish)
	case turn == outbox.Held:
		return jitter(time.Second, 2*time.Second), nil
	case turn == outbox.Early:
		return max(wait, time.Millisecond), nil
	}
	if !w.hold(c) {
		p.drop()
		return time.Second, nil
	}
	defer w.calls.Done()
	defer w.letGo(c)
	result := w.call(ctx, p, c, false)
	result.Release = true
	return w.recordBehind(ctx, result, finish)
}

func (w *Writer) finishOnly(ctx context.Context, finish func(tx pgx.Tx) error) error {
	if err := pgx.BeginFunc(ctx, w.o.DB.Jobs, finish); err != nil {
		return fmt.Errorf("complete a job with nothing to do: %w", err)
	}
	return nil
}

func (w *Writer) recordBehind(ctx context.Context, result outbox.Result, finish func(tx pgx.Tx) error) (time.Duration, error) {
	ctx, release := context.WithTimeout(context.WithoutCancel(ctx), behindRecord)
	defer release()
	// The answer is known and only we know it: a database that stumbles must not make us write again. The lease is renewed meanwhile.
	applied, later, err := w.behind.record(ctx, result, finish)
	for try := 1; err != nil && ctx.Err() == nil && try < recordTries; try++ {
		rest := time.NewTimer(time.Duration(try) * recordRest)
		select {
		case <-ctx.Done():
		case <-rest.C:
		}
		rest.Stop()
		applied, later, err = w.behind.record(ctx, result, finish)
	}
	if err != nil {
		return 0, err
	}
	failpoint.At(failpoint.Recorded)
	w.count(applied)
	if w.o.OnCommit != nil {
		w.o.OnCommit()
	}
	return later, nil
}

// comeBack is when the job has to run again; 0: never.
func comeBack(a outbox.Applied) time.Duration {
	switch {
	case !a.OK:
		return jitter(time.Second, 2*time.Second) // somebody else took the row; they may fail
	case a.State == outbox.Saving:
		return max(a.Result.Wait, time.Millisecond)
	case a.State == outbox.Delivered && a.WantsMore:
		return time.Millisecond
	}
	return 0
}
