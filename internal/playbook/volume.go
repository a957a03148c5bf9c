package playbook

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
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

// paceSQL finds how long, at the median, leads of the last week were offered before they were taken, and in hand before they were contacted.
const paceSQL = `
SELECT coalesce((SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM ended_at - offered_at)) FROM (
        SELECT o.offered_at, o.ended_at FROM lead l JOIN offer o ON o.lead_id = l.id AND o.state = 'accepted'
        WHERE l.claimed_at > statement_timestamp() - interval '7 days' AND l.rep_id IS NOT NULL ORDER BY l.id DESC LIMIT $1) AS t), 0)::double precision,
    coalesce((SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM first_touch_at - claimed_at)) FROM (
        SELECT first_touch_at, claimed_at FROM lead
        WHERE claimed_at > statement_timestamp() - interval '7 days' AND rep_id IS NOT NULL AND first_touch_at > claimed_at ORDER BY id DESC LIMIT $1) AS t), 0)::double precision`

// CheckVolume warns of limits that could not carry the leads that these rules would have sent in the last seven days: those of all members of
// a pool together, of a pool and of a group. A limit on what somebody has at once carries as much as their week allows at the pace of last
// week. Pools with a member without limits carry everything, as far as members are concerned. It reads the leads that were decided on, and
// changes nothing.
func CheckVolume(ctx context.Context, db *postgres.DB, cfg *Config) ([]Problem, error) {
	table, _ := cfg.Table(0)
	if table == nil || !cfg.limited() {
		return nil, nil
	}
	var pace pace
	if err := db.Jobs.QueryRow(ctx, paceSQL, maxVolume).Scan(&pace.answer, &pace.contact); err != nil {
		return nil, fmt.Errorf("read how fast leads were contacted in the last week: %w", err)
	}
	there, err := rep.NewStore(db.Gorm).All(ctx)
	if err != nil {
		return nil, err
	}
	sent, err := weekly(ctx, db, table)
	if err != nil {
		return nil, err
	}
	c := &checker{cfg: cfg}
	c.volume(staffOf(there, cfg.Reps), pace, sent)
	return c.problems, nil
}

// limited tells whether anything but the leads of last week could be too many for.
func (c *Config) limited() bool {
	for _, p := range c.Pools {
		if p.Quota.Limited() || p.GroupQuota.Limited() {
			return true
		}
		for _, m := range p.Members {
			if m.Limited() {
				return true
			}
		}
	}
	return false
}

// volume compares limits with what came, in leads and in points.
func (c *checker) volume(s staff, p pace, sent map[string]amount) {
	for i, pool := range c.cfg.Pools {
		path := fmt.Sprintf("pools[%d]", i)
		what := fmt.Sprintf("pool %q", pool.Slug)
		came := sent[pool.Slug]
		c.tooMuch(path+".members", what+": its members may take", s.carry(pool, p), came)
		c.tooMuch(path+".cap", what+" may take", p.carries(pool.Quota.Limits, workOf(pool.Hours.Open)), came)
	}
	for i, g := range c.cfg.Groups {
		var came amount
		open := func(at time.Time) bool { return false }
		for _, pool := range c.cfg.Pools {
			if pool.Group != g.Slug {
				continue
			}
			before := open
			open = func(at time.Time) bool { return before(at) || pool.Hours.Open(at) }
			came.leads, came.points = came.leads+sent[pool.Slug].leads, came.points+sent[pool.Slug].points
		}
		c.tooMuch(fmt.Sprintf("groups[%d]", i), fmt.Sprintf("group %q may take", g.Slug), p.carries(g.Quota.Limits, workOf(open)), came)
	}
}

func (c *checker) tooMuch(path, what string, most, came amount) {
	const half = 0.5 // of a lead: the pace is measured
	const remedy = "raise the limits, add members, or let it overflow"
	if came.leads-most.leads >= half {
		c.warn(path, "volume", remedy, "%s %.0f leads a week, but %.0f came in the last seven days", what, most.leads, came.leads)
	}
	if came.points-most.points >= half {
		c.warn(path, "volume", remedy, "%s %.0f points a week, but leads of %.0f points came in the last seven days", what, most.points, came.points)
	}
}

// amount is so many leads, and so many points.
type amount struct{ leads, points float64 }

// endless is what somebody without limits can take.
var endless = amount{math.Inf(1), math.Inf(1)}

// pace is how long leads are offered before they are taken and in hand before they are contacted, in seconds; 0: not known.
type pace struct{ answer, contact float64 }

// work is how much of an ordinary week somebody works, or a pool is open.
type work struct{ days, hours float64 }

func workOf(open func(time.Time) bool) work {
	days := map[int]bool{}
	var w work
	for at := aWeek; at.Before(aWeek.AddDate(0, 0, 7)); at = at.Add(coverStep) {
		if open(at) {
			days[at.YearDay()] = true
			w.hours += coverStep.Hours()
		}
	}
	w.days = float64(len(days))
	return w
}

// carry is what the members of a pool may take in a week, all together.
func (s staff) carry(pool *routing.Pool, p pace) amount {
	if len(pool.Members) == 0 {
		return endless
	}
	var sum amount
	for _, m := range pool.Members {
		r, known := s[m.Rep]
		if !m.Limited() {
			return endless
		}
		if known && r.Active {
			one := p.carries(m.Limits, workOf(r.InHours))
			sum.leads, sum.points = sum.leads+one.leads, sum.points+one.points
		}
	}
	return sum
}

// carries is what limits let through in a week with so much work in it.
func (p pace) carries(l routing.Limits, w work) amount {
	return amount{p.through(l.Cap, w), p.through(l.CapPoints, w)}
}

// through is how much of what a cap counts goes through it in a week.
func (p pace) through(c routing.Caps, w work) float64 {
	most := math.Inf(1)
	at := func(limit int, times float64) {
		if limit > 0 {
			most = min(most, float64(limit)*times)
		}
	}
	at(c.PerWeek, 1)
	at(c.PerDay, w.days)
	at(c.PerHour, w.hours)
	for _, held := range []struct {
		limit   int
		seconds float64
	}{{c.Open, p.answer + p.contact}, {c.Offers, p.answer}, {c.Uncontacted, p.contact}} {
		if held.seconds > 0 {
			at(held.limit, max(w.hours*3600/held.seconds, 1))
		}
	}
	return most
}

// weekly counts, by pool, the leads of the last seven days as a table would have sent them.
func weekly(ctx context.Context, db *postgres.DB, table *routing.Table) (map[string]amount, error) {
	rows, err := db.Jobs.Query(ctx, volumeSQL, maxVolume)
	if err != nil {
		return nil, fmt.Errorf("read the leads of the last week: %w", err)
	}
	sent := map[string]amount{}
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
			a := sent[d.Pool]
			sent[d.Pool] = amount{a.leads + 1, a.points + float64(max(d.Points, 1))}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the leads of the last week: %w", err)
	}
	for pool, a := range sent {
		of := float64(total) / float64(seen)
		sent[pool] = amount{a.leads * of, a.points * of}
	}
	return sent, nil
}
