package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"leadline/internal/playbook"
	"leadline/internal/postgres"
)

// byCommand is who the author of a version is that the command line made. Everybody there is the same person.
const byCommand = "command line"

// versionCommands look after versions of the configuration, and drafts of the next one.
func versionCommands() []command {
	return []command{
		{name: "versions", usage: "versions [N]", summary: "lists published versions, or prints the text of one", words: true, run: versions},
		{
			name: "rollback", usage: "rollback N --note TEXT", summary: "publishes the content of an earlier version again, as a new one",
			flags: map[string]bool{"note": true}, words: true, run: rollback,
		},
		{
			name: "draft add", usage: "draft add FILE... [--note TEXT] [--ack CODE[:PATH],...]", summary: "keeps configuration that is not live yet",
			flags: map[string]bool{"note": true, "ack": true}, words: true, run: draftAdd,
		},
		{name: "draft list", usage: "draft list", summary: "lists drafts that are open or have a time", run: draftList},
		{name: "draft show", usage: "draft show ID", summary: "prints the text of a draft", words: true, run: draftShow},
		{name: "draft approve", usage: "draft approve ID", summary: "agrees to a draft of somebody else", words: true, run: draftApprove},
		{
			name: "draft publish", usage: "draft publish ID [--at TIME]", summary: "makes a draft live, now or at a time",
			flags: map[string]bool{"at": true}, words: true, run: draftPublish,
		},
		{name: "draft discard", usage: "draft discard ID", summary: "forgets a draft", words: true, run: draftDiscard},
	}
}

// versionsShown is how many versions are listed.
const versionsShown = 50

func versions(ctx context.Context, c *call) error {
	if len(c.args) > 0 {
		number, err := c.versionArg()
		if err != nil {
			return err
		}
		return c.withDatabase(ctx, func(db *postgres.DB) error {
			text, err := playbook.Text(ctx, db, number)
			if err == nil {
				_, err = io.WriteString(c.stdout, text)
			}
			return err
		})
	}
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		all, err := playbook.Versions(ctx, db, versionsShown)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			fmt.Fprintln(c.stdout, "No configuration was published yet.")
		}
		for _, v := range all {
			printVersion(c.stdout, v)
		}
		return nil
	})
}

func printVersion(w io.Writer, v playbook.Version) {
	fmt.Fprintf(w, "%d  %s  %s  by %s", v.Number, v.At.UTC().Format(time.RFC3339), v.Hash[:min(len(v.Hash), 12)], v.Author)
	if v.Live {
		fmt.Fprint(w, "  live")
	}
	if v.RollbackOf != nil {
		fmt.Fprintf(w, "  content of version %d", *v.RollbackOf)
	}
	if v.ApprovedBy != "" {
		fmt.Fprintf(w, "  approved by %s", v.ApprovedBy)
	}
	if v.Report != nil {
		fmt.Fprintf(w, "  %s passed, %s", count(v.Report.Tests, "golden lead"), count(len(v.Report.Warnings), "warning"))
		if s := v.Report.Score; s != nil {
			fmt.Fprintf(w, ", changes to %d of %d rules noticed", s.Noticed, s.Rules)
		}
	}
	if v.Note != "" {
		fmt.Fprintf(w, "  %q", v.Note)
	}
	fmt.Fprintln(w)
}

// versionArg reads the number of a version from the command line.
func (c *call) versionArg() (int64, error) {
	if len(c.args) != 1 {
		return 0, usageError("name one version by its number")
	}
	number, err := strconv.ParseInt(c.args[0], 10, 64)
	if err != nil || number < 1 {
		return 0, usageError(fmt.Sprintf("%q is no number of a version", c.args[0]))
	}
	return number, nil
}

func rollback(ctx context.Context, c *call) error {
	to, err := c.versionArg()
	if err != nil {
		return err
	}
	if strings.TrimSpace(c.flags["note"]) == "" {
		return usageError("say why with --note")
	}
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		number, err := playbook.Rollback(ctx, db, to, 0, byCommand, c.flags["note"])
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "Version %d is live, with the content of version %d.\n", number, to)
		return nil
	})
}

func draftAdd(ctx context.Context, c *call) error {
	cfg, problems, err := c.readPlaybook()
	if err != nil {
		return err
	}
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		if err := c.acknowledged(ctx, db, cfg, problems); err != nil {
			return err
		}
		d, err := playbook.AddDraft(ctx, db, cfg, byCommand, c.flags["note"], c.acks()...)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "Draft %s, begun from version %d. Publish it with: leadline draft publish %s\n", d.ID, d.Base, d.ID)
		return nil
	})
}

func draftList(ctx context.Context, c *call) error {
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		all, err := playbook.Drafts(ctx, db)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			fmt.Fprintln(c.stdout, "There are no drafts.")
		}
		for _, d := range all {
			fmt.Fprintf(c.stdout, "%s  revision %d  from version %d  by %s  %s", d.ID, d.Revision, d.Base, d.Author, d.State)
			if d.PublishAt != nil {
				fmt.Fprintf(c.stdout, " for %s", d.PublishAt.UTC().Format(time.RFC3339))
			}
			if len(d.Approvers) > 0 {
				fmt.Fprintf(c.stdout, "  approved by %s", strings.Join(d.Approvers, ", "))
			}
			if d.Problem != "" {
				fmt.Fprintf(c.stdout, "  %s", d.Problem)
			}
			fmt.Fprintln(c.stdout)
		}
		return nil
	})
}

// withDraft runs a command on the draft that the command line names.
func (c *call) withDraft(ctx context.Context, f func(db *postgres.DB, id uuid.UUID) error) error {
	if len(c.args) != 1 {
		return usageError("name one draft by its id")
	}
	id, err := uuid.Parse(c.args[0])
	if err != nil {
		return usageError(fmt.Sprintf("%q is no id of a draft; see: leadline draft list", c.args[0]))
	}
	return c.withDatabase(ctx, func(db *postgres.DB) error { return f(db, id) })
}

func draftShow(ctx context.Context, c *call) error {
	return c.withDraft(ctx, func(db *postgres.DB, id uuid.UUID) error {
		_, text, err := playbook.OneDraft(ctx, db, id)
		if err == nil {
			_, err = io.WriteString(c.stdout, text)
		}
		return err
	})
}

func draftApprove(ctx context.Context, c *call) error {
	return c.withDraft(ctx, func(db *postgres.DB, id uuid.UUID) error {
		d, err := playbook.ApproveDraft(ctx, db, id, 0, byCommand)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "Revision %d of the draft is approved.\n", d.Revision)
		return nil
	})
}

func draftPublish(ctx context.Context, c *call) error {
	var at time.Time
	if text := c.flags["at"]; text != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, text); err != nil {
			return usageError("--at needs a time like 2026-11-23T16:02:07Z")
		}
	}
	return c.withDraft(ctx, func(db *postgres.DB, id uuid.UUID) error {
		if !at.IsZero() {
			if _, err := playbook.ScheduleDraft(ctx, db, id, 0, at); err != nil {
				return err
			}
			fmt.Fprintf(c.stdout, "The draft goes live at %s, by any server that runs then.\n", at.UTC().Format(time.RFC3339))
			return nil
		}
		d, err := playbook.PublishDraft(ctx, db, id, 0)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "Version %d is live.\n", *d.Published)
		return nil
	})
}

func draftDiscard(ctx context.Context, c *call) error {
	return c.withDraft(ctx, func(db *postgres.DB, id uuid.UUID) error {
		if _, err := playbook.DiscardDraft(ctx, db, id, 0); err != nil {
			return err
		}
		fmt.Fprintln(c.stdout, "The draft is discarded.")
		return nil
	})
}
