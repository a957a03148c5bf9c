package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// markdown is the report: on what, one table, the promises, and what is to be known about the figures.
func (r *result) markdown() string {
	var b strings.Builder
	h := r.host
	b.WriteString("# Benchmarks\n\nMade by `make bench`; do not edit. ")
	fmt.Fprintf(&b, "Commit %s, %s.\n\n", h.commit, h.date)
	fmt.Fprintf(&b, "%d cores (%s), %s, Linux %s, PostgreSQL %s, %s. Servers, PostgreSQL, load generator and CRM (80 ms a write) share these cores.\n", h.cores, h.model, h.memory, h.kernel, h.postgres, h.golang)
	fmt.Fprintf(&b, "PostgreSQL as `leadline serve` starts it: %s.\n\n", h.settings)
	if busy := r.busiest(); busy > busyAbove {
		fmt.Fprintf(&b, "**Others took up to %.0f %% of the machine: times below say little about Leadline.**\n\n", 100*busy)
	}
	b.WriteString("| | per second | answer ms p50 | p95 | p99 | p99.9 | to the offer ms p50 | p95 | p99 | CPU µs app | CPU µs PostgreSQL | batch | WAL B | errors | others' CPU |\n")
	b.WriteString("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---:|\n")
	for _, x := range r.table() {
		b.WriteString(x.line())
	}
	r.writePipeline(&b)
	r.writePromises(&b)
	r.writeLong(&b)
	b.WriteString(notes)
	for _, p := range r.problems {
		fmt.Fprintf(&b, "\n**The figures do not add up:** %s\n", p)
	}
	return b.String()
}

// notes say how to read the table.
const notes = `
Rows at saturation are medians of several rounds; within a round pgbench at 64 clients, intake and the other designs run right after each
other, and ratios are taken within a round. "Connections" is a closed loop: each sends its next lead when the last one was answered. A
rate is an open loop: leads come at random moments whether or not answers do, and times count from the moment a lead was due. CPU is user and
system time for each lead: that of the servers, and that of all PostgreSQL processes. "Others' CPU" is the share of all cores that
processes took which are no part of the bench: from some 10 % on, times say more about the neighbours than about Leadline. A bare INSERT at
a rate is the floor: where it misses a bound for leads all by itself, the miss says nothing about Leadline.

"Intake, dispatch held back" is the product's web server, handlers, keys and intake in a process that leaves out what comes after the
commit. "Everything on" is the real binary with dispatch into pools with turns and a CRM that takes 80 ms; no console is open.
"Until nothing is left" counts the time from the first lead until every lead has its offer, is in the CRM and is known here to be there.
The sums are checked: every acknowledged lead must be in the table, offered, and in the CRM.
`

// table is all rows in their order; those of several rounds by their medians.
func (r *result) table() []row {
	rows := slices.Clone(r.rows)
	of := func(f func(round) row) {
		var all []row
		for _, x := range r.rounds {
			if one := f(x); one.Name != "" {
				all = append(all, one)
			}
		}
		if len(all) > 0 {
			rows = append(rows, middle(all))
		}
	}
	of(func(x round) row { return x.yardstick })
	rows = append(append(rows, r.bare...), r.noop...)
	of(func(x round) row { return x.naive })
	of(func(x round) row { return x.capture })
	of(func(x round) row { return x.repeat })
	for _, s := range r.steady {
		rows = append(rows, s.row)
	}
	for _, d := range r.dispatch {
		rows = append(rows, d.row)
	}
	of(func(x round) row { return x.pipeline.row })
	return rows
}

// busyAbove is the share of the machine from which others spoil the figures.
const busyAbove = 0.1

// busiest is the most that others took during a row.
func (r *result) busiest() float64 {
	most := 0.0
	for _, x := range r.table() {
		most = max(most, x.Foreign)
	}
	return most
}

// middle is the row with the median rate (of two, the slower), with the errors of all.
func middle(rows []row) row {
	sorted := slices.SortedFunc(slices.Values(rows), func(a, b row) int {
		switch {
		case a.Rate < b.Rate:
			return -1
		case a.Rate > b.Rate:
			return 1
		}
		return 0
	})
	out := sorted[(len(sorted)-1)/2]
	out.Errors = map[string]int64{}
	for _, x := range rows {
		for kind, n := range x.Errors {
			out.Errors[kind] += n
		}
	}
	return out
}

func (x row) line() string {
	cells := []string{x.Name, figure(x.Rate), figure(x.P50), figure(x.P95), figure(x.P99), figure(x.P999), dash(x.Place.P50), dash(x.Place.P95), dash(x.Place.P99), dash(x.App), dash(x.DB), dash(x.Batch), dash(x.WAL), errorsOf(x.Errors), fmt.Sprintf("%.0f %%", 100*x.Foreign)}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// figure shows three digits or, from a thousand on, all in front of the point.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// dash is figure for values that some rows do not have.
func dash(v float64) string {
	if v == 0 {
		return "–"
	}
	return figure(v)
}

func errorsOf(kinds map[string]int64) string {
	if len(kinds) == 0 {
		return "0"
	}
	var out []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		out = append(out, fmt.Sprintf("%s: %d", kind, kinds[kind]))
	}
	return strings.Join(out, ", ")
}

// writePipeline shows what became of the leads when the pipeline was full.
func (r *result) writePipeline(b *strings.Builder) {
	head := false
	for i, x := range r.rounds {
		p := x.pipeline
		if p.Name == "" {
			continue
		}
		if !head {
			b.WriteString("\nThe pipeline at saturation, each round:\n\n| round | accepted/s | offered/s | delivered/s | not yet delivered, not yet offered at the end | s until 0 | leads/s until 0 | " +
				"written twice | MiB of both servers: first, most, last |\n|---:|---:|---:|---:|---:|---:|---:|---:|---|\n")
			head = true
		}
		fmt.Fprintf(b, "| %d | %s | %s | %s | %d, %d | %s | %s | %d | %.0f, %.0f, %.0f |\n", i+1, figure(p.Rate), figure(p.Offered), figure(p.Delivered), p.Waiting, p.Unoffered,
			figure(p.ToZero.Seconds()), figure(p.Sustained), p.Twice, p.Memory[0], slices.Max(p.Memory), p.Memory[len(p.Memory)-1])
	}
}

// writePromises shows the figures that Leadline is held to.
func (r *result) writePromises(b *strings.Builder) {
	all := r.promises()
	if len(all) == 0 {
		return
	}
	b.WriteString("\n| promised | bound | measured | of each round | kept | others' CPU |\n|---|---:|---:|---|---|---:|\n")
	for _, p := range all {
		var each []string
		for _, v := range p.values {
			each = append(each, figure(v))
		}
		kept := "**no**"
		if p.kept() {
			kept = "yes"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %.0f %% |\n", p.name, p.limit(), figure(p.value())+p.unit, strings.Join(each, ", "), kept, 100*p.foreign)
	}
}

// writeLong shows how the long run went, minute by minute.
func (r *result) writeLong(b *strings.Builder) {
	if len(r.long) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%d a second for %v, everything on:\n\n| from minute | p50 | p95 | p99 | p99.9 ms | to the offer p50 / p99 ms | CPU app | PostgreSQL µs | MiB | errors | others' CPU |\n", longRate, r.plan.long)
	b.WriteString("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---:|\n")
	for i, m := range r.long {
		fmt.Fprintf(b, "| %.0f | %s | %s | %s | %s | %s / %s | %s | %s | %.0f | %s | %.0f %% |\n", float64(i)*r.plan.every.Minutes(), figure(m.P50), figure(m.P95), figure(m.P99), figure(m.P999),
			figure(m.Place.P50), figure(m.Place.P99), figure(m.App), figure(m.DB), m.Memory, errorsOf(m.Errors), 100*m.Foreign)
	}
}
