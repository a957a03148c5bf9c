// Package demo provides what "serve --demo" shows: a playbook with teams, reps, territories, rules and forms, the people who can
// sign in, a trickle of made-up leads, and the way to remove all of it again.
//
// Demo data is marked: configuration versions, reps, accounts and leads carry a demo flag. main publishes the playbook, adds the
// people and runs the trickle; everything here assumes a migrated database.
package demo

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The forms of the playbook.
const (
	Form        = "demo"    // high intent: a demo request
	ContactForm = "contact" // low intent: a question or the newsletter
)

// The credentials of the playbook's connections, by the names that its env: references give.
const (
	WebhookSecretName = "SANDBOX_WEBHOOK_SECRET" //nolint:gosec // the name of a secret, not a secret
	SlackTokenName    = "SANDBOX_SLACK_TOKEN"    //nolint:gosec // the name of a secret, not a secret
)

// MailFrom is who the demo's mail is from.
const MailFrom = "leadline@demo.leadline.example"

//go:embed demo.yaml
var playbook []byte

// sandboxMark stands in the playbook for the sandbox's address.
const sandboxMark = "SANDBOX_URL"

// Playbook is the demo configuration as text, its connections pointing to the vendor sandbox at this address (without a slash at
// the end).
func Playbook(sandboxURL string) []byte {
	return bytes.ReplaceAll(playbook, []byte(sandboxMark), []byte(sandboxURL))
}

// Person is somebody who can sign in to the demo.
type Person struct {
	Email string
	Name  string
	Role  string // rep, ops or admin
}

// People are the demo's sign-ins, one per role. The rep is on at every hour and in every pool, so that a lead sent by a new user
// shows up at once.
var People = []Person{
	{Email: "mia@demo.leadline.example", Name: "Mia Vogel", Role: "rep"},
	{Email: "ops@demo.leadline.example", Name: "Lee Park", Role: "ops"},
	{Email: "admin@demo.leadline.example", Name: "Robin Frost", Role: "admin"},
}

// State is what a database holds as far as the demo is concerned.
type State int

// The states.
const (
	Empty   State = iota // no configuration was ever published
	Ours                 // the live configuration is the demo's
	Foreign              // the live configuration is somebody's own
)

// Inspect tells whether demo data may be added to, or is in, a database.
func Inspect(ctx context.Context, pool *pgxpool.Pool) (State, error) {
	var ours bool
	err := pool.QueryRow(ctx, `SELECT demo FROM config_version ORDER BY number DESC LIMIT 1`).Scan(&ours)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Empty, nil
	case err != nil:
		return Foreign, fmt.Errorf("look for a live configuration: %w", err)
	case ours:
		return Ours, nil
	default:
		return Foreign, nil
	}
}
