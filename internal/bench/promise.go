package main

import (
	"fmt"
	"slices"
)

// promise is a figure that Leadline is held to.
type promise struct {
	name    string
	unit    string
	least   bool // the bound is the least that will do; else the most
	bound   float64
	values  []float64 // one for each time it was measured
	foreign float64   // the most that others took of the machine in the rows it rests on
}

// value is the median.
func (p promise) value() float64 { return median(p.values) }

func (p promise) kept() bool {
	if p.least {
		return p.value() >= p.bound
	}
	return p.value() <= p.bound
}

func (p promise) limit() string {
	sign := "≤"
	if p.least {
		sign = "≥"
	}
	return fmt.Sprintf("%s %s", sign, figure(p.bound)) + p.unit
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// promises compares the rows that were measured; those of which a row is missing are left out. Ratios are taken within each round.
func (r *result) promises() []promise {
	var all []promise
	add := func(p promise, of func(round) (value, foreign float64, ok bool)) {
		for _, x := range r.rounds {
			if v, foreign, ok := of(x); ok {
				p.values, p.foreign = append(p.values, v), max(p.foreign, foreign)
			}
		}
		if len(p.values) > 0 {
			all = append(all, p)
		}
	}
	ratio := func(a, b func(round) (float64, row)) func(round) (float64, float64, bool) {
		return func(x round) (float64, float64, bool) {
			over, r1 := a(x)
			under, r2 := b(x)
			return over / under, max(r1.Foreign, r2.Foreign), over > 0 && under > 0
		}
	}
	rate := func(f func(round) row) func(round) (float64, row) {
		return func(x round) (float64, row) { return f(x).Rate, f(x) }
	}
	capture := rate(func(x round) row { return x.capture })
	add(promise{name: "intake ÷ pgbench at 64 clients", least: true, bound: 0.65}, ratio(capture, rate(func(x round) row { return x.yardstick })))
	add(promise{name: "intake ÷ one GORM transaction a post", least: true, bound: 6}, ratio(capture, rate(func(x round) row { return x.naive })))
	add(promise{name: "processor time of a lead, application and PostgreSQL", unit: " µs", bound: 95}, func(x round) (float64, float64, bool) {
		return x.capture.App + x.capture.DB, x.capture.Foreign, x.capture.Count > 0
	})
	add(promise{name: "new ÷ repeated, rates of intake", bound: 1.3}, ratio(capture, rate(func(x round) row { return x.repeat })))
	add(promise{name: "pipeline, until nothing is left ÷ pgbench at 64 clients", least: true, bound: 0.18},
		ratio(func(x round) (float64, row) { return x.pipeline.Sustained, x.pipeline.row }, rate(func(x round) row { return x.before })))
	add(promise{name: "offered ÷ accepted while the pipeline is full", least: true, bound: 0.95}, func(x round) (float64, float64, bool) {
		return x.pipeline.Offered / x.pipeline.Rate, x.pipeline.Foreign, x.pipeline.Rate > 0
	})
	return append(all, r.latencies()...)
}

// latencies are the promises at fixed rates.
func (r *result) latencies() []promise {
	var all []promise
	for _, s := range r.steady {
		foreign := s.Foreign
		if i := slices.IndexFunc(r.noop, func(n row) bool { return n.Asked == s.Asked }); i >= 0 && s.Asked == 1000 {
			all = append(all, promise{
				name: "p50 at 1,000 a second, above a no-op POST", unit: " ms", bound: 0.7, values: []float64{s.P50 - r.noop[i].P50}, foreign: max(foreign, r.noop[i].Foreign),
			})
		}
		switch s.Asked {
		case 1000:
			all = append(all, promise{name: "p99 at 1,000 a second", unit: " ms", bound: 5, values: []float64{s.P99}, foreign: foreign})
		case 3000:
			all = append(all, promise{name: "p99 at 3,000 a second", unit: " ms", bound: 8, values: []float64{s.P99}, foreign: foreign})
		}
	}
	for i, d := range r.dispatch {
		l := layouts()[i]
		all = append(all, promise{
			name: fmt.Sprintf("stored until offered, p95, %s", l.name), unit: " ms", bound: l.bound, values: []float64{d.Place.P95}, foreign: d.Foreign,
		})
	}
	return all
}
