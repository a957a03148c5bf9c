package dispatch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres"
)

const (
	sweepEvery   = time.Second
	straysEvery  = 10 * time.Second // how often leads without a pool are tried under the same configuration
	reconnectMin = 50 * time.Millisecond
	reconnectMax = 500 * time.Millisecond
	closeLimit   = time.Second
)

// sessionSettings hold for the dispatcher's connection. One generic plan serves every batch size; without sequential scans it
// stays right from the first lead to the ten-millionth.
const sessionSettings = `SET lock_timeout = '2s'; SET statement_timeout = '10s'; SET idle_in_transaction_session_timeout = '20s'; ` +
	postgres.FixedPlans + `; ` + postgres.LookUps

// Run dispatches until ctx ends; it returns nil when all goroutines have ended. It survives the loss of the database.
func (s *Service) Run(ctx context.Context) error {
	var all sync.WaitGroup
	all.Go(func() { s.dispatch(ctx) })
	all.Go(func() { s.keepAlive(ctx) })
	all.Go(func() { s.watch(ctx) })
	all.Go(func() { s.confirmScreens(ctx) })
	all.Wait()
	return nil
}

// dispatch works on one connection after another: each until it breaks.
func (s *Service) dispatch(ctx context.Context) {
	pause := reconnectMin
	for ctx.Err() == nil {
		start := s.Now()
		err := s.dispatchOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if s.Now().Sub(start) > 10*time.Second {
			pause = reconnectMin
		}
		s.Log.WarnContext(ctx, "dispatch was interrupted; it begins again", "error", err)
		rest(ctx, pause/2+rand.N(pause/2)) //nolint:gosec // jitter, no secret
		pause = min(2*pause, reconnectMax)
	}
}

func (s *Service) dispatchOnce(ctx context.Context) error {
	conn, err := s.DB.Connect(ctx, "dispatch")
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(ctx, sessionSettings); err != nil {
		return fmt.Errorf("prepare the dispatch connection: %w", err)
	}
	d := &dispatcher{s: s, conn: conn, tried: inForce{version: -1}, parked: []uuid.UUID{}}
	return d.run(ctx)
}

// run does whatever is due until ctx ends or the connection is of no more use.
func (d *dispatcher) run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	alarm := newAlarm(d.s.Now)
	defer alarm.stop()
	look := true // at everything, for a start
	for {
		if look || d.s.waiting.Load() > 0 { // a wake often comes for leads that the round before has taken already
			if err := d.newLeads(ctx, alarm); err != nil {
				return err
			}
		}
		if look || alarm.overdue() {
			if err := d.sweep(ctx, alarm); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.s.newWork:
			look = false
		case <-d.s.changed:
			look = true
		case <-d.s.rearm:
			look = true
		case <-alarm.rings():
			look = true
		case <-tick.C:
			look = true
		}
	}
}

// newLeads dispatches until nothing waits any more, or something else is due as well: new leads may never stop coming.
func (d *dispatcher) newLeads(ctx context.Context, alarm *alarm) error {
	start := d.s.Now()
	for ctx.Err() == nil {
		counted := d.s.waiting.Load()
		taken, _, nearest, err := d.patiently(ctx, d.s.newLeads)
		if err != nil {
			return err
		}
		alarm.within(nearest)
		if taken == 0 {
			// Whatever was counted before we looked has been taken by others or was never there.
			d.s.waiting.Add(-counted)
			return nil
		}
		if taken < batchSize && len(d.s.newWork) == 0 {
			return nil
		}
		if alarm.overdue() || len(d.s.changed) > 0 || d.s.Now().Sub(start) > sweepEvery/4 {
			poke(d.s.newWork)
			return nil
		}
	}
	return nil
}

// sweep looks at everything but new leads, and sets the alarm for the next deadline.
func (d *dispatcher) sweep(ctx context.Context, alarm *alarm) error {
	snap := d.s.Snapshot()
	if snap.Table.Version() == 0 {
		return nil // nothing was offered yet, or this process does not know the configuration yet: others do
	}
	if snap.inForce() != d.parkedUnder {
		d.parked = d.parked[:0]
	}
	for _, from := range []source{d.s.dueOffers, d.s.unseenOffers, d.s.lostOffers} {
		if err := d.all(ctx, alarm, from); err != nil {
			return err
		}
	}
	if err := d.reroute(ctx, snap); err != nil {
		return err
	}
	if err := d.clocks(ctx, snap); err != nil {
		return err
	}
	if err := d.drain(ctx, alarm, snap); err != nil {
		return err
	}
	next, err := d.nextDeadline(ctx)
	if err != nil {
		return err
	}
	alarm.set(next)
	alarm.within(d.nextMinute)
	return nil
}

// drain offers waiting leads to whoever can take them now.
func (d *dispatcher) drain(ctx context.Context, alarm *alarm, snap Snapshot) error {
	var found *drain
	d.nextMinute = 0
	strays := snap.inForce() != d.tried || d.s.Now().Sub(d.triedAt) > straysEvery
	err := d.inTx(ctx, func(tx pgx.Tx) error {
		var err error
		found, err = d.s.survey(ctx, tx, snap, d.namedIn(snap), strays)
		return err
	})
	if err != nil {
		return err
	}
	d.nextMinute = found.nextMinute
	if strays {
		d.tried, d.triedAt = snap.inForce(), d.s.Now()
	}
	if found.empty() {
		return nil
	}
	return d.all(ctx, alarm, d.s.waitingLeads(found, d.parked))
}

// all runs rounds of a source until it has nothing left, or nothing moves.
func (d *dispatcher) all(ctx context.Context, alarm *alarm, from source) error {
	for ctx.Err() == nil {
		taken, moved, nearest, err := d.patiently(ctx, from)
		if err != nil {
			return err
		}
		alarm.within(nearest)
		if taken < batchSize || moved == 0 {
			return nil
		}
	}
	return nil
}

// patiently tries a round again when it lost a deadlock or waited too long for a lock.
func (d *dispatcher) patiently(ctx context.Context, from source) (taken, moved int, nearest time.Duration, err error) {
	for try := 0; ; try++ {
		taken, moved, nearest, err = d.round(ctx, from)
		if err == nil || !isTransient(err) || try == 2 || ctx.Err() != nil {
			return taken, moved, nearest, err
		}
	}
}

// Three look-ups in three indexes; least ignores nulls.
const nextDeadlineSQL = `SELECT extract(epoch FROM least(
    (SELECT min(deadline) FROM offer WHERE state = 'open' AND deadline IS NOT NULL),
    (SELECT min(screen_by) FROM offer WHERE state = 'open' AND screen_by IS NOT NULL),
    (SELECT min(next_at) FROM lead_clock WHERE next_at IS NOT NULL)) - clock_timestamp())::double precision`

// nextDeadline tells how long it is until the next offer ends by itself or the next step of a clock is due; 0: there is neither.
func (d *dispatcher) nextDeadline(ctx context.Context) (time.Duration, error) {
	var seconds *float64
	if err := d.conn.QueryRow(ctx, nextDeadlineSQL).Scan(&seconds); err != nil {
		return 0, fmt.Errorf("look for the next deadline: %w", err)
	}
	if seconds == nil {
		return 0, nil
	}
	return max(time.Duration(*seconds*float64(time.Second)), time.Millisecond), nil
}

// rest waits, but not longer than ctx lives.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
