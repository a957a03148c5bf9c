package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"

	"leadline/internal/erasure"
	"leadline/internal/lead"
	"leadline/internal/postgres"
	"leadline/internal/privacy"
)

// eraseCommands take a person out of the database for good.
func eraseCommands() []command {
	return []command{{
		name: "erase", usage: "erase (--lead ID | --email E | --phone P) --reason TEXT [--dry-run]", summary: "erases a person, - instead of E or P reads it from standard input",
		flags: map[string]bool{"lead": true, "email": true, "phone": true, "reason": true, "dry-run": false}, run: erase,
	}}
}

func erase(ctx context.Context, c *call) error {
	request, err := c.eraseRequest()
	if err != nil {
		return err
	}
	secret, err := c.knownSecret()
	if err != nil {
		return err
	}
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		service := erasure.New(erasure.Options{DB: db, Secret: secret, List: c.cfg.ErasureList, TableOf: erasure.Tables(db), Log: c.logger()})
		found, err := service.Find(ctx, request)
		if err != nil {
			return err
		}
		printFound(c.stdout, found)
		if c.flags["dry-run"] != "" {
			fmt.Fprintln(c.stdout, "Nothing was changed.")
			return nil
		}
		done, err := service.Erase(ctx, request)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "Erased: %s. It is on the list %s, which belongs into every backup.\n", count(len(done.Leads), "lead"), c.cfg.ErasureList)
		return nil
	})
}

// eraseRequest reads the flags. An address is better given on standard input, where no list of processes and no history shows it.
func (c *call) eraseRequest() (erasure.Request, error) {
	r := erasure.Request{Reason: c.flags["reason"]}
	if text := c.flags["lead"]; text != "" {
		id, err := uuid.Parse(text)
		if err != nil {
			return r, usageError("--lead needs the id of a lead")
		}
		r.Lead = &id
	}
	email, err := c.flagOrLine("email")
	if err != nil {
		return r, err
	}
	phone, err := c.flagOrLine("phone")
	r.Email, r.Phone = privacy.Text(email), privacy.Text(phone)
	if err == nil && r.Reason == "" && c.flags["dry-run"] == "" {
		err = usageError("--reason is needed")
	}
	return r, err
}

// flagOrLine is a flag's value, or with - the first line of standard input.
func (c *call) flagOrLine(name string) (string, error) {
	if c.flags[name] != "-" {
		return c.flags[name], nil
	}
	line, err := bufio.NewReader(c.stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read standard input: %w", err)
	}
	if line = strings.TrimSpace(line); line == "" {
		return "", errors.New("nothing came on standard input")
	}
	return line, nil
}

// knownSecret is the installation's secret, never a new one: under another one nobody would be found again.
func (c *call) knownSecret() ([]byte, error) {
	if c.cfg.Secret == nil {
		if _, err := os.Stat(filepath.Join(c.cfg.DataDir, "secret")); err != nil {
			return nil, fmt.Errorf("there is no secret in %s: set LEADLINE_SECRET or LEADLINE_DATA_DIR as the server has it", c.cfg.DataDir)
		}
	}
	return c.secret()
}

// printFound says in numbers and references what there is of a person.
func printFound(w io.Writer, r erasure.Result) {
	fmt.Fprintf(w, "Found: %s, %s (on %s), %s.\n", count(len(r.Leads), "lead"), count(r.Submissions, "submission"), strings.Join(r.Forms, ", "),
		count(r.Payloads, "raw payload"))
	for _, id := range r.Leads {
		fmt.Fprintf(w, "  %s  %s\n", lead.Reference(id), id)
	}
	for _, connection := range slices.Sorted(maps.Keys(r.Records)) {
		fmt.Fprintf(w, "Sent to %s: %s. Leadline cannot delete them there: do it by hand.\n", connection, count(r.Records[connection], "lead"))
	}
	if r.SharesPhone > 0 {
		fmt.Fprintf(w, "Left alone: %s with this number and an e-mail address. If they are the same person's, erase them by --lead.\n", count(r.SharesPhone, "further lead"))
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
