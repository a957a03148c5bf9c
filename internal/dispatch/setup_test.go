package dispatch_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/dispatch"
	"leadline/internal/outbox"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/routing"
)

// desk is one database with its reps and rules, and the services that work on it.
type desk struct {
	t        testing.TB
	db       *postgres.DB
	snapshot atomic.Pointer[dispatch.Snapshot]
	reps     map[string]uuid.UUID // by name
	jobs     atomic.Int64

	watchEvery time.Duration // of processes that join from here on
}

// member gives e-mail addresses to names: "mia" is mia@example.com.
func email(name string) string { return name + "@example.com" }

func setup(t testing.TB, names ...string) *desk {
	t.Helper()
	d := &desk{t: t, db: pgtest.New(t), reps: map[string]uuid.UUID{}}
	d.snapshot.Store(&dispatch.Snapshot{})
	for _, name := range names {
		d.addRep(name)
	}
	return d
}

func (d *desk) addRep(name string) {
	d.t.Helper()
	id := uuid.Must(uuid.NewV7())
	d.reps[name] = id
	d.exec(`INSERT INTO rep (id, email, name, presence, presence_by) VALUES ($1, $2, initcap($3::text), 'available', 'api')`, id, email(name), name)
}

// configure makes pools live; the first one takes every lead.
func (d *desk) configure(version int64, pools ...*routing.Pool) {
	d.t.Helper()
	d.configureRules(version, []routing.Rule{{Name: "all", Band: routing.Default, Then: routing.Target{Pool: pools[0].Slug}}}, pools...)
}

func (d *desk) configureRules(version int64, rules []routing.Rule, pools ...*routing.Pool) {
	d.t.Helper()
	table, problems := routing.Compile(version, pools, rules, nil, nil)
	if table == nil {
		d.t.Fatalf("the rules do not compile: %v", problems)
	}
	d.snapshot.Store(&dispatch.Snapshot{Table: table, Targets: []outbox.Target{{Connection: "crm", Kind: "webhook", Destination: outbox.CRM}}})
}

func pool(slug string, terms routing.OfferTerms, names ...string) *routing.Pool {
	p := &routing.Pool{Slug: slug, Offer: terms, Strategy: routing.Weighted}
	for _, name := range names {
		p.Members = append(p.Members, routing.Member{Rep: email(name), Weight: 1})
	}
	return p
}

// process is one running service, as after the start of a server.
type process struct {
	*dispatch.Service
	node    *postgres.Node
	claimed sync.Map // deliveries leased to it
	stop    context.CancelFunc
	ended   chan struct{}
}

// join makes a process without running it.
func (d *desk) join() *process {
	d.t.Helper()
	node, err := postgres.JoinNode(d.t.Context(), d.db, "test")
	if err != nil {
		d.t.Fatal(err)
	}
	p := &process{node: node, ended: make(chan struct{}), stop: func() {}}
	store := outbox.NewStore(func(_ context.Context, _ pgx.Tx, refs []outbox.Ref) error { d.jobs.Add(int64(len(refs))); return nil })
	p.Service = dispatch.New(dispatch.Options{
		DB: d.db, Node: node.ID(), Outbox: store, Now: time.Now, WatchEvery: d.watchEvery, Snapshot: func() dispatch.Snapshot { return *d.snapshot.Load() },
		OnClaimed: func(claimed []outbox.Claimed) {
			for _, c := range claimed {
				p.claimed.Store(c.LeadID, c)
			}
		},
		Log: slog.New(slog.NewTextHandler(d.t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})),
	})
	d.t.Cleanup(func() { _ = node.Leave(context.WithoutCancel(d.t.Context())) })
	return p
}

// run joins and runs a process until the test ends.
func (d *desk) run() *process {
	d.t.Helper()
	p := d.join()
	d.start(p)
	return p
}

func (d *desk) start(p *process) {
	ctx, cancel := context.WithCancel(d.t.Context())
	p.stop = cancel
	go func() {
		defer close(p.ended)
		_ = p.Run(ctx)
	}()
	d.t.Cleanup(func() { cancel(); <-p.ended })
}

const insertLeads = `INSERT INTO lead (id, correlation_id, form, intent, country, node, dispatch_lease)
	SELECT id, id::text, 'demo', 'high', $3, $2, clock_timestamp() + interval '5 seconds' FROM unnest($1::uuid[]) AS t(id)`

// submit commits leads as intake does, and wakes the process.
func (d *desk) submit(p *process, n int) []uuid.UUID { return d.submitFrom(p, n, "DE") }

func (d *desk) submitFrom(p *process, n int, country string) []uuid.UUID {
	d.t.Helper()
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = uuid.Must(uuid.NewV7())
	}
	d.exec(insertLeads, ids, p.node.ID(), country)
	p.Wake(n)
	return ids
}

func (d *desk) exec(sql string, args ...any) {
	d.t.Helper()
	if _, err := d.db.Jobs.Exec(d.t.Context(), sql, args...); err != nil {
		d.t.Fatalf("%s: %v", sql, err)
	}
}

// ask gives the single value of a query.
func ask[T any](d *desk, sql string, args ...any) T {
	d.t.Helper()
	var v T
	if err := d.db.Jobs.QueryRow(d.t.Context(), sql, args...).Scan(&v); err != nil {
		d.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// eventually waits for a condition; there is no other waiting in these tests.
func (d *desk) eventually(what string, condition func() bool) {
	d.t.Helper()
	limit := time.NewTimer(15 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-limit.C:
			d.t.Fatalf("waited in vain for %s\n%s", what, d.story())
		case <-tick.C:
		}
	}
}

// story tells what happened, for a failed test.
func (d *desk) story() string {
	return ask[string](d, `SELECT coalesce(string_agg(format('%s %s pool=%s rep=%s attempt=%s %s', e.seq, e.kind, e.pool, r.name, e.attempt, e.data), E'\n'
		ORDER BY e.seq DESC), 'no events') FROM (SELECT * FROM event ORDER BY seq DESC LIMIT 40) e LEFT JOIN rep r ON r.id = e.rep_id`)
}

// path is a lead's ladder so far: "turn:first:mia timed_out, pool:first open".
func (d *desk) path(id uuid.UUID) string {
	return ask[string](d, `SELECT coalesce(string_agg(format('%s:%s%s %s', o.rung, o.pool, ':' || split_part(r.email, '@', 1), o.state), ', ' ORDER BY o.attempt) FILTER (WHERE o.lead_id IS NOT NULL), '')
		|| CASE WHEN l.stage IN ('offered', 'claimed') THEN '' ELSE ' | ' || l.stage || ' in ' || l.pool END
		FROM lead l LEFT JOIN offer o ON o.lead_id = l.id LEFT JOIN rep r ON r.id = o.rep_id WHERE l.id = $1 GROUP BY l.stage, l.pool`, id)
}

func (d *desk) reaches(id uuid.UUID, path string) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("%q", path), func() bool { return d.path(id) == path })
}

// settled waits until every lead is offered, and checks what must hold whatever happened.
func (d *desk) settled(ids []uuid.UUID) {
	d.t.Helper()
	d.eventually("every lead to be offered", func() bool {
		return ask[int](d, `SELECT count(*) FROM lead WHERE id = ANY($1) AND stage = 'offered'`, ids) == len(ids)
	})
	d.sound()
}

// sound checks the invariants of the tables.
func (d *desk) sound() {
	d.t.Helper()
	if n := ask[int](d, `SELECT count(*) FROM lead l WHERE stage = 'offered' AND 1 <> (SELECT count(*) FROM offer o WHERE o.lead_id = l.id AND o.state = 'open')`); n != 0 {
		d.t.Errorf("%d offered leads have not exactly one open offer", n)
	}
	if n := ask[int](d, `SELECT count(*) FROM offer o JOIN lead l ON l.id = o.lead_id WHERE o.state = 'open' AND (l.stage <> 'offered' OR l.attempt <> o.attempt)`); n != 0 {
		d.t.Errorf("%d open offers belong to leads that are not offered, or are not the newest", n)
	}
	if gaps := ask[int64](d, `SELECT coalesce(max(seq), 0) - count(*) FROM event`); gaps != 0 {
		d.t.Errorf("the event stream has %d holes", gaps)
	}
	if n := ask[int](d, `SELECT count(*) FROM lead l WHERE stage <> 'new' AND 1 <> (SELECT count(*) FROM delivery v WHERE v.lead_id = l.id)`); n != 0 && len(d.snapshot.Load().Targets) == 1 {
		d.t.Errorf("%d leads have not exactly one delivery", n)
	}
}
