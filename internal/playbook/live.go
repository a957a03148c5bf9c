package playbook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/lead"
	"leadline/internal/outbox"
	"leadline/internal/postgres"
	"leadline/internal/routing"
)

// Snapshot is one published version as this process uses it. Immutable; version 0 means that nothing was published yet.
type Snapshot struct {
	Version     int64
	Demo        bool                  // published by the demo
	Forms       map[string]*lead.Form // by slug
	Table       *routing.Table        // never nil
	Connections []outbox.Connection   // with credentials resolved
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
	log     *slog.Logger
	current atomic.Pointer[Snapshot]

	refreshing sync.Mutex
	refused    int64 // the number of a version that this binary cannot read
}

// pollEvery bounds how long a missed notification can hide a new version.
const pollEvery = time.Second

// NewLive makes a Live that holds version 0 until Refresh or Run. lookup finds the value behind env:NAME; it is given NAME.
func NewLive(db *postgres.DB, lookup func(name string) (string, bool), log *slog.Logger) *Live {
	l := &Live{db: db, lookup: lookup, log: log}
	l.current.Store(empty())
	return l
}

// empty is what there is before anything was published.
func empty() *Snapshot {
	return &Snapshot{Forms: map[string]*lead.Form{}, Table: &routing.Table{}}
}

// Current is the live version; never nil, cheap.
func (l *Live) Current() *Snapshot { return l.current.Load() }

// Refresh loads the newest version if it is not held already. A version that this binary cannot read (published by a newer
// one) is logged once, and the former one stays.
func (l *Live) Refresh(ctx context.Context) error {
	l.refreshing.Lock()
	defer l.refreshing.Unlock()
	db := l.db.Gorm.WithContext(ctx)
	number, err := latestNumber(db)
	if err != nil || number == l.Current().Version || number == l.refused {
		return err
	}
	row, found, err := latest(db)
	if err != nil {
		return err
	}
	if !found {
		l.current.Store(empty()) // demo data was removed
		return nil
	}
	snapshot, problems := l.snapshot(row)
	if Failed(problems) {
		l.refused = row.Number
		l.log.Error("this version of the configuration cannot be used here; the former one stays", "version", row.Number, "problems", len(problems), "first", problems[0].String())
		return nil
	}
	for _, c := range snapshot.Connections {
		if c.Missing != "" {
			l.log.Warn("a connection cannot be used", "connection", c.Slug, "reason", c.Missing)
		}
	}
	l.refused = 0
	l.current.Store(snapshot)
	l.log.Info("configuration is live", "version", row.Number)
	return nil
}

func (l *Live) snapshot(row versionRow) (*Snapshot, []Problem) {
	cfg, problems := Parse(fmt.Sprintf("version %d", row.Number), []byte(row.Body))
	if Failed(problems) {
		return nil, problems
	}
	table, found := routing.Compile(row.Number, cfg.Pools, cfg.Rules, cfg.Territories, cfg.Lists)
	c := &checker{cfg: cfg}
	for _, p := range found {
		c.fromRouting(p)
	}
	if Failed(c.problems) {
		return nil, c.problems
	}
	s := &Snapshot{Version: row.Number, Demo: row.Demo, Forms: map[string]*lead.Form{}, Table: table, Teams: cfg.Teams, Config: cfg}
	for _, f := range cfg.Forms {
		f.Demo = row.Demo
		s.Forms[f.Slug] = f
	}
	for _, conn := range cfg.Connections {
		s.Connections = append(s.Connections, l.resolve(conn))
	}
	return s, nil
}

// resolve fetches the credentials of a connection, or notes why it cannot be used here.
func (l *Live) resolve(c Connection) outbox.Connection {
	out := outbox.Connection{Slug: c.Slug, Kind: c.Kind, Destination: c.Destination, BaseURL: c.BaseURL, Channel: c.Channel}
	var missing []string
	find := func(ref string) outbox.Credential {
		if ref == "" {
			return ""
		}
		value, ok := l.lookup(strings.TrimPrefix(ref, "env:"))
		if !ok || value == "" {
			missing = append(missing, ref+" is not set")
		}
		return outbox.Credential(value)
	}
	out.Token, out.Secret = find(c.Token), find(c.Secret)
	out.Missing = strings.Join(missing, ", ")
	return out
}

// Run keeps the live version fresh until the context ends: at once when told over the database, and by asking every second. A
// database that cannot be reached leaves the version as it is.
func (l *Live) Run(ctx context.Context) error {
	var conn *pgx.Conn
	defer func() { closeConn(ctx, conn) }()
	failing := false
	for ctx.Err() == nil {
		err := l.Refresh(ctx)
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
		if err == nil && notification.Payload == "config" {
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
