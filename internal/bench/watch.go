package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// row is one line of the table.
type row struct {
	Name                string
	Rate                float64     // stored per second
	Asked               float64     // per second; 0: as fast as it goes
	Count               int64       // stored in the window
	P50, P95, P99, P999 float64     // ms
	Late                float64     // ms at p99 by which the generator itself was late
	App, DB             float64     // µs of processor time per lead
	WAL                 float64     // bytes per lead
	Batch               float64     // mean size of a commit; 0: not known
	Foreign             float64     // share of the machine that others took
	Place               percentiles // ms from a lead being stored to its first offer; 0: not offered
	Errors              map[string]int64
	ids                 []string
}

// withoutDatabase leaves out what PostgreSQL did beside a row that does not use it.
func (r row) withoutDatabase() row {
	r.DB, r.WAL = 0, 0
	return r
}

// reading is what counters say at one moment.
type reading struct {
	at            time.Time
	app, db, ours time.Duration
	machine       time.Duration
	wal           int64
	rows, commits float64
}

// watch runs something that stores leads and fills in what each of them cost. servers are the processes of the application, others
// further ones of ours that run beside it; the load generator is our child and known without being named.
func (b *bench) watch(ctx context.Context, servers, others []*process, do func() (row, error)) (row, error) {
	before, err := b.read(ctx, servers, others)
	if err != nil {
		return row{}, err
	}
	r, err := do()
	if err != nil {
		return r, err
	}
	after, err := b.read(ctx, servers, others)
	if err != nil {
		return r, err
	}
	if r.Count > 0 {
		each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(r.Count) }
		r.App, r.DB, r.WAL = each(after.app-before.app), each(after.db-before.db), float64(after.wal-before.wal)/float64(r.Count)
	}
	if commits := after.commits - before.commits; commits > 0 {
		r.Batch = (after.rows - before.rows) / commits
	}
	r.Foreign = foreignShare(after.machine-before.machine, after.ours-before.ours, after.at.Sub(before.at))
	return r, nil
}

func (b *bench) read(ctx context.Context, servers, others []*process) (reading, error) {
	var r reading
	for _, s := range servers {
		rows, commits, err := batches(ctx, s)
		if err != nil {
			return r, err
		}
		r.rows, r.commits = r.rows+rows, r.commits+commits
	}
	if err := b.admin.QueryRow(ctx, `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`).Scan(&r.wal); err != nil {
		return r, fmt.Errorf("read the WAL position: %w", err)
	}
	for _, s := range servers {
		t, err := timesOf(s.pid())
		if err != nil {
			return r, err
		}
		r.app += t.own
	}
	var err error
	if r.db, err = treeTime(b.postmaster); err != nil {
		return r, err
	}
	r.ours = r.app + r.db
	for _, p := range others {
		t, err := timesOf(p.pid())
		if err != nil {
			return r, err
		}
		r.ours += t.own
	}
	self, err := timesOf(os.Getpid())
	if err != nil {
		return r, err
	}
	r.ours += self.own + self.children
	r.machine, err = machineTime()
	r.at = time.Now()
	return r, err
}

// batches reads how many leads a server has committed in how many commits; a yardstick that does not say has none.
func batches(ctx context.Context, s *process) (rows, commits float64, err error) {
	if s.name != "capture" && s.name != "serve" {
		return 0, 0, nil
	}
	text, err := get(ctx, s.url()+"/metrics")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch name {
		case "leadline_commit_batch_size_sum":
			rows, err = strconv.ParseFloat(value, 64)
		case "leadline_commit_batch_size_count":
			commits, err = strconv.ParseFloat(value, 64)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("read the metric %s: %w", name, err)
		}
	}
	return rows, commits, nil
}

// send has the load generator send leads, and gives what it saw as a row.
func (b *bench) send(ctx context.Context, name string, o order) (row, error) {
	if o.Seed == 0 {
		o.Seed = b.seed()
	}
	o.IDs = b.plan.ids
	var s sent
	if err := b.ask(ctx, "load", o, &s); err != nil {
		return row{}, err
	}
	return row{
		Name: name, Rate: s.AchievedRate, Asked: o.Rate, Count: s.OK, P50: s.P50, P95: s.P95, P99: s.P99, P999: s.P999, Late: s.LateP99, Errors: s.Errors, ids: s.IDs,
	}, nil
}

// seed gives each load people of its own.
func (b *bench) seed() uint64 {
	b.runs++
	return uint64(b.began.UnixNano()) + uint64(b.runs)<<32 //nolint:gosec // no secret, and no harm if it wraps
}
