package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"leadline/internal/load"
)

// order is what the load generator is told, over its standard input.
type order struct {
	Targets     []string
	Rate        float64 // open loop; or
	Connections int     // closed loop
	Duration    time.Duration
	People      int
	First       int
	Seed        uint64
	Products    []string // that people ask for
	IDs         bool     // tell which leads were acknowledged
}

// sent is what it answers.
type sent struct {
	load.Report
	IDs []string
}

// playLoad sends leads from a process of its own, so that its processor time is not mistaken for the server's.
func playLoad(ctx context.Context, _ []string) error {
	var o order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	options := load.Options{
		Target: o.Targets[0], Also: o.Targets[1:], Form: benchForm, Rate: o.Rate, Connections: o.Connections, Duration: o.Duration,
		People: o.People, First: o.First, Seed: o.Seed, Products: o.Products, Now: time.Now,
	}
	var (
		mu  sync.Mutex
		out sent
	)
	if o.IDs {
		options.Acked = func(id string) {
			mu.Lock()
			defer mu.Unlock()
			out.IDs = append(out.IDs, id)
		}
	}
	var err error
	if out.Report, err = load.Run(ctx, options); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}
