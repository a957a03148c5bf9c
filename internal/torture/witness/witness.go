// Package witness proves from outside that no acknowledged lead is lost and none is made twice. It is a client that keeps its own books:
// before each attempt it writes down, and flushes, what it is about to send, afterwards what it was told; at the end it compares its books
// with the database and with the CRM.
//
// It knows the public contract and the tables, and none of the code that it watches. It runs in a process of its own (Main), so that
// nothing that is killed can take its books along. internal/torture starts it; it is no part of the product.
package witness

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Main is the witness as a program, with exit code 0 when all is well, 1 when it is not. "drive" sends until standard input ends, then
// finishes what is unknown; "check" compares. Each prints one JSON document on stdout, violations on stderr.
func Main(ctx context.Context, args []string, now func() time.Time, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		_, _ = fmt.Fprintln(stderr, "say drive or check")
		return 2
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("file", "", "the books")
	seed := flags.Uint64("seed", 1, "decides who sends what")
	rate := flags.Float64("rate", 50, "form fills a second")
	atOnce := flags.Int("at-once", 50, "visitors under way at most")
	targets := flags.String("targets", "", "addresses of the servers, with commas")
	dsn := flags.String("dsn", "", "the database")
	crm := flags.String("crm", "", "address of the vendor sandbox")
	patience := flags.Duration("patience", time.Minute, "how long everything may take to finish")
	if err := flags.Parse(args[1:]); err != nil {
		return 2
	}
	var err error
	switch args[0] {
	case "drive":
		ctx, stop := context.WithCancel(ctx)
		go func() {
			_, _ = io.Copy(io.Discard, stdin) // its end is the message
			stop()
		}()
		var sum Driven
		sum, err = Drive(ctx, Options{File: *file, Seed: *seed, Rate: *rate, AtOnce: *atOnce, Targets: strings.Split(*targets, ","), Patience: *patience, Now: now})
		err = errors.Join(err, json.NewEncoder(stdout).Encode(sum))
	case "check":
		err = check(ctx, *file, *dsn, *crm, *patience, now, stdout, stderr)
	default:
		err = fmt.Errorf("there is no %q", args[0])
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "witness:", err)
		return 1
	}
	return 0
}

// check compares until everything fits or patience ends: what is still on its way is no violation before that.
func check(ctx context.Context, file, dsn, crm string, patience time.Duration, now func() time.Time, stdout, stderr io.Writer) error {
	lines, err := ReadJournal(file)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for deadline := now().Add(patience); ; {
		records, err := Records(ctx, crm)
		if err != nil {
			return err
		}
		seen, err := Look(ctx, conn, records)
		if err != nil {
			return err
		}
		found, sum := Compare(lines, seen)
		if len(found) == 0 || now().After(deadline) {
			for _, v := range found {
				_, _ = fmt.Fprintln(stderr, v)
			}
			if err := json.NewEncoder(stdout).Encode(sum); err != nil {
				return fmt.Errorf("print: %w", err)
			}
			if len(found) > 0 {
				return fmt.Errorf("%d violations", len(found))
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
