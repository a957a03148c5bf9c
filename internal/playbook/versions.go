package playbook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/fault"
	"leadline/internal/postgres"
)

// Version is a published version as lists show it.
type Version struct {
	Number     int64     `json:"version"`
	Hash       string    `json:"hash"`
	Author     string    `json:"author"`
	Note       string    `json:"note"`
	ApprovedBy string    `json:"approved_by"`
	RollbackOf *int64    `json:"rollback_of"` // the version of which it is the content
	At         time.Time `json:"at"`
	Live       bool      `json:"live"`
	Report     *Report   `json:"report"` // null: published before reports were kept
}

// Report is what the checks found when a version was published.
type Report struct {
	Tests    int            `json:"tests"` // golden leads, all of which went where they should
	Warnings []Finding      `json:"warnings"`
	Score    *Score         `json:"score"`  // null: published before scores were kept
	Golden   []GoldenResult `json:"golden"` // null: published before these were kept
}

// mostUnnoticed bounds how many rules a stored score names.
const mostUnnoticed = 100

// Finding is a Problem as programs read it.
type Finding struct {
	Line    int    `json:"line,omitempty"`
	Path    string `json:"path,omitempty"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"`
}

// Findings are problems as programs read them.
func Findings(problems []Problem) []Finding {
	found := []Finding{}
	for _, p := range problems {
		found = append(found, Finding{Line: p.Line, Path: p.Path, Code: p.Code, Message: p.Message, Remedy: p.Remedy})
	}
	return found
}

const versionsSQL = `SELECT number, hash, author, note, approved_by, rollback_of, created_at, number = max(number) OVER (), report
FROM config_version ORDER BY number DESC LIMIT $1`

// Versions lists the newest published versions, the live one first.
func Versions(ctx context.Context, db *postgres.DB, limit int) ([]Version, error) {
	rows, err := db.Console.Query(ctx, versionsSQL, limit)
	if err != nil {
		return nil, fmt.Errorf("list versions: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (v Version, err error) {
		var report []byte
		if err = row.Scan(&v.Number, &v.Hash, &v.Author, &v.Note, &v.ApprovedBy, &v.RollbackOf, &v.At, &v.Live, &report); err != nil || report == nil {
			return v, err
		}
		v.Report = &Report{}
		return v, json.Unmarshal(report, v.Report)
	})
	if err != nil {
		return nil, fmt.Errorf("list versions: %w", err)
	}
	return all, nil
}

// LiveVersion is the number of the live version. That there is none yet is a Conflict fault.
func LiveVersion(ctx context.Context, db *postgres.DB) (int64, error) {
	var number *int64
	if err := db.Console.QueryRow(ctx, `SELECT max(number) FROM config_version`).Scan(&number); err != nil {
		return 0, fmt.Errorf("ask for the live version: %w", err)
	}
	if number == nil {
		return 0, fault.New(fault.Conflict, "No configuration was published yet.")
	}
	return *number, nil
}

// Text gives a published version as it was written. A number that was never published is a NotFound fault.
func Text(ctx context.Context, db *postgres.DB, version int64) (string, error) {
	var body string
	err := db.Console.QueryRow(ctx, `SELECT body FROM config_version WHERE number = $1`, version).Scan(&body)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", fault.New(fault.NotFound, "There is no version %d.", version)
	}
	if err != nil {
		return "", fmt.Errorf("read version %d: %w", version, err)
	}
	return body, nil
}

// Rollback publishes the content of an earlier version under a new number, giving a reason. It needs no second person: what it publishes
// was live before. expected is the version that the caller believes to be live; 0: whichever it is. Reps stay as they are.
func Rollback(ctx context.Context, db *postgres.DB, to, expected int64, author, note string) (version int64, err error) {
	if strings.TrimSpace(note) == "" {
		return 0, fault.New(fault.Invalid, "Say why: a roll-back needs a note.")
	}
	cfg, _, err := published(ctx, db, to)
	if err != nil {
		return 0, err
	}
	version, _, err = Publish(ctx, db, cfg, PublishOptions{Author: author, Note: note, Expected: expected, RollbackOf: to})
	return version, err
}
