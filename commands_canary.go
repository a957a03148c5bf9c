package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"leadline/internal/playbook"
	"leadline/internal/postgres"
)

// canaryCommands let another configuration decide for a share of the leads.
func canaryCommands() []command {
	return []command{
		{
			name: "canary start", usage: "canary start DRAFT|VERSION --percent 5 --for 1h [--max-unrouted 1%] [--max-accept 1.5x] [--min-leads 50] [--note TEXT]",
			summary: "lets its rules decide for a share of the leads; taken back by itself when those fare worse, live for all at its end if not",
			flags:   map[string]bool{"percent": true, "for": true, "max-unrouted": true, "max-accept": true, "min-leads": true, "note": true}, words: true, run: canaryStart,
		},
		{name: "canary status", usage: "canary status", summary: "says how the leads of the canary fare beside the others", run: canaryStatus},
		{name: "canary stop", usage: "canary stop [--note TEXT]", summary: "takes it back", flags: map[string]bool{"note": true}, run: canaryStop},
		{name: "canary promote", usage: "canary promote [--note TEXT]", summary: "makes it live for all leads", flags: map[string]bool{"note": true}, run: canaryPromote},
	}
}

// canaryTerms reads the flags of canary start.
func (c *call) canaryTerms() (t playbook.CanaryTerms, err error) {
	t = playbook.DefaultCanary
	t.Author, t.Note = byCommand, c.flags["note"]
	if t.For, err = time.ParseDuration(c.flags["for"]); err != nil {
		return t, usageError("--for needs a time like 1h")
	}
	for _, f := range []struct {
		name, unit string
		into       *float64
		needed     bool
	}{{"percent", "%", &t.Percent, true}, {"max-unrouted", "%", &t.MaxUnrouted, false}, {"max-accept", "x", &t.MaxAccept, false}} {
		text, given := c.flags[f.name]
		if !given && !f.needed {
			continue
		}
		if *f.into, err = strconv.ParseFloat(strings.TrimSuffix(text, f.unit), 64); err != nil {
			return t, usageError(fmt.Sprintf("--%s needs a number like 5%s", f.name, f.unit))
		}
	}
	if text := c.flags["min-leads"]; text != "" {
		if t.MinLeads, err = strconv.Atoi(text); err != nil {
			return t, usageError("--min-leads needs a number of leads")
		}
	}
	return t, nil
}

func canaryStart(ctx context.Context, c *call) error {
	if len(c.args) != 1 {
		return usageError("name one draft by its id, or one version by its number")
	}
	terms, err := c.canaryTerms()
	if err != nil {
		return err
	}
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		of, err := c.candidate(ctx, db)
		if err != nil {
			return err
		}
		begun, err := playbook.StartCanary(ctx, db, of, terms)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "Version %d decides for %g %% of the leads until %s. See how they fare with: leadline canary status\n", begun.Number, begun.Percent,
			begun.Until.UTC().Format(time.RFC3339))
		return nil
	})
}

func canaryStatus(ctx context.Context, c *call) error {
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		newest, err := playbook.NewestCanary(ctx, db)
		if err != nil {
			return err
		}
		printCanary(c.stdout, newest)
		return nil
	})
}

func printCanary(w io.Writer, c playbook.Canary) {
	fmt.Fprintf(w, "Version %d (%s) beside version %d, for %g %% of the leads, from %s until %s: %s. %s\n", c.Number, candidateName(c.RollbackOf, c.DraftID), c.Base, c.Percent,
		c.StartedAt.UTC().Format(time.RFC3339), c.Until.UTC().Format(time.RFC3339), strings.ReplaceAll(c.State, "_", " "), c.Reason)
	for _, g := range []struct {
		who string
		playbook.CanaryGroup
	}{{"canary", c.Figures.Canary}, {"others", c.Figures.Control}} {
		fmt.Fprintf(w, "    %s: %s, %d unrouted; until accepted %.1f s (half of them), %.1f s (95 %%)\n", g.who, count(g.Leads, "lead"), g.Unrouted, g.Median, g.P95)
	}
	fmt.Fprintf(w, "Taken back if %g %% more leads are unrouted or waiting takes %g times as long, once there are %d on both sides.\n", 100*c.MaxUnrouted, c.MaxAccept, c.MinLeads)
}

func canaryStop(ctx context.Context, c *call) error {
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		stopped, err := playbook.StopCanary(ctx, db, c.flags["note"])
		if err != nil {
			return err
		}
		if !stopped {
			return errors.New("no canary is running")
		}
		fmt.Fprintln(c.stdout, "The live version decides about all leads again.")
		return nil
	})
}

func canaryPromote(ctx context.Context, c *call) error {
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		version, err := playbook.PromoteCanary(ctx, db, c.flags["note"])
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "Version %d is live.\n", version)
		return nil
	})
}
