package drift

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"leadline/internal/audit"
	"leadline/internal/fault"
	"leadline/internal/postgres"
)

// DaysShown is how many days Group.Days covers, today included.
const DaysShown = 14

// Group is one way in which submissions of a form differ from what it asks for.
type Group struct {
	ID         int64
	Form       string
	Kind       Kind
	Cause      string // FIELD/CODE, unknown/FIELD, body/WHAT or other/KIND
	First      time.Time
	Last       time.Time
	Total      int64
	Samples    []string         // masked shapes
	Days       [DaysShown]int64 // oldest first; the last is today, by the UTC date of the database
	ResolvedAt *time.Time
	Told       []Told // the newest for each owner
}

// Today is how often the group was seen today.
func (g Group) Today() int64 { return g.Days[DaysShown-1] }

// Week is how often the group was seen in the last seven days, today included.
func (g Group) Week() int64 {
	var n int64
	for _, day := range g.Days[DaysShown-7:] {
		n += day
	}
	return n
}

// Told is what an owner was told of a group, or why not.
type Told struct {
	Owner string
	State string // waiting, sent, refused, gave_up or not_sent
	Code  string // why the last try failed
	At    time.Time
}

// Store answers pages and programs. It needs no running Service.
type Store struct{ db *postgres.DB }

// NewStore makes a Store on a database.
func NewStore(db *postgres.DB) *Store { return &Store{db: db} }

// Filter narrows a list of groups. Zero fields do not narrow, except that dealt-with groups are left out unless asked for.
type Filter struct {
	Form     string
	Resolved bool // those that somebody dealt with too
}

// List gives the groups, last seen first.
func (s *Store) List(ctx context.Context, f Filter) ([]Group, error) {
	found, err := groups(ctx, s.db.Console, `WHERE ($1 = '' OR g.form = $1) AND ($2 OR g.resolved_at IS NULL)`, f.Form, f.Resolved)
	if err != nil {
		return nil, fmt.Errorf("list drift: %w", err)
	}
	return found, nil
}

// Forms gives the forms that have any group, by name.
func (s *Store) Forms(ctx context.Context) ([]string, error) {
	rows, err := s.db.Console.Query(ctx, `SELECT DISTINCT form FROM drift_group ORDER BY form`)
	if err != nil {
		return nil, fmt.Errorf("list forms with drift: %w", err)
	}
	forms, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list forms with drift: %w", err)
	}
	return forms, nil
}

// Resolve notes that somebody dealt with a group, and that in the record. It opens again when it is seen again. Repeatable; NotFound
// when there is no such group. The record names the form and not the field: a field's name may be a stranger's words, and the record
// never forgets.
func (s *Store) Resolve(ctx context.Context, id int64) error {
	return postgres.InTx(ctx, s.db.Console, func(tx pgx.Tx) error {
		var form string
		var kind Kind
		var open bool
		err := tx.QueryRow(ctx, `SELECT form, kind, resolved_at IS NULL FROM drift_group WHERE id = $1 FOR UPDATE`, id).Scan(&form, &kind, &open)
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.New(fault.NotFound, "This is not on the list any more.")
		}
		if err != nil {
			return fmt.Errorf("hold drift %d: %w", id, err)
		}
		if !open {
			return nil
		}
		if _, err := tx.Exec(ctx, `UPDATE drift_group SET resolved_at = clock_timestamp() WHERE id = $1`, id); err != nil {
			return fmt.Errorf("resolve drift %d: %w", id, err)
		}
		_, err = audit.AppendTx(ctx, tx, audit.Entry{
			Action: audit.DriftResolved, ObjectKind: "drift", Object: fmt.Sprint(id), Detail: map[string]string{"form": form, "kind": string(kind)},
		})
		return err
	})
}

// groups reads groups with their last days and what owners were told. where is a constant of this package.
func groups(ctx context.Context, pool *pgxpool.Pool, where string, args ...any) ([]Group, error) {
	rows, err := pool.Query(ctx, `
SELECT g.id, g.form, g.kind, g.cause, g.first_seen, g.last_seen, g.total, g.samples, g.resolved_at,
	ARRAY(SELECT coalesce(d.count, 0) FROM generate_series(0, `+fmt.Sprint(DaysShown-1)+`) AS ago(n)
		LEFT JOIN drift_day d ON d.group_id = g.id AND d.day = (clock_timestamp() AT TIME ZONE 'UTC')::date - ago.n ORDER BY ago.n DESC),
	coalesce((SELECT jsonb_agg(jsonb_build_object('Owner', t.owner, 'State', t.state, 'Code', t.code, 'At', t.at) ORDER BY t.owner) FROM (
		SELECT DISTINCT ON (n.owner) n.owner, m.state, m.code, coalesce(m.ended_at, m.created_at) AS at
		FROM drift_notice n JOIN drift_mail m ON m.id = n.mail_id WHERE n.group_id = g.id ORDER BY n.owner, n.day DESC) t), '[]')
FROM drift_group g `+where+` ORDER BY g.last_seen DESC, g.id DESC`, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Group, error) {
		var g Group
		var days []int64
		err := row.Scan(&g.ID, &g.Form, &g.Kind, &g.Cause, &g.First, &g.Last, &g.Total, &g.Samples, &g.ResolvedAt, &days, &g.Told)
		copy(g.Days[:], days)
		return g, err
	})
}
