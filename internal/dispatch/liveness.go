package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres"
)

const (
	livenessEvery = 250 * time.Millisecond
	livenessLimit = 10 * time.Second
)

// keepAlive looks after what other processes left behind: at once after a crash, which shows by the fallen lock, and by leases
// after a partition, which does not. What a live process holds is never touched.
func (s *Service) keepAlive(ctx context.Context) {
	tick := time.NewTicker(livenessEvery)
	defer tick.Stop()
	failing := false
	for n := 0; ; n++ {
		err := s.takeOverDead(ctx)
		if n%int(sweepEvery/livenessEvery) == 0 {
			err = errors.Join(err, s.takeOverExpired(ctx))
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			s.Log.WarnContext(ctx, "work of stopped processes could not be taken over; trying on", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// takeOverDead makes leads and deliveries of processes that are gone ours or everybody's, once.
//
// Leads are locked without skipping: a killed process may have left a statement that the server still ends, and a lead skipped
// now would wait for its lease.
func (s *Service) takeOverDead(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, livenessLimit)
	defer cancel()
	var leads int64
	err := postgres.InTx(ctx, s.DB.Jobs, func(tx pgx.Tx) error {
		dead, err := postgres.DeadNodes(ctx, tx, s.Node)
		if err != nil || len(dead) == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '1s'`); err != nil {
			return fmt.Errorf("limit waiting for locks: %w", err)
		}
		done, err := tx.Exec(ctx, `UPDATE lead SET node = $1, dispatch_lease = clock_timestamp() + interval '5 seconds'
			WHERE id IN (SELECT id FROM lead WHERE stage = 'new' AND node = ANY($2) ORDER BY id FOR UPDATE)`, s.Node, dead)
		if err != nil {
			return fmt.Errorf("take over leads: %w", err)
		}
		leads = done.RowsAffected()
		deliveries, err := s.Outbox.TakeOver(ctx, tx, dead)
		if err != nil {
			return err
		}
		s.Log.InfoContext(ctx, "took over from processes that are gone", "nodes", dead, "leads", leads, "deliveries", deliveries)
		return postgres.MarkStopped(ctx, tx, dead)
	})
	if err != nil {
		return fmt.Errorf("take over from dead nodes: %w", err)
	}
	if leads > 0 {
		s.Wake(int(leads))
	}
	return nil
}

// takeOverExpired hands on deliveries whose lease ran out. Leads whose lease ran out are found by the claim of new leads.
func (s *Service) takeOverExpired(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, livenessLimit)
	defer cancel()
	err := postgres.InTx(ctx, s.DB.Jobs, func(tx pgx.Tx) error {
		_, err := s.Outbox.TakeOver(ctx, tx, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("take over expired leases: %w", err)
	}
	return nil
}
