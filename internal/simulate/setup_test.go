package simulate_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/dispatch"
	"leadline/internal/outbox"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
)

// line is a database with a published configuration; servers on it route what is sent.
type line struct {
	t  *testing.T
	db *postgres.DB
}

// server is one process: its live configuration, and dispatch that follows it.
type server struct {
	*line
	book     *playbook.Live
	node     *postgres.Node
	dispatch *dispatch.Service
}

func newLine(t *testing.T, text string) *line {
	t.Helper()
	l := &line{t: t, db: pgtest.New(t)}
	l.publish(text)
	l.exec(`UPDATE rep SET presence = 'available', presence_by = 'api'`)
	return l
}

func (l *line) publish(text string) {
	l.t.Helper()
	if _, _, err := playbook.Apply(l.t.Context(), l.db, parsed(l.t, text), "test", "", false); err != nil {
		l.t.Fatal(err)
	}
}

func (l *line) draft(text string) playbook.Draft {
	l.t.Helper()
	cfg := parsed(l.t, text)
	var meant []string
	for _, p := range playbook.Check(cfg) {
		meant = append(meant, p.Code)
	}
	d, err := playbook.AddDraft(l.t.Context(), l.db, cfg, "mia", "", meant...)
	if err != nil {
		l.t.Fatal(err)
	}
	return d
}

func (l *line) candidate(text string) playbook.Candidate {
	l.t.Helper()
	d := l.draft(text)
	c, err := playbook.CandidateOf(l.t.Context(), l.db, &d.ID, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

func (l *line) exec(sql string, args ...any) {
	l.t.Helper()
	if _, err := l.db.Jobs.Exec(l.t.Context(), sql, args...); err != nil {
		l.t.Fatalf("%s: %v", sql, err)
	}
}

func ask[T any](l *line, sql string, args ...any) T {
	l.t.Helper()
	var v T
	if err := l.db.Jobs.QueryRow(l.t.Context(), sql, args...).Scan(&v); err != nil {
		l.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// eventually waits for a condition; there is no other waiting in these tests.
func (l *line) eventually(what string, condition func() bool) {
	l.t.Helper()
	limit, tick := time.NewTimer(30*time.Second), time.NewTicker(10*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for !condition() {
		select {
		case <-limit.C:
			l.t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

// serve starts a server that runs until the test ends.
func (l *line) serve() *server {
	l.t.Helper()
	s := &server{line: l, book: playbook.NewLive(l.db, os.LookupEnv, slog.New(slog.DiscardHandler))}
	if err := s.book.Refresh(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	var err error
	if s.node, err = postgres.JoinNode(l.t.Context(), l.db, "test"); err != nil {
		l.t.Fatal(err)
	}
	s.dispatch = dispatch.New(dispatch.Options{
		DB: l.db, Node: s.node.ID(), Now: time.Now, Outbox: outbox.NewStore(func(context.Context, pgx.Tx, []outbox.Ref) error { return nil }),
		Snapshot: func() dispatch.Snapshot {
			live := s.book.Current()
			return dispatch.Snapshot{Table: live.Table, Hash: live.Hash, Canary: live.Canary, Targets: live.Targets(), Roster: s.book.Roster()}
		},
		Log: slog.New(slog.NewTextHandler(l.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	l.run(s.book.Run)
	l.run(s.dispatch.Run)
	return s
}

// run runs a part until the test ends.
func (l *line) run(part func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(l.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- part(ctx) }()
	l.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && ctx.Err() == nil {
			l.t.Error(err)
		}
	})
}

// send commits leads from a country as intake does, and waits until each has its place.
func (s *server) send(n int, country string) []uuid.UUID {
	s.t.Helper()
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = uuid.Must(uuid.NewV7())
	}
	s.exec(`INSERT INTO lead (id, correlation_id, form, intent, country, email_domain, domain_class, node, dispatch_lease)
		SELECT id, id::text, 'demo', 'high', $3, 'acme.example', 'business', $2, clock_timestamp() + interval '5 seconds' FROM unnest($1::uuid[]) AS t(id)`,
		ids, s.node.ID(), country)
	s.dispatch.Wake(n)
	s.eventually("every lead to have its place", func() bool {
		return ask[int](s.line, `SELECT count(*) FROM decision WHERE lead_id = ANY($1)`, ids) == n
	})
	return ids
}
