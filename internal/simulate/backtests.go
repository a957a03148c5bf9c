package simulate

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"leadline/internal/fault"
	"leadline/internal/postgres"
)

// Backtests works off what AddBacktest noted, one after the other in each process. One that a process leaves behind is begun again by another.
type Backtests struct {
	db   *postgres.DB
	node int64
	log  *slog.Logger
	work chan struct{}
}

// NewBacktests makes the part that runs backtests in a process; Run starts it.
func NewBacktests(db *postgres.DB, node int64, log *slog.Logger) *Backtests {
	return &Backtests{db: db, node: node, log: log, work: make(chan struct{}, 1)}
}

// Wake says that something was added. It never blocks.
func (s *Backtests) Wake() {
	select {
	case s.work <- struct{}{}:
	default:
	}
}

// Run works until the context ends.
func (s *Backtests) Run(ctx context.Context) error {
	tick := time.NewTicker(backtestEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.work:
		case <-tick.C:
		}
		b, err := s.take(ctx)
		for b != nil && err == nil {
			if err = s.run(ctx, b); err == nil {
				b, err = s.take(ctx)
			}
		}
		if err != nil && ctx.Err() == nil && !failing {
			s.log.WarnContext(ctx, "backtests cannot be worked on; they are begun again", "error", err)
		}
		failing = err != nil
	}
}

// run makes one backtest. An error leaves it to be begun again.
func (s *Backtests) run(ctx context.Context, b *Backtest) error {
	cfg, err := parsedBody(b.Body)
	if err == nil {
		limited, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		b.Sums, err = History(limited, s.db, cfg, time.Duration(b.Days)*24*time.Hour, func(done, of int) {
			b.Done, b.OfLeads = done, of
			if err := s.beat(limited, b, done, of); err != nil {
				cancel(err)
			}
		})
		if cause := context.Cause(limited); cause != nil {
			err = cause
		}
	}
	var refused *fault.Error
	switch {
	case errors.Is(err, errCancelled):
		return nil
	case errors.As(err, &refused):
		return s.finish(ctx, b, BacktestFailed, refused.Message)
	case err != nil:
		return err
	}
	b.Done = b.Sums.Leads + b.Sums.Left
	b.OfLeads = b.Done
	return s.finish(ctx, b, BacktestDone, "")
}
