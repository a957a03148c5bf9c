package audit_test

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/audit"
	"leadline/internal/outbound"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
)

// office is a database with a chain, a signing key and a place outside.
type office struct {
	t    testing.TB
	db   *postgres.DB
	key  ed25519.PrivateKey
	id   int64
	dir  string
	file string
	log  *logged

	mu  sync.Mutex
	now time.Time
}

// logged collects what was logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func open(t testing.TB) *office {
	t.Helper()
	return openOn(t, pgtest.New(t))
}

func openOn(t testing.TB, db *postgres.DB) *office {
	t.Helper()
	dir := t.TempDir()
	o := &office{t: t, db: db, dir: dir, file: filepath.Join(dir, "anchors.jsonl"), log: &logged{}, now: time.Now()}
	o.key = ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize)))
	must(t, db.Jobs.QueryRow(t.Context(), `INSERT INTO data_key (purpose, kek, wrapped, public) VALUES ('audit', 'test', '', $1) RETURNING id`,
		[]byte(o.key.Public().(ed25519.PublicKey))).Scan(&o.id))
	return o
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clock is the time as the office sees it.
func (o *office) clock() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

func (o *office) pass(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = o.now.Add(d)
}

func (o *office) sign(_ context.Context, message []byte) (int64, []byte, error) {
	return o.id, ed25519.Sign(o.key, message), nil
}

func (o *office) anchorer(destinations ...string) *audit.Anchorer {
	o.t.Helper()
	if len(destinations) == 0 {
		destinations = []string{"file:" + o.file}
	}
	a, err := audit.NewAnchorer(audit.AnchorerOptions{
		DB: o.db, Destinations: destinations, Dir: o.dir, Sign: o.sign, PublicKey: audit.PublicKeyIn(o.db), Now: o.clock,
		HTTP: outbound.New(outbound.Options{Allow: loopback}), Log: slog.New(slog.NewTextHandler(o.log, nil)),
	})
	must(o.t, err)
	return a
}

// rows appends n rows in batches: one transaction with all of them would walk through all versions of the head at each row.
func (o *office) rows(n int) {
	o.t.Helper()
	const batch = 250
	for done := 0; done < n; done += batch {
		_, err := o.db.Jobs.Exec(o.t.Context(), `SELECT append_audit(
				(ARRAY['person','token','command','system','visitor'])[1 + i % 5], CASE WHEN i % 3 > 0 THEN gen_random_uuid() END,
				(ARRAY['session.began','contact.revealed','config.published','token.used'])[1 + i % 4],
				(ARRAY['lead','account','','version'])[1 + i % 4], 'objekt-' || i, '{"n":' || i || '}',
				CASE WHEN i % 2 = 0 THEN 'Rückruf Nr. ' || i || ' 🎯' ELSE '' END, 'c' || i)
			FROM generate_series($1::int, $2::int) AS i`, done+1, min(done+batch, n))
		must(o.t, err)
	}
}

// append writes one entry.
func (o *office) append(e audit.Entry) int64 {
	o.t.Helper()
	var seq int64
	must(o.t, postgres.InTx(o.t.Context(), o.db.Jobs, func(tx pgx.Tx) (err error) {
		seq, err = audit.AppendTx(o.t.Context(), tx, e)
		return err
	}))
	return seq
}

// erase takes the notes of rows away as erasing a person does.
func (o *office) erase(action audit.Action, seqs ...int64) {
	o.t.Helper()
	must(o.t, postgres.InTx(o.t.Context(), o.db.Jobs, func(tx pgx.Tx) error {
		if _, err := tx.Exec(o.t.Context(), `UPDATE audit SET note = NULL, note_salt = NULL WHERE seq = ANY($1)`, seqs); err != nil {
			return err
		}
		_, err := audit.AppendTx(o.t.Context(), tx, audit.Entry{Action: action, ObjectKind: "erasure", Object: "e1", Detail: map[string]any{"leads": 1, "redacted": seqs}})
		return err
	}))
}

// options reads what is outside now.
func (o *office) options() audit.Options {
	o.t.Helper()
	outside, err := audit.ReadAnchors(o.file, 0)
	must(o.t, err)
	return audit.Options{Outside: []audit.Outside{outside}, PublicKey: audit.PublicKeyIn(o.db)}
}

func (o *office) verify() audit.Report {
	o.t.Helper()
	report, err := audit.Verify(o.t.Context(), o.db, o.options())
	must(o.t, err)
	return report
}

func (o *office) verified() audit.Report {
	o.t.Helper()
	report := o.verify()
	for _, f := range report.Findings {
		o.t.Errorf("finding on an untouched chain: %s", f)
	}
	return report
}

func (o *office) lines() []string {
	o.t.Helper()
	text, err := os.ReadFile(o.file)
	must(o.t, err)
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func finds(report audit.Report, words string) bool {
	for _, f := range report.Findings {
		if strings.Contains(f.Text, words) {
			return true
		}
	}
	return false
}

func full() bool { return os.Getenv("TORTURE") == "full" }

func removeFile(name string) error { return os.Remove(name) }

func writeFile(name, text string) error { return os.WriteFile(name, []byte(text), 0o600) }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
