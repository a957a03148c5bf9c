package main

import (
	"context"
	"slices"
)

// The groups of rows, as BENCH_ONLY names them.
const (
	groupYardstick = "pgbench"  // at few clients; at 64 it accompanies the rows that are compared with it
	groupNoop      = "noop"     // a web server that does nothing
	groupCapture   = "capture"  // intake at saturation, with dispatch held back; and repeats
	groupNaive     = "naive"    // the design that one would write first
	groupPipeline  = "pipeline" // two servers with everything on, at saturation
	groupSteady    = "steady"   // everything on, at fixed rates
	groupDispatch  = "dispatch" // without a CRM: how soon leads are offered
	groupLong      = "long"     // everything on for ten minutes
)

// groups are all of them, in the order in which they run.
var groups = []string{groupYardstick, groupNoop, groupCapture, groupNaive, groupPipeline, groupSteady, groupDispatch, groupLong}

// round is one repetition of the rows that are compared with each other, close in time, so that a machine that gets faster or slower
// in between does it to all of them.
type round struct {
	yardstick row // before intake
	capture   row
	repeat    row
	naive     row
	before    row // the yardstick again, before the pipeline
	pipeline  pipeline
}

// result is everything that was found.
type result struct {
	host     host
	plan     plan
	rows     []row    // measured once, in the order of the table
	bare     []row    // pgbench, by rate
	noop     []row    // by rate; at saturation first
	steady   []minute // by rate
	dispatch []minute // by layout, see layouts
	rounds   []round
	long     []minute
	problems []string
}

func (b *bench) wants(group string) bool {
	return len(b.settings.only) == 0 || slices.Contains(b.settings.only, group)
}

// measure runs all rows.
func (b *bench) measure(ctx context.Context) (*result, error) {
	out := &result{plan: b.plan}
	var err error
	if out.host, err = b.describe(ctx); err != nil {
		return nil, err
	}
	yardstick, err := b.fresh(ctx, "yardstick")
	if err == nil {
		err = execOn(ctx, yardstick, yardstickTable)
	}
	if err != nil {
		return nil, err
	}
	for _, step := range []struct {
		group string
		run   func(context.Context, *result) error
	}{
		{groupYardstick, b.yardsticks}, {groupNoop, b.noops}, {"", b.rounds}, {groupSteady, b.steady}, {groupDispatch, b.dispatch}, {groupLong, b.long},
	} {
		if step.group != "" && !b.wants(step.group) {
			continue
		}
		if err := step.run(ctx, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// yardsticks are pgbench at few clients and at fixed rates.
func (b *bench) yardsticks(ctx context.Context, out *result) error {
	for _, clients := range []int{1, 16} {
		r, err := b.pgbench(ctx, clients)
		if err != nil {
			return err
		}
		out.rows = append(out.rows, r)
	}
	for _, rate := range b.plan.rates {
		r, err := b.pgbenchAt(ctx, rate)
		if err != nil {
			return err
		}
		out.bare = append(out.bare, r)
	}
	return nil
}

// noops measures what a form post costs at least.
func (b *bench) noops(ctx context.Context, out *result) error {
	server, err := b.child(ctx, "noop")
	if err != nil {
		return err
	}
	defer server.stop()
	t := target{b: b, name: "no-op POST", servers: []*process{server}}
	r, err := t.saturate(ctx, order{})
	if err != nil {
		return err
	}
	out.noop = append(out.noop, r.withoutDatabase())
	for _, rate := range b.plan.rates {
		if r, err = t.at(ctx, rate); err != nil {
			return err
		}
		out.noop = append(out.noop, r.withoutDatabase())
	}
	return nil
}

// rounds measures the rows whose ratios are promised, several times and close together.
func (b *bench) rounds(ctx context.Context, out *result) error {
	capture, naive, pipeline := b.wants(groupCapture), b.wants(groupNaive), b.wants(groupPipeline)
	if !capture && !naive && !pipeline {
		return nil
	}
	for i := range b.plan.repeats {
		b.say("round %d of %d", i+1, b.plan.repeats)
		var (
			r   round
			err error
		)
		if r.yardstick, err = b.pgbench(ctx, 64); err != nil {
			return err
		}
		if capture {
			if r.capture, r.repeat, err = b.capture(ctx, out, i); err != nil {
				return err
			}
		}
		if naive {
			if r.naive, err = b.naive(ctx, out); err != nil {
				return err
			}
		}
		if pipeline {
			if r.before, err = b.pgbench(ctx, 64); err != nil {
				return err
			}
			if r.pipeline, err = b.pipeline(ctx, out); err != nil {
				return err
			}
		}
		out.rounds = append(out.rounds, r)
	}
	return nil
}
