// Bench measures what this machine can do with Leadline, and prints one table with figures of one run side by side.
//
// It starts a private PostgreSQL with the product's own launcher and settings, and everything else as processes of their own: the
// real leadline, a CRM that takes 80 ms, the load generator, and the yardsticks (pgbench, a web server that does nothing, the design
// that one would write first). Processor time can therefore be told apart, and what others on the machine took is shown with
// every row. Absolute figures belong to a machine and a day; the ratios between rows of one run are what is promised.
//
// It is a program for developers and no part of the product: `make bench` runs it. Its own children are this program again, with a
// role as first argument.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
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

// run measures everything, prints the report, and writes it to docs/benchmarks.md when BENCH_WRITE says so.
func run(ctx context.Context, stdout, progress io.Writer) error {
	p, err := planned(os.Getenv("BENCH"))
	if err != nil {
		return err
	}
	b, err := newBench(ctx, p, progress)
	if err != nil {
		return err
	}
	defer b.close()
	b.profile = os.Getenv("BENCH_PROFILE")
	if only := os.Getenv("BENCH_ONLY"); only != "" {
		b.only = strings.Split(only, ",")
	}
	result, err := b.measure(ctx)
	if err != nil {
		return err
	}
	text := result.markdown()
	if _, err := io.WriteString(stdout, text); err != nil {
		return err
	}
	if os.Getenv("BENCH_WRITE") == "" {
		return nil
	}
	if len(b.only) > 0 {
		return errors.New("a run of some rows only is not written down; leave BENCH_ONLY out")
	}
	return os.WriteFile(filepath.Join("docs", "benchmarks.md"), []byte(text), 0o644) //nolint:gosec // documentation is for everybody
}

// plan says how long things take.
type plan struct {
	warm      time.Duration // before each row, not counted
	saturated time.Duration // a row as fast as it goes
	yardstick time.Duration // a run of pgbench
	steady    time.Duration // a row at a fixed rate
	repeats   int           // of the rows whose ratios are promised
	rates     []float64     // leads per second of the rows at a fixed rate
	long      time.Duration // at 1,000 a second, to see drift; 0: not
	every     time.Duration // the steps of that one
	clients   int           // connections at saturation
	settle    time.Duration // how long a backlog may take to go
	ids       bool          // compare every acknowledged id with the table, rather than counts
}

func planned(name string) (plan, error) {
	p := plan{
		warm: time.Second, saturated: 5 * time.Second, yardstick: 4 * time.Second, steady: 6 * time.Second, repeats: 3,
		rates: []float64{200, 1000, 3000}, clients: 256, settle: 2 * time.Minute,
	}
	switch name {
	case "":
	case "long":
		p.long, p.every = 10*time.Minute, time.Minute
	case "short": // for those who work on it
		p.warm, p.saturated, p.yardstick, p.steady, p.repeats = 300*time.Millisecond, 1500*time.Millisecond, time.Second, 2*time.Second, 1
	default:
		return plan{}, fmt.Errorf("BENCH can be long or short, not %q", name)
	}
	return p, nil
}
