package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"leadline/internal/audit"
	"leadline/internal/erasure"
	"leadline/internal/keyring"
	"leadline/internal/postgres"
)

// auditCommands prove that the record is what it was.
func auditCommands() []command {
	return []command{
		{
			name: "audit verify", usage: "audit verify [--anchors FILE] [--from N] [--to N]", summary: "recomputes the audit chain and compares it with its anchors",
			flags: map[string]bool{"anchors": true, "from": true, "to": true}, run: auditVerify,
		},
		{name: "audit head", usage: "audit head", summary: "signs the end of the audit chain now and prints it", run: auditHead},
	}
}

func auditVerify(ctx context.Context, c *call) error {
	from, err := c.rowFlag("from")
	if err != nil {
		return err
	}
	to, err := c.rowFlag("to")
	if err != nil {
		return err
	}
	// Whoever may only read the chain can verify it, on a database that any release migrated.
	db, done, err := c.openDatabase(ctx, c.logger(), false)
	if err != nil {
		return err
	}
	defer done()
	began := c.now()
	outside, err := c.readAnchors() // before the rows, so that no anchor is younger than what it is compared with
	if err != nil {
		return err
	}
	erased, err := erasure.Listed(c.cfg.ErasureList)
	if err != nil {
		return err
	}
	report, err := audit.Verify(ctx, db, audit.Options{From: from, To: to, Outside: outside, Erased: erased, PublicKey: audit.PublicKeyIn(db)})
	if err != nil {
		return err
	}
	printAudit(c.stdout, report, c.now().Sub(began))
	if n := len(report.Findings) + report.More; n > 0 {
		return fmt.Errorf("the audit chain does not verify: findings: %d", n)
	}
	return nil
}

// rowFlag reads the number of a row; 0 when it was not given.
func (c *call) rowFlag(name string) (int64, error) {
	text := c.flags[name]
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, usageError(fmt.Sprintf("--%s needs the number of a row", name))
	}
	return n, nil
}

// readAnchors reads what was anchored outside: the file that was named, or those of the settings.
func (c *call) readAnchors() ([]audit.Outside, error) {
	var names []string
	if given := c.flags["anchors"]; given != "" {
		names = []string{given}
	} else {
		names = c.anchorFiles()
	}
	var all []audit.Outside
	for _, name := range names {
		outside, err := audit.ReadAnchors(name, 0)
		if err != nil {
			return nil, err
		}
		if outside.Missing && c.flags["anchors"] != "" {
			return nil, fmt.Errorf("there is no file %s", name)
		}
		all = append(all, outside)
	}
	return all, nil
}

// anchorFiles are the files among the places where anchors go.
func (c *call) anchorFiles() (names []string) {
	for _, destination := range c.cfg.AuditAnchor {
		if name, ok := audit.AnchorFile(destination); ok {
			names = append(names, name)
		}
	}
	return names
}

// pageTail is how much of an anchor file's end is read for the page: some 90,000 anchors.
const pageTail = 32 << 20

// verifyNewest verifies from a row to the end against the files outside, for people who wait for it.
func (c *call) verifyNewest(db *postgres.DB) func(ctx context.Context, from int64) (audit.Report, error) {
	return func(ctx context.Context, from int64) (audit.Report, error) {
		var all []audit.Outside
		for _, name := range c.anchorFiles() {
			outside, err := audit.ReadAnchors(name, pageTail)
			if err != nil {
				return audit.Report{}, err
			}
			all = append(all, outside)
		}
		return audit.Verify(ctx, db, audit.Options{From: from, Outside: all, PublicKey: audit.PublicKeyIn(db)})
	}
}

func printAudit(out io.Writer, r audit.Report, took time.Duration) {
	if r.Rows == 0 {
		fmt.Fprintf(out, "No rows. The chain ends with row %d.\n", r.Head)
	} else {
		fmt.Fprintf(out, "Rows %d to %d: %d. The chain ends with row %d, hash %x.\n", r.From, r.To, r.Rows, r.Head, r.HeadHash)
	}
	if r.Erased > 0 {
		fmt.Fprintf(out, "Notes erased with the people they were about: %d.\n", r.Erased)
	}
	if r.LastAnchor.Seq > 0 {
		fmt.Fprintf(out, "Anchors checked: %d, the newest of row %d at %s.\n", r.Anchors, r.LastAnchor.Seq, r.LastAnchor.At.UTC().Format(time.RFC3339))
	} else {
		fmt.Fprintln(out, "No anchors.")
	}
	for _, k := range r.Keys {
		fmt.Fprintf(out, "Signed by key %d, fingerprint %s.\n", k.ID, audit.Fingerprint(k.Public))
	}
	if !r.Compared {
		fmt.Fprintln(out, "Nothing outside the database was compared: an end that was cut off does not show. Name a file with --anchors.")
	}
	fmt.Fprintf(out, "Done in %.1f s.\n", took.Seconds())
	for _, f := range r.Findings {
		fmt.Fprintln(out, "FINDING:", f)
	}
	if r.More > 0 {
		fmt.Fprintf(out, "And %d more findings.\n", r.More)
	}
	if r.OK() {
		fmt.Fprintln(out, "The chain is unbroken.")
	}
}

func auditHead(ctx context.Context, c *call) error {
	return c.withKeyring(ctx, func(db *postgres.DB, ring *keyring.Ring) error {
		anchorer, err := audit.NewAnchorer(audit.AnchorerOptions{DB: db, Sign: ring.Sign, PublicKey: ring.PublicKey, Now: c.now, Log: c.logger()})
		if err != nil {
			return err
		}
		head, err := anchorer.Head(ctx)
		if err != nil {
			return err
		}
		line, err := head.MarshalText()
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "%s\n", line)
		return nil
	})
}
