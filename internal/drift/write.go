package drift

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres"
)

// written is a count as the statement takes it.
type written struct {
	Kind     Kind     `json:"kind"`
	Cause    string   `json:"cause"`
	N        int64    `json:"n"`
	FirstAge float64  `json:"first_age"` // seconds before now: the database's clock makes times of them
	LastAge  float64  `json:"last_age"`
	Samples  []string `json:"samples"`
	Demo     bool     `json:"demo"`
}

// Write moves what was counted into the database, form by form; what cannot be written stays in memory. Run calls it.
func (s *Service) Write(ctx context.Context) error {
	taken := s.counts.take()
	byForm := map[string][]key{}
	for k := range taken {
		byForm[k.form] = append(byForm[k.form], k)
	}
	for form, keys := range byForm {
		part := map[key]*count{}
		for _, k := range keys {
			part[k] = taken[k]
		}
		err := postgres.InTx(ctx, s.o.DB.Jobs, func(tx pgx.Tx) error { return s.writeForm(ctx, tx, form, part) })
		if err != nil {
			s.counts.giveBack(taken) // the forms that were written are gone from it
			return fmt.Errorf("write down drift of form %s: %w", form, err)
		}
		for _, k := range keys {
			delete(taken, k)
		}
	}
	return nil
}

// writeSQL adds counts to their groups and days. Dealt-with groups open again: their samples are of the new occurrence.
const writeSQL = `
WITH seen AS (
	SELECT n.*, clock_timestamp() - n.first_age * interval '1 second' AS first_at, clock_timestamp() - n.last_age * interval '1 second' AS last_at
	FROM jsonb_to_recordset($2::jsonb) AS n(kind text, cause text, n bigint, first_age float8, last_age float8, samples text[], demo boolean)
), grouped AS (
	INSERT INTO drift_group AS g (form, kind, cause, first_seen, last_seen, total, samples, demo)
	SELECT $1, kind, cause, first_at, last_at, n, samples, demo FROM seen ORDER BY cause
	ON CONFLICT (form, cause) DO UPDATE SET
		total = g.total + EXCLUDED.total, first_seen = least(g.first_seen, EXCLUDED.first_seen), last_seen = greatest(g.last_seen, EXCLUDED.last_seen),
		samples = CASE WHEN g.resolved_at IS NOT NULL THEN EXCLUDED.samples ELSE ARRAY(
			SELECT u.sample FROM unnest(g.samples || EXCLUDED.samples) WITH ORDINALITY AS u(sample, n) GROUP BY u.sample ORDER BY min(u.n) LIMIT $3) END,
		resolved_at = NULL, demo = g.demo AND EXCLUDED.demo
	RETURNING g.id, g.cause
)
INSERT INTO drift_day AS d (group_id, day, count)
SELECT g.id, (s.last_at AT TIME ZONE 'UTC')::date, s.n FROM seen s JOIN grouped g USING (cause)
ON CONFLICT (group_id, day) DO UPDATE SET count = d.count + EXCLUDED.count`

func (s *Service) writeForm(ctx context.Context, tx pgx.Tx, form string, taken map[key]*count) error {
	// One process at a time for each form, so that together they keep to the bound.
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('drift ' || $1, 0))`, form); err != nil {
		return err
	}
	rows, err := s.fit(ctx, tx, form, taken)
	if err != nil {
		return err
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, writeSQL, form, string(text), maxSamples)
	return err
}

// fit turns counts into rows, in one order for all; causes for which the form has no room any more are counted together.
func (s *Service) fit(ctx context.Context, tx pgx.Tx, form string, taken map[key]*count) ([]written, error) {
	var causes []string
	for k := range taken {
		causes = append(causes, k.cause)
	}
	rows, err := tx.Query(ctx, `SELECT kind, count(*) FILTER (WHERE cause NOT LIKE 'other/%'), coalesce(array_agg(cause) FILTER (WHERE cause = ANY($2)), '{}') FROM drift_group WHERE form = $1 GROUP BY kind`, form, causes)
	if err != nil {
		return nil, err
	}
	known, have := map[string]bool{}, map[Kind]int{}
	var kind Kind
	var n int
	var there []string
	if _, err := pgx.ForEachRow(rows, []any{&kind, &n, &there}, func() error {
		have[kind] = n
		for _, cause := range there {
			known[cause] = true
		}
		return nil
	}); err != nil {
		return nil, err
	}
	fitted := newCounts()
	for k, c := range taken {
		if !known[k.cause] && !k.isOther() {
			if have[k.kind] >= maxGroups {
				k.cause, c = otherPrefix+string(k.kind), withoutSamples(c)
			} else {
				have[k.kind]++
			}
		}
		fitted.merge(k, *c)
	}
	return asRows(fitted.groups, s.o.Now()), nil
}

func withoutSamples(c *count) *count {
	bare := *c
	bare.samples = nil
	return &bare
}

func asRows(groups map[key]*count, now time.Time) []written {
	out := make([]written, 0, len(groups))
	for k, c := range groups {
		out = append(out, written{
			Kind: k.kind, Cause: k.cause, N: c.n, FirstAge: now.Sub(c.first).Seconds(), LastAge: now.Sub(c.last).Seconds(),
			Samples: append([]string{}, c.samples...), Demo: c.demo,
		})
	}
	slices.SortFunc(out, func(a, b written) int { return strings.Compare(a.Cause, b.Cause) })
	return out
}

// Recount asks how many groups nobody has dealt with, for Open. Run calls it, and whoever has changed it. A nil Service does nothing.
func (s *Service) Recount(ctx context.Context) error {
	if s == nil {
		return nil
	}
	var n int64
	if err := s.o.DB.Jobs.QueryRow(ctx, `SELECT count(*) FROM drift_group WHERE resolved_at IS NULL`).Scan(&n); err != nil {
		return fmt.Errorf("count open drift: %w", err)
	}
	s.open.Store(n)
	return nil
}
