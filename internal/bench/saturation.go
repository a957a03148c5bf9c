package main

import (
	"context"
	"fmt"
	"path/filepath"

	"leadline/internal/postgres"
)

// capture measures intake alone with leads of new people, and then with the same people again under other keys.
func (b *bench) capture(ctx context.Context, out *result, i int) (fresh, repeat row, err error) {
	dsn, err := b.prepared(ctx, "capture", "", usual())
	if err != nil {
		return fresh, repeat, err
	}
	args := []string{dsn}
	if b.settings.profile != "" {
		args = append(args, filepath.Join(b.settings.profile, fmt.Sprintf("capture-%d.pprof", i+1)))
	}
	server, err := b.child(ctx, "capture", args...)
	if err != nil {
		return fresh, repeat, err
	}
	defer server.stop()
	if err := b.checkpoint(ctx); err != nil {
		return fresh, repeat, err
	}
	t := target{b: b, name: "intake, dispatch held back", servers: []*process{server}}
	seed := b.seed()
	fresh, err = b.booked(ctx, out, dsn, "lead", "id", t, order{Seed: seed})
	if err != nil {
		return fresh, repeat, err
	}
	t.name = "the same people again"
	people := int(fresh.Count)
	for _, n := range fresh.Errors {
		people += int(n)
	}
	repeat, err = b.booked(ctx, out, dsn, "touch", "id", t, order{Seed: seed, People: people, First: people})
	return fresh, repeat, err
}

// naive measures one transaction per post.
func (b *bench) naive(ctx context.Context, out *result) (row, error) {
	dsn, err := b.fresh(ctx, "naive")
	if err != nil {
		return row{}, err
	}
	if err := execOn(ctx, dsn, naiveTables); err != nil {
		return row{}, err
	}
	server, err := b.child(ctx, "naive", dsn)
	if err != nil {
		return row{}, err
	}
	defer server.stop()
	if err := b.checkpoint(ctx); err != nil {
		return row{}, err
	}
	t := target{b: b, name: "one GORM transaction a post", servers: []*process{server}}
	return b.booked(ctx, out, dsn, "naive_leads", "id", t, order{})
}

// booked is target.saturate with a look into the table afterwards.
func (b *bench) booked(ctx context.Context, out *result, dsn, table, id string, t target, o order) (row, error) {
	if o.First == 0 { // warmed up here rather than in the window that is counted
		warm := order{Targets: t.addresses(), Connections: b.plan.clients, Duration: b.plan.warm}
		if _, err := b.send(ctx, t.name, warm); err != nil {
			return row{}, err
		}
	}
	k, err := openBook(ctx, dsn, table, id)
	if err != nil {
		return row{}, err
	}
	defer k.close(ctx)
	o.Targets, o.Connections, o.Duration = t.addresses(), b.plan.clients, b.plan.saturated
	name := fmt.Sprintf("%s, %d connections", t.name, o.Connections)
	b.say("%s", name)
	r, err := b.watch(ctx, t.servers, t.others, func() (row, error) { return b.send(ctx, name, o) })
	if err != nil {
		return r, err
	}
	problems, err := k.check(ctx, r)
	out.problems = append(out.problems, problems...)
	return r, err
}

// prepared makes a database with the bench's configuration in it. crm is the address of the CRM; empty: no connection.
func (b *bench) prepared(ctx context.Context, name, crm string, l layout) (dsn string, err error) {
	if dsn, err = b.fresh(ctx, name); err != nil {
		return "", err
	}
	db, err := postgres.Open(ctx, dsn)
	if err != nil {
		return "", err
	}
	defer db.Close()
	return dsn, publish(ctx, db, crm, l)
}
