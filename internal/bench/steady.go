package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// longRate is the rate of the long run.
const longRate = 1000

// minute is one step of the long run.
type minute struct {
	row
	Memory float64 // MiB at its end
}

// steady measures one server with everything on at fixed rates.
func (b *bench) steady(ctx context.Context, out *result) error {
	s, err := b.system(ctx, "steady", 1)
	if err != nil {
		return err
	}
	defer s.stop()
	for _, rate := range b.plan.rates {
		m, err := s.step(ctx, out, fmt.Sprintf("everything on, %.0f/s", rate), order{Rate: rate}, b.plan.warm, b.plan.steady)
		if err != nil {
			return err
		}
		out.steady = append(out.steady, m)
	}
	return nil
}

// long shows what changes while leads keep coming: tables grow, vacuum and checkpoints come by.
func (b *bench) long(ctx context.Context, out *result) error {
	if b.plan.long == 0 {
		return nil
	}
	s, err := b.system(ctx, "long", 1)
	if err != nil {
		return err
	}
	defer s.stop()
	for passed := time.Duration(0); passed < b.plan.long; passed += b.plan.every {
		m, err := s.step(ctx, out, fmt.Sprintf("everything on, %d/s, from minute %.0f", longRate, passed.Minutes()), order{Rate: longRate}, 0, b.plan.every)
		if err != nil {
			return err
		}
		out.long = append(out.long, m)
	}
	return nil
}

// step sends what is ordered for a while and waits until all of it has arrived.
func (s *system) step(ctx context.Context, out *result, name string, o order, warm, duration time.Duration) (minute, error) {
	var m minute
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return m, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	t := s.target(name)
	s.b.say("%s", name)
	o.Targets = t.addresses()
	if o.Duration = warm; warm > 0 {
		if _, err := s.b.send(ctx, name, o); err != nil {
			return m, err
		}
		if _, err := s.drain(ctx, conn); err != nil {
			return m, err
		}
	}
	before, err := s.progress(ctx, conn)
	if err != nil {
		return m, err
	}
	o.Duration = duration
	m.row, err = s.b.watch(ctx, t.servers, t.others, func() (row, error) { return s.b.send(ctx, name, o) })
	if err != nil {
		return m, err
	}
	if m.Memory, err = residentMiB(s.servers[0].pid()); err != nil {
		return m, err
	}
	if _, err := s.drain(ctx, conn); err != nil {
		return m, err
	}
	end, err := s.progress(ctx, conn)
	if err != nil {
		return m, err
	}
	out.problems = append(out.problems, s.compare(m.row, before, end)...)
	m.Place, err = placed(ctx, conn, before.leads)
	return m, err
}
