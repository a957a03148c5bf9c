package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"leadline/internal/audit"
	"leadline/internal/postgres"
	"leadline/internal/rep"
)

// repCommands are about people who take leads. Everything else about them is configuration, which apply loads.
func repCommands() []command {
	return []command{
		{
			name: "rep away", usage: `rep away --email E [--from "2026-12-01 14:00"] [--until 2026-12-05] [--kind leave|pause]`,
			summary: "notes that a rep takes no leads for a time, in the rep's time zone; a day as its end is the last one",
			flags:   map[string]bool{"email": true, "from": true, "until": true, "kind": true}, run: repAway,
		},
		{name: "rep absences", usage: "rep absences --email E", summary: "lists absences of a rep", flags: map[string]bool{"email": true}, run: repAbsences},
		{name: "rep back", usage: "rep back --email E --id ID", summary: "takes an absence back", flags: map[string]bool{"email": true, "id": true}, run: repBack},
		{
			name: "rep deactivate", usage: "rep deactivate --email E", summary: "somebody takes no leads any more; those they have not touched go to others",
			flags: map[string]bool{"email": true}, run: func(ctx context.Context, c *call) error { return repActive(ctx, c, false) },
		},
		{
			name: "rep activate", usage: "rep activate --email E", summary: "lets somebody take leads again",
			flags: map[string]bool{"email": true}, run: func(ctx context.Context, c *call) error { return repActive(ctx, c, true) },
		},
	}
}

// withRep runs f for the rep whom --email names; the record says that the command line did what it does.
func (c *call) withRep(ctx context.Context, f func(ctx context.Context, reps *rep.Store, who rep.Rep) error) error {
	if c.flags["email"] == "" {
		return usageError("--email is needed")
	}
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		ctx, reps := audit.WithActor(ctx, audit.Actor{Kind: audit.Command}), rep.NewStore(db.Gorm)
		who, err := reps.ByEmail(ctx, c.flags["email"])
		if err != nil {
			return err
		}
		return f(ctx, reps, who)
	})
}

func repAway(ctx context.Context, c *call) error {
	return c.withRep(ctx, func(ctx context.Context, reps *rep.Store, who rep.Rep) error {
		zone, err := rep.Zone(who.Timezone)
		if err != nil {
			return err
		}
		a := rep.Absence{RepID: who.ID, Kind: c.flags["kind"], From: c.now()}
		if a.Kind == "" {
			a.Kind = rep.Leave
		}
		if text := c.flags["from"]; text != "" {
			if a.From, _, err = momentIn(text, zone); err != nil {
				return err
			}
		}
		if text := c.flags["until"]; text != "" {
			at, whole, err := momentIn(text, zone)
			if err != nil {
				return err
			}
			if whole {
				at = at.AddDate(0, 0, 1)
			}
			a.Until = at
		}
		added, _, err := reps.AddAbsence(ctx, a)
		if err != nil {
			return err
		}
		end := "until it is taken back"
		if !added.Until.IsZero() {
			end = "until " + added.Until.In(zone).Format(localMoment)
		}
		fmt.Fprintf(c.stdout, "%s takes no leads from %s %s (%s).\nTo take it back: leadline rep back --email %s --id %s\n",
			who.Email, added.From.In(zone).Format(localMoment), end, zone, who.Email, added.ID)
		return nil
	})
}

// localMoment is how a time in somebody's zone is written and read.
const localMoment = "2006-01-02 15:04"

// momentIn reads a time with an offset, or one of a zone; whole: only a day was given.
func momentIn(text string, zone *time.Location) (at time.Time, whole bool, err error) {
	if at, err = time.Parse(time.RFC3339, text); err == nil {
		return at, false, nil
	}
	if at, err = time.ParseInLocation(localMoment, text, zone); err == nil {
		return at, false, nil
	}
	if at, err = time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		return at, true, nil
	}
	return at, false, usageError(fmt.Sprintf("%q is no time; write it like \"2026-12-01 14:00\" or 2026-12-01", text))
}

func repAbsences(ctx context.Context, c *call) error {
	return c.withRep(ctx, func(ctx context.Context, reps *rep.Store, who rep.Rep) error {
		all, err := reps.AbsencesOf(ctx, who.ID)
		if err != nil {
			return err
		}
		return c.table("ID\tKIND\tFROM\tUNTIL", func(w io.Writer) {
			for _, a := range all {
				until := &a.Until
				if until.IsZero() {
					until = nil
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", a.ID, a.Kind, moment(&a.From, ""), moment(until, "until taken back"))
			}
		})
	})
}

func repBack(ctx context.Context, c *call) error {
	id, err := uuid.Parse(c.flags["id"])
	if err != nil {
		return usageError("--id is needed: leadline rep absences lists them")
	}
	return c.withRep(ctx, func(ctx context.Context, reps *rep.Store, who rep.Rep) error {
		if err := reps.RemoveAbsence(ctx, who.ID, id); err != nil {
			return err
		}
		fmt.Fprintln(c.stdout, "The absence is taken back.")
		return nil
	})
}

func repActive(ctx context.Context, c *call, active bool) error {
	return c.withRep(ctx, func(ctx context.Context, reps *rep.Store, who rep.Rep) error {
		if _, err := reps.SetActive(ctx, who.Email, active); err != nil {
			return err
		}
		if active {
			fmt.Fprintf(c.stdout, "%s takes leads again.\n", who.Email)
			return nil
		}
		fmt.Fprintf(c.stdout, "%s takes no leads any more. Leads they have not touched go to others at once.\n", who.Email)
		return nil
	})
}
