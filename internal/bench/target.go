package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// target is what a row is measured on.
type target struct {
	b       *bench
	name    string
	servers []*process // the application
	others  []*process // what runs beside it
}

func (t target) addresses() []string {
	var all []string
	for _, s := range t.servers {
		all = append(all, s.url())
	}
	return all
}

// saturate sends as fast as answers come. The order may say who sends.
func (t target) saturate(ctx context.Context, o order) (row, error) {
	o.Targets, o.Connections, o.Duration = t.addresses(), t.b.plan.clients, t.b.plan.saturated
	return t.row(ctx, fmt.Sprintf("%s, %d connections", t.name, o.Connections), o)
}

// at sends at a fixed rate.
func (t target) at(ctx context.Context, rate float64) (row, error) {
	return t.row(ctx, fmt.Sprintf("%s, %.0f/s", t.name, rate), order{Targets: t.addresses(), Rate: rate, Duration: t.b.plan.steady})
}

// row warms up and measures. A run that goes on from another (First) is warm.
func (t target) row(ctx context.Context, name string, o order) (row, error) {
	t.b.say("%s", name)
	if o.First == 0 {
		warm := o
		warm.Duration, warm.Seed = t.b.plan.warm, 0
		if _, err := t.b.send(ctx, name, warm); err != nil {
			return row{}, err
		}
	}
	return t.b.watch(ctx, t.servers, t.others, func() (row, error) { return t.b.send(ctx, name, o) })
}

// execOn runs a statement on a database of its own connection.
func execOn(ctx context.Context, dsn, statement string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("prepare the database: %w", err)
	}
	return nil
}

// book compares what was acknowledged with what a table holds.
type book struct {
	conn  *pgx.Conn
	table string // of which each acknowledged submission has one row
	id    string // the column that holds its id
	had   int64
}

// openBook notes how many rows there are before a window.
func openBook(ctx context.Context, dsn, table, id string) (*book, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	k := &book{conn: conn, table: table, id: id}
	return k, k.note(ctx)
}

// note begins a new window.
func (k *book) note(ctx context.Context) (err error) {
	k.had, err = k.count(ctx)
	return err
}

func (k *book) close(ctx context.Context) { _ = k.conn.Close(ctx) }

func (k *book) count(ctx context.Context) (n int64, err error) {
	if err = k.conn.QueryRow(ctx, `SELECT count(*) FROM `+k.table).Scan(&n); err != nil {
		err = fmt.Errorf("count %s: %w", k.table, err)
	}
	return n, err
}

// check says what is wrong, if anything: a row may be missing for no acknowledged submission, and there is a row too many for at most
// each one whose answer is not known.
func (k *book) check(ctx context.Context, r row) (problems []string, err error) {
	now, err := k.count(ctx)
	if err != nil {
		return nil, err
	}
	var failed int64
	for _, n := range r.Errors {
		failed += n
	}
	if got := now - k.had; got < r.Count || got > r.Count+failed {
		problems = append(problems, fmt.Sprintf("%s: %d acknowledged, %d failed, but %d rows in %s", r.Name, r.Count, failed, got, k.table))
	}
	if len(r.ids) == 0 {
		return problems, nil
	}
	missing, err := k.missing(ctx, r.ids)
	if missing > 0 {
		problems = append(problems, fmt.Sprintf("%s: %d acknowledged ids are not in %s", r.Name, missing, k.table))
	}
	return problems, err
}

func (k *book) missing(ctx context.Context, ids []string) (n int, err error) {
	parsed := make([]uuid.UUID, len(ids))
	for i, id := range ids {
		if parsed[i], err = uuid.Parse(id); err != nil {
			return 0, fmt.Errorf("read an acknowledged id: %w", err)
		}
	}
	slices.SortFunc(parsed, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	raw := make([][16]byte, len(parsed))
	for i := range parsed {
		raw[i] = parsed[i]
	}
	err = k.conn.QueryRow(ctx, `SELECT count(*) FROM unnest($1::uuid[]) AS a(id) WHERE NOT EXISTS (SELECT FROM `+k.table+` t WHERE t.`+k.id+` = a.id)`, raw).Scan(&n)
	if err != nil {
		err = fmt.Errorf("look for acknowledged ids: %w", err)
	}
	return n, err
}
