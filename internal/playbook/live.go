package playbook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/machine"
	"leadline/internal/outbox"
	"leadline/internal/postgres"
	"leadline/internal/privacy"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

// Snapshot is one published version as this process uses it. Immutable; version 0 means that nothing was published yet.
type Snapshot struct {
	Version     int64
	Hash        string                // of its content
	Demo        bool                  // published by the demo
	Forms       map[string]*lead.Form // by slug
	Table       *routing.Table        // never nil
	Canary      *routing.Canary       // decides in its place for some leads; mostly nil
	Connections []outbox.Connection   // with credentials resolved
	Clients     []machine.Client      // with keys resolved
	Teams       []Team
	Config      *Config // nil for version 0
}

// Targets are the connections that each new lead must reach, unusable ones included: their leads wait for them.
func (s *Snapshot) Targets() []outbox.Target {
	targets := make([]outbox.Target, len(s.Connections))
	for i, c := range s.Connections {
		targets[i] = outbox.Target{Connection: c.Slug, Kind: c.Kind, Destination: c.Destination}
	}
	return targets
}

// Live holds the live version in memory. Safe for use by many goroutines.
type Live struct {
	db      *postgres.DB
	lookup  func(name string) (string, bool)
	secrets func(ctx context.Context, name string) (privacy.Secret, error)
	log     *slog.Logger
	current atomic.Pointer[Snapshot]

	roster        atomic.Pointer[rep.Roster]
	peopleChanged func() // may be nil

	refreshing    sync.Mutex
	people        string    // what the roster was built from
	refused       int64     // the number of a version that this binary cannot read
	refusedCanary uuid.UUID // one that this binary cannot read
	stored        string    // the state of the stored secrets that connections and clients were resolved with
}

// pollEvery bounds how long a missed notification can hide a new version.
const pollEvery = time.Second

// NewLive makes a Live that holds version 0 until Refresh or Run. lookup finds the value behind env:NAME; it is given NAME.
func NewLive(db *postgres.DB, lookup func(name string) (string, bool), log *slog.Logger) *Live {
	l := &Live{db: db, lookup: lookup, log: log}
	l.current.Store(empty())
	return l
}

// UseSecrets says what finds the value behind secret:NAME; it is given NAME. A fault that it gives makes the connection or key unusable
// and says why; any other error is taken for a passing one. Call it before Refresh and Run.
func (l *Live) UseSecrets(find func(ctx context.Context, name string) (privacy.Secret, error)) {
	l.secrets = find
}

// empty is what there is before anything was published.
func empty() *Snapshot {
	return &Snapshot{Forms: map[string]*lead.Form{}, Table: &routing.Table{}}
}

// Current is the live version; never nil, cheap.
func (l *Live) Current() *Snapshot { return l.current.Load() }

// Refresh loads the newest version if it is not held already, and the credentials again if a stored secret has changed. A version
// that this binary cannot read (published by a newer one) is logged once, and the former one stays. The roster follows.
func (l *Live) Refresh(ctx context.Context) error {
	l.refreshing.Lock()
	defer l.refreshing.Unlock()
	if err := l.refreshVersion(ctx); err != nil {
		return err
	}
	if err := l.refreshCanary(ctx); err != nil {
		return err
	}
	return l.refreshRoster(ctx)
}

func (l *Live) refreshVersion(ctx context.Context) error {
	db := l.db.Gorm.WithContext(ctx)
	number, err := latestNumber(db)
	if err != nil {
		return err
	}
	stored, err := l.storedState(ctx)
	if err != nil {
		return err
	}
	if number == l.Current().Version || number == l.refused {
		return l.renew(ctx, stored)
	}
	row, found, err := latest(db)
	if err != nil {
		return err
	}
	if !found {
		l.current.Store(empty()) // demo data was removed
		return nil
	}
	snapshot, problems, err := l.snapshot(ctx, row)
	if err != nil {
		return err
	}
	if Failed(problems) {
		l.refused = row.Number
		l.log.Error("this version of the configuration cannot be used here; the former one stays", "version", row.Number, "problems", len(problems), "first", problems[0].String())
		return nil
	}
	l.refused, l.stored = 0, stored
	l.current.Store(snapshot)
	l.log.Info("configuration is live", "version", row.Number)
	l.warn(snapshot)
	return nil
}

// storedState tells apart any two states of the stored secrets. It asks for the transaction that wrote each: a number drawn from a
// sequence would be seen before what it announces.
func (l *Live) storedState(ctx context.Context) (state string, err error) {
	const query = `SELECT coalesce(string_agg(name || ' ' || xmin::text, ',' ORDER BY name), '') FROM secret`
	if err := l.db.Console.QueryRow(ctx, query).Scan(&state); err != nil {
		return "", fmt.Errorf("ask for changed secrets: %w", err)
	}
	return state, nil
}

// renew resolves connections and clients of the current version again if the stored secrets are not those it was resolved with.
func (l *Live) renew(ctx context.Context, stored string) error {
	if stored == l.stored {
		return nil
	}
	next := *l.Current()
	if next.Config != nil {
		var err error
		if next.Connections, err = l.connections(ctx, next.Config); err != nil {
			return err
		}
		if next.Clients, err = l.clients(ctx, next.Config); err != nil {
			return err
		}
	}
	l.stored = stored
	if slices.Equal(next.Connections, l.Current().Connections) && slices.EqualFunc(next.Clients, l.Current().Clients, machine.Client.Equal) {
		return nil
	}
	l.current.Store(&next)
	l.log.Info("credentials have changed", "version", next.Version)
	l.warn(&next)
	return nil
}

// warn names what cannot be used for want of a credential.
func (l *Live) warn(s *Snapshot) {
	for _, c := range s.Connections {
		if c.Missing != "" {
			l.log.Warn("a connection cannot be used", "connection", c.Slug, "reason", c.Missing)
		}
	}
	for _, c := range s.Clients {
		for _, reason := range c.Wrong {
			l.log.Warn("a key of a machine client cannot be used", "client", c.Slug, "usable_keys", len(c.Keys), "reason", reason)
		}
	}
}

func (l *Live) snapshot(ctx context.Context, row versionRow) (*Snapshot, []Problem, error) {
	cfg, problems := Parse(fmt.Sprintf("version %d", row.Number), []byte(row.Body))
	if Failed(problems) {
		return nil, problems, nil
	}
	table, found := cfg.Table(row.Number)
	c := &checker{cfg: cfg}
	c.fromRouting(found)
	if Failed(c.problems) {
		return nil, c.problems, nil
	}
	s := &Snapshot{Version: row.Number, Hash: row.Hash, Demo: row.Demo, Forms: map[string]*lead.Form{}, Table: table, Teams: cfg.Teams, Config: cfg}
	for _, f := range cfg.Forms {
		f.Demo = row.Demo
		s.Forms[f.Slug] = f
	}
	var err error
	if s.Connections, err = l.connections(ctx, cfg); err != nil {
		return nil, nil, err
	}
	s.Clients, err = l.clients(ctx, cfg)
	return s, nil, err
}

func (l *Live) connections(ctx context.Context, cfg *Config) ([]outbox.Connection, error) {
	out := make([]outbox.Connection, 0, len(cfg.Connections))
	for _, c := range cfg.Connections {
		resolved, err := l.resolve(ctx, c)
		if err != nil {
			return nil, err
		}
		out = append(out, resolved)
	}
	return out, nil
}

// resolve fetches the credentials of a connection, or notes why it cannot be used here.
func (l *Live) resolve(ctx context.Context, c Connection) (outbox.Connection, error) {
	out := outbox.Connection{Slug: c.Slug, Kind: c.Kind, Destination: c.Destination, BaseURL: c.BaseURL, Channel: c.Channel, Slots: c.Slots}
	token, noToken, err := l.credential(ctx, c.Token)
	if err != nil {
		return out, err
	}
	secret, noSecret, err := l.credential(ctx, c.Secret)
	if err != nil {
		return out, err
	}
	out.Token, out.Secret = token, secret
	out.Missing = strings.Join(slices.DeleteFunc([]string{noToken, noSecret}, func(s string) bool { return s == "" }), ", ")
	return out, nil
}

// credential finds the value that a reference stands for, or says why there is none. An error is one that may pass.
func (l *Live) credential(ctx context.Context, ref string) (value privacy.Secret, missing string, err error) {
	name, stored := strings.CutPrefix(ref, "secret:")
	switch {
	case ref == "":
		return "", "", nil
	case !stored:
		found, ok := l.lookup(strings.TrimPrefix(ref, "env:"))
		if !ok || found == "" {
			return "", ref + " is not set", nil
		}
		return privacy.Secret(found), "", nil
	case l.secrets == nil:
		return "", ref + " cannot be read by this process", nil
	}
	value, err = l.secrets(ctx, name)
	var known *fault.Error
	switch {
	case fault.Is(err, fault.NotFound):
		return "", fmt.Sprintf("%s is not set; run: leadline secret set %s", ref, name), nil
	case errors.As(err, &known):
		return "", ref + " cannot be opened: " + known.Message, nil
	case err != nil:
		return "", "", fmt.Errorf("look %s up: %w", ref, err)
	}
	return value, "", nil
}

// Run keeps the live version fresh until the context ends: at once when told over the database, and by asking every second. On the way it
// makes drafts live whose time has come. A database that cannot be reached leaves the version as it is.
func (l *Live) Run(ctx context.Context) error {
	var conn *pgx.Conn
	defer func() { closeConn(ctx, conn) }()
	failing := false
	for ctx.Err() == nil {
		_, err := publishDue(ctx, l.db)
		err = errors.Join(err, l.Refresh(ctx))
		if conn == nil && err == nil {
			conn, err = l.listen(ctx)
		}
		if conn, err = wait(ctx, conn, err); err != nil && ctx.Err() == nil && !failing {
			l.log.Warn("cannot ask for new configuration; the present one stays", "error", err)
		}
		failing = err != nil
	}
	return nil
}

func (l *Live) listen(ctx context.Context) (*pgx.Conn, error) {
	conn, err := l.db.Connect(ctx, "playbook")
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		closeConn(ctx, conn)
		return nil, fmt.Errorf("listen for new configuration: %w", err)
	}
	return conn, nil
}

// wait returns when a new version is announced, or after pollEvery. It gives the connection back, nil if it broke, and the
// first error there was.
func wait(ctx context.Context, conn *pgx.Conn, before error) (*pgx.Conn, error) {
	limited, cancel := context.WithTimeout(ctx, pollEvery)
	defer cancel()
	for {
		if conn == nil {
			<-limited.Done()
			return nil, before
		}
		notification, err := conn.WaitForNotification(limited)
		if err == nil && (notification.Payload == "config" || notification.Payload == rep.PeopleChanged) {
			return conn, before
		}
		if err != nil && limited.Err() == nil {
			closeConn(ctx, conn)
			conn, before = nil, errors.Join(before, fmt.Errorf("listen for new configuration: %w", err))
			continue
		}
		if err != nil {
			return conn, before
		}
	}
}

// closeConn ends a connection even when the context has ended.
func closeConn(ctx context.Context, conn *pgx.Conn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // it is gone either way
}
