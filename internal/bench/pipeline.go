package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// pipeline is what two servers did when leads came as fast as they were taken.
type pipeline struct {
	row
	Offered   float64       // offers per second while leads came
	Delivered float64       // written to the CRM per second while leads came
	Waiting   int64         // leads that the CRM did not have when the last one was acknowledged
	Unoffered int64         // and that had no offer
	ToZero    time.Duration // from then until nothing was left
	Sustained float64       // leads per second, from the first sent until nothing was left
	Memory    []float64     // MiB of both servers, twice a second
	Twice     int64         // writes to the CRM beyond one a lead
}

// percentiles are some of a distribution.
type percentiles struct{ P50, P95, P99 float64 }

// progress is how far leads have come.
type progress struct {
	leads, offered int64
	crm            crmCount
}

// pipeline sends through two servers on one database, with dispatch and CRM, as fast as answers come, and waits until all is done.
func (b *bench) pipeline(ctx context.Context, out *result) (pipeline, error) {
	s, err := b.system(ctx, "pipeline", 2)
	if err != nil {
		return pipeline{}, err
	}
	defer s.stop()
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return pipeline{}, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	t := s.target("everything on, two servers")
	if _, err := b.send(ctx, t.name, order{Targets: t.addresses(), Connections: b.plan.clients, Duration: b.plan.warm}); err != nil {
		return pipeline{}, err
	}
	if _, err := s.drain(ctx, conn); err != nil {
		return pipeline{}, err
	}
	before, err := s.progress(ctx, conn)
	if err != nil {
		return pipeline{}, err
	}
	name := fmt.Sprintf("%s, %d connections", t.name, b.plan.clients)
	b.say("%s", name)
	memory := s.sampleMemory()
	var p pipeline
	p.row, err = b.watch(ctx, t.servers, t.others, func() (row, error) {
		r, err := b.send(ctx, name, order{Targets: t.addresses(), Connections: b.plan.clients, Duration: b.plan.pipeline})
		if err != nil {
			return r, err
		}
		after, err := s.progress(ctx, conn)
		seconds := float64(r.Count) / r.Rate
		p.Offered, p.Delivered = float64(after.offered-before.offered)/seconds, float64(after.crm.Leads-before.crm.Leads)/seconds
		p.Waiting, p.Unoffered = after.leads-int64(after.crm.Leads), after.leads-after.offered
		return r, err
	})
	if err != nil {
		return p, errors.Join(err, memory.stop())
	}
	b.say("  accepted %.0f/s, offered %.0f/s, delivered %.0f/s; %d to go", p.Rate, p.Offered, p.Delivered, p.Waiting)
	p.ToZero, err = s.drain(ctx, conn)
	err = errors.Join(err, memory.stop())
	if err != nil {
		return p, err
	}
	p.Memory = memory.values
	p.Sustained = float64(p.Count) / (float64(p.Count)/p.Rate + p.ToZero.Seconds())
	end, err := s.progress(ctx, conn)
	if err != nil {
		return p, err
	}
	p.Twice = int64(end.crm.Writes-end.crm.Leads) - int64(before.crm.Writes-before.crm.Leads)
	if p.Place, err = placed(ctx, conn, before.leads); err != nil {
		return p, err
	}
	out.problems = append(out.problems, s.compare(p.row, before, end)...)
	return p, nil
}

// progress counts without locking anybody out.
func (s *system) progress(ctx context.Context, conn *pgx.Conn) (progress, error) {
	var (
		p   progress
		err error
	)
	if err = conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM lead), (SELECT count(*) FROM offer WHERE attempt = 1)`).Scan(&p.leads, &p.offered); err != nil {
		return p, fmt.Errorf("count leads and offers: %w", err)
	}
	if s.crm == nil {
		p.crm.Leads = int(p.leads) // nothing is to be delivered
		return p, nil
	}
	p.crm, err = delivered(ctx, s.crm)
	return p, err
}

// compare says what is wrong, if anything: every acknowledged lead must be stored, offered and in the CRM.
func (s *system) compare(r row, before, end progress) (problems []string) {
	var failed int64
	for _, n := range r.Errors {
		failed += n
	}
	if got := end.leads - before.leads; got < r.Count || got > r.Count+failed {
		problems = append(problems, fmt.Sprintf("%s: %d acknowledged, %d failed, but %d leads stored", r.Name, r.Count, failed, got))
	}
	if end.offered != end.leads || int64(end.crm.Leads) != end.leads {
		problems = append(problems, fmt.Sprintf("%s: %d leads, but %d offered and %d in the CRM", r.Name, end.leads, end.offered, end.crm.Leads))
	}
	return problems
}

// drain waits until every lead is offered, in the CRM, and known here to be there, and says how long it took.
func (s *system) drain(ctx context.Context, conn *pgx.Conn) (time.Duration, error) {
	start := time.Now()
	for {
		p, err := s.progress(ctx, conn)
		if err != nil {
			return 0, err
		}
		if p.offered == p.leads && int64(p.crm.Leads) == p.leads {
			var open int64
			if err := conn.QueryRow(ctx, `SELECT count(*) FROM delivery WHERE state <> 'delivered'`).Scan(&open); err != nil {
				return 0, fmt.Errorf("count deliveries: %w", err)
			}
			if open == 0 {
				return time.Since(start), nil
			}
		}
		if time.Since(start) > s.b.plan.settle {
			return 0, fmt.Errorf("after %v %d of %d leads have no offer and %d are not in the CRM", s.b.plan.settle, p.leads-p.offered, p.leads, p.leads-int64(p.crm.Leads))
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(pollEvery(time.Since(start))):
		}
	}
}

// pollEvery is a tenth of the time that has passed: looking costs the database something.
func pollEvery(passed time.Duration) time.Duration {
	return min(max(passed/10, 20*time.Millisecond), time.Second)
}

// placed is how long leads waited for their first offer, by the database's clock, all but the first leads left out.
func placed(ctx context.Context, conn *pgx.Conn, skip int64) (percentiles, error) {
	var p percentiles
	err := conn.QueryRow(ctx, `SELECT coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY took), 0), coalesce(percentile_cont(0.95) WITHIN GROUP (ORDER BY took), 0),
			coalesce(percentile_cont(0.99) WITHIN GROUP (ORDER BY took), 0)
		FROM (SELECT extract(epoch FROM o.offered_at - l.accepted_at)::float8 * 1000 AS took
			FROM lead l JOIN offer o ON o.lead_id = l.id AND o.attempt = 1 ORDER BY l.id OFFSET $1) AS one`, skip).Scan(&p.P50, &p.P95, &p.P99)
	if err != nil {
		return p, fmt.Errorf("read when leads were offered: %w", err)
	}
	return p, nil
}

// memory samples what the servers hold.
type memory struct {
	values []float64
	err    error
	quit   chan struct{}
	done   sync.WaitGroup
}

func (s *system) sampleMemory() *memory {
	m := &memory{quit: make(chan struct{})}
	m.done.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			sum := 0.0
			for _, p := range s.servers {
				mib, err := residentMiB(p.pid())
				if err != nil {
					m.err = err
					return
				}
				sum += mib
			}
			m.values = append(m.values, sum)
			select {
			case <-m.quit:
				return
			case <-tick.C:
			}
		}
	})
	return m
}

// stop ends the sampling; afterwards values is complete.
func (m *memory) stop() error {
	close(m.quit)
	m.done.Wait()
	return m.err
}
