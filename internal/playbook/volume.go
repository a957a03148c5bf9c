package playbook

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

// maxVolume bounds how many leads of the last week are looked at; with more, the newest stand for all.
const maxVolume = 20_000

// volumeSQL finds the decisions of a week by the time in their leads' ids.
const volumeSQL = `
SELECT trace->'facts', count(*) OVER () FROM decision
WHERE lead_id >= (lpad(to_hex((extract(epoch FROM clock_timestamp() - interval '7 days') * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid AND trace ? 'facts'
ORDER BY lead_id DESC LIMIT $1`

// CheckVolume warns of pools whose members may take fewer leads a week, by their limits a day, than these rules would have sent them in the
// last seven days. Pools with a member who has no such limit carry everything. It reads the leads that were decided on, and changes nothing.
func CheckVolume(ctx context.Context, db *postgres.DB, cfg *Config) ([]Problem, error) {
	table, _ := cfg.Table(0)
	if table == nil {
		return nil, nil
	}
	carries, err := cfg.capacity(ctx, db)
	if err != nil || len(carries) == 0 {
		return nil, err
	}
	sent, err := weekly(ctx, db, table)
	if err != nil {
		return nil, err
	}
	c := &checker{cfg: cfg}
	for i, p := range cfg.Pools {
		if most, limited := carries[p.Slug]; limited && sent[p.Slug] > most {
			c.warn(fmt.Sprintf("pools[%d].members", i), "volume", "raise per_day, add members, or let it overflow",
				"pool %q: its members may take %d leads a week, but %d came for it in the last seven days", p.Slug, most, sent[p.Slug])
		}
	}
	return c.problems, nil
}

// capacity is how many leads a week the members of each pool may take, for pools in which all of them have a limit.
func (c *Config) capacity(ctx context.Context, db *postgres.DB) (map[string]int, error) {
	var people map[string]rep.Rep
	carries := map[string]int{}
	for _, p := range c.Pools {
		week, limited := 0, len(p.Members) > 0
		for _, m := range p.Members {
			limited = limited && m.CapPerDay > 0
		}
		if !limited {
			continue
		}
		if people == nil {
			all, err := rep.NewStore(db.Gorm.WithContext(ctx)).All(ctx)
			if err != nil {
				return nil, err
			}
			people = make(map[string]rep.Rep, len(all)+len(c.Reps))
			for _, r := range append(all, c.Reps...) { // the text is what will be
				people[r.Email] = r
			}
		}
		for _, m := range p.Members {
			if r, known := people[m.Rep]; known && r.Active {
				week += m.CapPerDay * workDays(r)
			}
		}
		carries[p.Slug] = week
	}
	return carries, nil
}

// workDays counts the days of a week on which a rep works at all.
func workDays(r rep.Rep) int {
	days := map[int]bool{}
	for at := aWeek; at.Before(aWeek.AddDate(0, 0, 7)); at = at.Add(coverStep) {
		if r.InHours(at) {
			days[at.YearDay()] = true
		}
	}
	return len(days)
}

// weekly counts, by pool, the leads of the last seven days as a table would have sent them.
func weekly(ctx context.Context, db *postgres.DB, table *routing.Table) (map[string]int, error) {
	rows, err := db.Jobs.Query(ctx, volumeSQL, maxVolume)
	if err != nil {
		return nil, fmt.Errorf("read the leads of the last week: %w", err)
	}
	sent := map[string]int{}
	var stored json.RawMessage
	var total, seen int
	_, err = pgx.ForEachRow(rows, []any{&stored, &total}, func() error {
		var f routing.Facts
		if err := json.Unmarshal(stored, &f); err != nil {
			return fmt.Errorf("read the facts of a decision: %w", err)
		}
		seen++
		// As if the week to come were like the last one: rules may begin and end in it.
		if d := table.Decide(f, f.AcceptedAt.Add(7*24*time.Hour)); !d.Hold {
			sent[d.Pool]++
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the leads of the last week: %w", err)
	}
	for pool, n := range sent {
		sent[pool] = n * total / seen
	}
	return sent, nil
}
