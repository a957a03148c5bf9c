// Bench measures what this machine can do with Leadline, and prints one table with figures of one run side by side.
//
// It starts a private PostgreSQL with the product's own launcher and settings, and everything else as processes of their own: the
// real leadline, a CRM that takes 80 ms, the load generator, and the yardsticks (pgbench, a web server that does nothing, the design
// that one would write first). Processor time can therefore be told apart, and what others on the machine took is shown with
// every row. Absolute figures belong to a machine and a day; the ratios between rows of one run are what is promised.
//
// It is a program for developers and no part of the product: `make bench` runs it. Its own children are this program again, with a
// role as first argument. Settings, all from the environment:
//
//	BENCH=long        also 1,000 a second for ten minutes; short: for those who work on it
//	BENCH_ONLY=a,b    some groups of rows: pgbench, noop, capture, naive, pipeline, steady, dispatch, long
//	BENCH_PROFILE=dir profiles of the processor time of the capture process, one a round
//	BENCH_POSTGRES=.. PostgreSQL settings other than the launcher's, as "name=value name=value"
//	BENCH_WRITE=1     writes the report to docs/benchmarks.md
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) > 2 && os.Args[1] == roleWord {
		err = play(ctx, os.Args[2], os.Args[3:])
	} else {
		err = run(ctx, os.Stdout, os.Stderr)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are what the environment asks for.
type settings struct {
	only     []string          // groups of rows; empty: all
	profile  string            // folder for profiles; empty: none
	postgres map[string]string // other settings than the launcher's
	write    bool
}

func readSettings() (settings, plan, error) {
	s := settings{profile: os.Getenv("BENCH_PROFILE"), write: os.Getenv("BENCH_WRITE") != "", postgres: map[string]string{}}
	if only := os.Getenv("BENCH_ONLY"); only != "" {
		s.only = strings.Split(only, ",")
	}
	for _, group := range s.only {
		if !slices.Contains(groups, group) {
			return s, plan{}, fmt.Errorf("BENCH_ONLY knows %s, not %q", strings.Join(groups, ", "), group)
		}
	}
	for _, pair := range strings.Fields(os.Getenv("BENCH_POSTGRES")) {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return s, plan{}, fmt.Errorf("BENCH_POSTGRES takes pairs like shared_buffers=1GB, not %q", pair)
		}
		s.postgres[name] = value
	}
	p, err := planned(os.Getenv("BENCH"))
	if s.write = s.write && len(s.only) == 0 && len(s.postgres) == 0; err == nil && s.profile != "" {
		err = os.MkdirAll(s.profile, 0o755) //nolint:gosec // a folder of the developer's
	}
	return s, p, err
}

// run measures everything, prints the report, and writes it down when asked to: not that of a run of some rows or on other settings.
func run(ctx context.Context, stdout, progress io.Writer) error {
	s, p, err := readSettings()
	if err != nil {
		return err
	}
	b, err := newBench(ctx, s, p, progress)
	if err != nil {
		return err
	}
	defer b.close(ctx)
	result, err := b.measure(ctx)
	if err != nil {
		return err
	}
	text := result.markdown()
	if _, err := io.WriteString(stdout, text); err != nil || !s.write {
		return err
	}
	return os.WriteFile(filepath.Join("docs", "benchmarks.md"), []byte(text), 0o644) //nolint:gosec // documentation is for everybody
}

// plan says how long things take.
type plan struct {
	warm      time.Duration // before each row, not counted
	saturated time.Duration // a row as fast as it goes
	pipeline  time.Duration // the same with everything on: long enough that the leads under way at its end weigh little
	yardstick time.Duration // a run of pgbench
	steady    time.Duration // a row at a fixed rate
	repeats   int           // of the rows whose ratios are promised
	rates     []float64     // leads per second of the rows at a fixed rate
	dispatch  float64       // of those that show how soon leads are offered
	long      time.Duration // at 1,000 a second, to see drift; 0: not
	every     time.Duration // the steps of that one
	clients   int           // connections at saturation
	settle    time.Duration // how long a backlog may take to go
	ids       bool          // compare every acknowledged id with the table, rather than counts
}

func planned(name string) (plan, error) {
	p := plan{
		warm: time.Second, saturated: 5 * time.Second, pipeline: 10 * time.Second, yardstick: 4 * time.Second, steady: 6 * time.Second, repeats: 3,
		rates: []float64{200, 1000, 3000}, dispatch: 500, clients: 256, settle: 2 * time.Minute,
	}
	switch name {
	case "":
	case "long":
		p.long, p.every = 10*time.Minute, time.Minute
	case "short": // for those who work on it
		p.warm, p.saturated, p.pipeline, p.yardstick, p.steady, p.repeats = 300*time.Millisecond, 1500*time.Millisecond, 3*time.Second, time.Second, 2*time.Second, 1
	default:
		return plan{}, fmt.Errorf("BENCH can be long or short, not %q", name)
	}
	return p, nil
}
