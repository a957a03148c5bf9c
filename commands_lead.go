package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/lead"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
)

// leadCommands are about single leads.
func leadCommands() []command {
	return []command{
		{
			name: "lead pause", usage: `lead pause ID --reason quiet_hours|asked_for_time|on_hold [--until "2026-12-01 09:00"] [--note TEXT]`,
			summary: "lets the clocks of a lead stand, until then or until they are resumed; times are UTC where no offset is given",
			flags:   map[string]bool{"reason": true, "until": true, "note": true}, words: true, run: leadPause,
		},
		{name: "lead resume", usage: "lead resume ID", summary: "lets the clocks of a paused lead run again", words: true, run: leadResume},
	}
}

// withLead runs f for the lead whose id stands on the command line; an alias names the one lead.
func (c *call) withLead(ctx context.Context, f func(desk *dispatch.Service, id uuid.UUID) error) error {
	if len(c.args) != 1 {
		return usageError("name one lead by its id")
	}
	id, err := uuid.Parse(c.args[0])
	if err != nil {
		return usageError(fmt.Sprintf("%q is no id of a lead", c.args[0]))
	}
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		live := playbook.NewLive(db, func(string) (string, bool) { return "", false }, c.logger())
		if err := live.Refresh(ctx); err != nil {
			return err
		}
		if id, err = lead.NewStore(db.Gorm).Resolve(ctx, lead.Scope{All: true}, id); err != nil {
			return err
		}
		return f(dispatch.New(dispatch.Options{
			DB: db, Now: c.now, Log: c.logger(), Snapshot: func() dispatch.Snapshot { return dispatch.Snapshot{Table: live.Current().Table} },
		}), id)
	})
}

func leadPause(ctx context.Context, c *call) error {
	r := dispatch.PauseRequest{Reason: c.flags["reason"], Note: c.flags["note"], By: byCommand}
	if text := c.flags["until"]; text != "" {
		var err error
		if r.Until, _, err = momentIn(text, time.UTC); err != nil {
			return err
		}
	}
	return c.withLead(ctx, func(desk *dispatch.Service, id uuid.UUID) error {
		r.LeadID = id
		if err := desk.Pause(ctx, r); err != nil {
			return err
		}
		end := "until they are resumed: leadline lead resume " + id.String()
		if !r.Until.IsZero() {
			end = "until " + moment(&r.Until, "")
		}
		fmt.Fprintf(c.stdout, "The clocks of the lead stand %s.\n", end)
		return nil
	})
}

func leadResume(ctx context.Context, c *call) error {
	return c.withLead(ctx, func(desk *dispatch.Service, id uuid.UUID) error {
		if err := desk.Resume(ctx, id, uuid.Nil, byCommand); err != nil {
			return err
		}
		fmt.Fprintln(c.stdout, "The clocks of the lead run again.")
		return nil
	})
}
