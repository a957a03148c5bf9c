package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/simulate"
)

// shadowCommands hold another configuration against live traffic, without effect.
func shadowCommands() []command {
	return []command{
		{
			name: "shadow start", usage: "shadow start DRAFT|VERSION", summary: "decides each lead also by a draft or an earlier version, without effect, beside the live one",
			words: true, run: shadowStart,
		},
		{name: "shadow stop", usage: "shadow stop", summary: "ends that; what it found stays", run: shadowStop},
		{
			name: "shadow report", usage: "shadow report [--json]", summary: "says what it would have done otherwise",
			flags: map[string]bool{"json": false}, run: shadowReport,
		},
	}
}

// candidate finds the draft or version that the command line names.
func (c *call) candidate(ctx context.Context, db *postgres.DB) (playbook.Candidate, error) {
	if id, err := uuid.Parse(c.args[0]); err == nil {
		return playbook.CandidateOf(ctx, db, &id, 0)
	}
	number, err := strconv.ParseInt(c.args[0], 10, 64)
	if err != nil || number < 1 {
		return playbook.Candidate{}, usageError(fmt.Sprintf("%q is neither the id of a draft nor the number of a version; see: leadline draft list, leadline versions", c.args[0]))
	}
	return playbook.CandidateOf(ctx, db, nil, number)
}

func shadowStart(ctx context.Context, c *call) error {
	if len(c.args) != 1 {
		return usageError("name one draft by its id, or one version by its number")
	}
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		of, err := c.candidate(ctx, db)
		if err != nil {
			return err
		}
		if _, err := simulate.StartShadow(ctx, db, of, byCommand); err != nil {
			return err
		}
		fmt.Fprintln(c.stdout, "From now on each lead is decided twice, the second time without effect. See what differs with: leadline shadow report")
		return nil
	})
}

func shadowStop(ctx context.Context, c *call) error {
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		stopped, err := simulate.StopShadow(ctx, db)
		if err != nil {
			return err
		}
		if !stopped {
			return errors.New("no shadow is running")
		}
		fmt.Fprintln(c.stdout, "The shadow has ended. What it found stays until another one begins: leadline shadow report")
		return nil
	})
}

func shadowReport(ctx context.Context, c *call) error {
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		r, err := simulate.ReportShadow(ctx, db, maxShown)
		if err != nil {
			return err
		}
		if c.flags["json"] != "" {
			return json.NewEncoder(c.stdout).Encode(r)
		}
		fmt.Fprintf(c.stdout, "Shadow of %s, since %s", candidateName(r.Version, r.DraftID), r.StartedAt.UTC().Format(time.RFC3339))
		switch {
		case r.EndedAt != nil:
			fmt.Fprintf(c.stdout, " until %s. %s", r.EndedAt.UTC().Format(time.RFC3339), r.Problem)
		case r.Behind > 0:
			fmt.Fprintf(c.stdout, ", %s behind", count(int(r.Behind), "event"))
		}
		fmt.Fprintln(c.stdout)
		printComparison(c.stdout, r.Sums)
		for _, l := range r.Leads {
			fmt.Fprintf(c.stdout, "%s  lead %s  %s: rule %q, %s, offered to %s; would be rule %q, %s, offered to %s\n", l.At.UTC().Format(time.RFC3339), l.LeadID,
				strings.Join(l.Kinds, " "), l.WasRule, l.Was, orNobody(l.WasTo), l.Rule, l.Target, orNobody(l.Offered))
		}
		return nil
	})
}

func candidateName(version *int64, draft *uuid.UUID) string {
	if version != nil {
		return fmt.Sprintf("version %d", *version)
	}
	if draft != nil {
		return "draft " + draft.String()
	}
	return "a text"
}

func orNobody(email string) string {
	if email == "" {
		return "nobody by name"
	}
	return email
}
