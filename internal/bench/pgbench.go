package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The yardstick: one row into a table of three columns with one index, a transaction each.
const (
	yardstickTable  = `CREATE TABLE yardstick (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL, text text NOT NULL)`
	yardstickScript = "INSERT INTO yardstick (at, text) VALUES (clock_timestamp(), 'one row of the yardstick');\n"
)

// sampled is the part of transactions whose time pgbench writes down.
const sampled = 0.1

var (
	pgbenchRate  = regexp.MustCompile(`(?m)^tps = ([0-9.]+) \(without initial connection time\)`)
	pgbenchCount = regexp.MustCompile(`(?m)^number of transactions actually processed: ([0-9]+)`)
)

// pgbench inserts single rows with PostgreSQL's own tool, over the same socket and with prepared statements.
func (b *bench) pgbench(ctx context.Context, clients int) (row, error) {
	name := fmt.Sprintf("pgbench, single-row INSERT, %d clients", clients)
	if clients == 1 {
		name = strings.TrimSuffix(name, "s")
	}
	b.say("%s", name)
	if err := b.checkpoint(ctx); err != nil {
		return row{}, err
	}
	return b.watch(ctx, nil, nil, func() (row, error) { return b.runPgbench(ctx, name, clients, fmt.Sprint("--sampling-rate=", sampled)) })
}

// pgbenchAt inserts at random moments, so many a second: what no lead can be faster than on this machine. pgbench too counts times from
// the moment a transaction was due.
func (b *bench) pgbenchAt(ctx context.Context, rate float64) (row, error) {
	name := fmt.Sprintf("pgbench, single-row INSERT, %.0f/s", rate)
	b.say("%s", name)
	r, err := b.watch(ctx, nil, nil, func() (row, error) { return b.runPgbench(ctx, name, 16, fmt.Sprint("--rate=", rate)) })
	r.Asked = rate
	return r, err
}

func (b *bench) runPgbench(ctx context.Context, name string, clients int, more string) (row, error) {
	dir, err := os.MkdirTemp(b.dir, "pgbench-")
	if err != nil {
		return row{}, fmt.Errorf("make a folder: %w", err)
	}
	script := filepath.Join(dir, "insert.sql")
	if err := os.WriteFile(script, []byte(yardstickScript), 0o600); err != nil {
		return row{}, fmt.Errorf("write pgbench's script: %w", err)
	}
	seconds := max(1, int(b.plan.yardstick.Round(time.Second).Seconds()))
	cmd := exec.CommandContext(ctx, filepath.Join(b.programs, "pgbench"), "--no-vacuum", "--protocol=prepared", "--file="+script, //nolint:gosec // our own arguments
		fmt.Sprint("--client=", clients), fmt.Sprint("--jobs=", min(clients, 2)), fmt.Sprint("--time=", seconds),
		"--log", "--log-prefix="+filepath.Join(dir, "log"), more, b.dsn("yardstick"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return row{}, fmt.Errorf("pgbench (is it installed beside PostgreSQL's programs?): %w: %s", err, out)
	}
	r := row{Name: name}
	rate, count := pgbenchRate.FindSubmatch(out), pgbenchCount.FindSubmatch(out)
	if count != nil && string(count[1]) == "0" {
		return r, nil // a machine so busy that nobody got connected in time; the table shows it
	}
	if rate == nil || count == nil {
		return r, fmt.Errorf("pgbench printed something unknown: %s", out)
	}
	if r.Rate, err = strconv.ParseFloat(string(rate[1]), 64); err != nil {
		return r, fmt.Errorf("read pgbench's rate: %w", err)
	}
	if r.Count, err = strconv.ParseInt(string(count[1]), 10, 64); err != nil {
		return r, fmt.Errorf("read pgbench's count: %w", err)
	}
	took, err := pgbenchTimes(dir)
	if err == nil {
		r.P50, r.P95, r.P99, r.P999 = at(took, 0.5), at(took, 0.95), at(took, 0.99), at(took, 0.999)
	}
	return r, err
}

// pgbenchTimes reads the sampled times, in milliseconds and in order. The third field of a line is the time in microseconds.
func pgbenchTimes(dir string) ([]float64, error) {
	var took []float64
	logs, _ := filepath.Glob(filepath.Join(dir, "log*")) // the only error is a bad pattern
	for _, name := range logs {
		file, err := os.Open(name) //nolint:gosec // pgbench's, in a folder of ours
		if err != nil {
			return nil, fmt.Errorf("read pgbench's log: %w", err)
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			f := strings.Fields(lines.Text())
			if len(f) < 3 {
				continue
			}
			us, err := strconv.ParseFloat(f[2], 64)
			if err != nil {
				continue // a line that was cut
			}
			took = append(took, us/1000)
		}
		_ = file.Close()
	}
	slices.Sort(took)
	return took, nil
}

// at is a percentile of sorted values; 0 without any.
func at(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}
