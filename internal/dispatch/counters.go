package dispatch

import (
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/rep"
	"leadline/internal/routing"
)

// loadsSQL reads what limits look at, for those who have any: it goes with the reading of reps, so that it costs no exchange. Days and
// weeks begin at midnight in the rep's zone, which the database may not know; it gives the moments of claims, a short range of an index,
// and they are counted here. statement_timestamp(), unlike clock_timestamp(), can be looked up in an index.
const loadsSQL = `
SELECT r.email,
    (SELECT count(*) FROM offer o WHERE o.rep_id = r.id AND o.state = 'open'),
    (SELECT count(*) FROM lead l WHERE l.rep_id = r.id AND l.stage = 'claimed'),
    ARRAY(SELECT l.claimed_at FROM lead l WHERE l.rep_id = r.id AND l.claimed_at > statement_timestamp() - t.hours * interval '1 hour')
FROM unnest($1::text[], $2::integer[]) AS t(email, hours) JOIN rep r ON r.email = t.email`

// pointsSQL is loadsSQL in points. A lead without a row in lead_asks counts one.
const pointsSQL = `
SELECT r.email,
    (SELECT coalesce(sum(coalesce(p.points, 1)), 0)::integer FROM offer o LEFT JOIN lead_asks p ON p.lead_id = o.lead_id
        WHERE o.rep_id = r.id AND o.state = 'open'),
    (SELECT coalesce(sum(coalesce(p.points, 1)), 0)::integer FROM lead l LEFT JOIN lead_asks p ON p.lead_id = l.id
        WHERE l.rep_id = r.id AND l.stage = 'claimed'),
    c.at, c.points
FROM unnest($1::text[], $2::integer[]) AS t(email, hours) JOIN rep r ON r.email = t.email,
LATERAL (SELECT array_agg(l.claimed_at ORDER BY l.id) AS at, array_agg(coalesce(p.points, 1) ORDER BY l.id) AS points
    FROM lead l LEFT JOIN lead_asks p ON p.lead_id = l.id
    WHERE l.rep_id = r.id AND l.claimed_at > statement_timestamp() - t.hours * interval '1 hour') c`

// quotasSQL reads what pools with limits of their own have in hand and took lately. An offer that has just ended in this transaction is not
// open any more, and a lead that was taken from its holder has none; both are still of their stage. Nobody needs to count the leads of
// a window further than the largest limit.
const quotasSQL = `
SELECT t.pool, h.offers, h.offer_points, h.uncontacted, h.uncontacted_points, c.at, c.points
FROM unnest($1::text[], $2::integer[], $3::integer[]) AS t(pool, hours, most),
LATERAL (SELECT count(*) FILTER (WHERE l.stage = 'offered')::integer AS offers,
        coalesce(sum(coalesce(p.points, 1)) FILTER (WHERE l.stage = 'offered'), 0)::integer AS offer_points,
        count(*) FILTER (WHERE l.stage = 'claimed')::integer AS uncontacted,
        coalesce(sum(coalesce(p.points, 1)) FILTER (WHERE l.stage = 'claimed'), 0)::integer AS uncontacted_points
    FROM lead l LEFT JOIN lead_asks p ON p.lead_id = l.id
    WHERE l.stage IN ('offered', 'claimed') AND l.pool = t.pool AND (l.stage = 'claimed' AND l.rep_id IS NOT NULL
        OR l.stage = 'offered' AND EXISTS (SELECT FROM offer o WHERE o.lead_id = l.id AND o.state = 'open'))) h,
LATERAL (SELECT array_agg(r.claimed_at ORDER BY r.claimed_at) AS at, array_agg(r.points ORDER BY r.claimed_at) AS points
    FROM (SELECT l.claimed_at, coalesce(p.points, 1) AS points FROM lead l LEFT JOIN lead_asks p ON p.lead_id = l.id
        WHERE l.pool = t.pool AND l.claimed_at > statement_timestamp() - t.hours * interval '1 hour' ORDER BY l.claimed_at DESC LIMIT t.most) r) c`

// loads is what the database says of leads of a rep or a pool, as a number or in points.
type loads struct {
	offers, uncontacted int
	claims              []time.Time
	points              []int32 // of each claim; empty: one each
}

// wanted is what limits look at of one rep.
type wanted struct {
	hours  int // how far back; -1: they are not looked at
	points bool
}

// quota is a pool, or a group of pools, with limits of its own.
type quota struct {
	routing.Quota
	pools []string // slugs
}

// counts is what was read for limits.
type counts struct {
	leads, points         map[string]loads // by e-mail address
	poolLeads, poolPoints map[string]loads // by slug
}

// readCounts queues the reading of whatever limits look at.
func readCounts(send *pgx.Batch, v *involved) *counts {
	c := &counts{poolLeads: map[string]loads{}, poolPoints: map[string]loads{}}
	c.leads = readLoads(send, loadsSQL, v, func(w wanted) bool { return w.hours >= 0 })
	c.points = readLoads(send, pointsSQL, v, func(w wanted) bool { return w.points })
	c.readQuotas(send, v)
	return c
}

// readLoads queues the reading of loads of the reps that are asked for, into the map that it gives.
func readLoads(send *pgx.Batch, sql string, v *involved, of func(wanted) bool) map[string]loads {
	var emails []string
	var hours []int
	for email, w := range v.counted {
		if of(w) {
			emails, hours = append(emails, email), append(hours, w.hours)
		}
	}
	found := make(map[string]loads, len(emails))
	if len(emails) == 0 {
		return found
	}
	send.Queue(sql, emails, hours).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var email string
			var l loads
			into := []any{&email, &l.offers, &l.uncontacted, &l.claims, &l.points}
			if err := rows.Scan(into[:len(rows.FieldDescriptions())]...); err != nil {
				return fmt.Errorf("count leads of reps: %w", err)
			}
			found[email] = l
		}
		return rows.Err()
	})
	return found
}

func (c *counts) readQuotas(send *pgx.Batch, v *involved) {
	var slugs []string
	var hours, most []int
	for _, q := range v.quotas {
		for _, slug := range q.pools {
			i := slices.Index(slugs, slug)
			if i < 0 {
				i = len(slugs)
				slugs, hours, most = append(slugs, slug), append(hours, 0), append(most, 0)
			}
			hours[i], most[i] = max(hours[i], q.Counted()), max(most[i], q.Windowed())
		}
	}
	if len(slugs) == 0 {
		return
	}
	send.Queue(quotasSQL, slugs, hours, most).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var slug string
			var l, p loads
			if err := rows.Scan(&slug, &l.offers, &p.offers, &l.uncontacted, &p.uncontacted, &l.claims, &p.points); err != nil {
				return fmt.Errorf("count leads of pools: %w", err)
			}
			p.claims = l.claims
			c.poolLeads[slug], c.poolPoints[slug] = l, p
		}
		return rows.Err()
	})
}

// of is what a rep has and took.
func (c *counts) of(email string, now time.Time, zone string) routing.Load {
	return routing.Load{Tally: c.leads[email].at(now, zone), Points: c.points[email].at(now, zone)}
}

// taken is what the pools of a quota have and took together.
func (c *counts) taken(q quota, now time.Time) routing.Load {
	var l routing.Load
	for _, slug := range q.pools {
		l.Tally = l.Plus(c.poolLeads[slug].at(now, q.Timezone))
		if q.ByPoints() {
			l.Points = l.Points.Plus(c.poolPoints[slug].at(now, q.Timezone))
		}
	}
	return l
}

// at counts claims by the windows of limits.
func (l loads) at(now time.Time, zone string) routing.Tally {
	tally := routing.Tally{Offers: l.offers, Uncontacted: l.uncontacted}
	hour, day, week := now.Add(-time.Hour), midnight(now, zone, 0), midnight(now, zone, (int(weekday(now, zone))+6)%7)
	for i, at := range l.claims {
		n := 1
		if i < len(l.points) {
			n = int(l.points[i])
		}
		if at.After(hour) {
			tally.Hour += n
		}
		if !at.Before(day) {
			tally.Day += n
		}
		if !at.Before(week) {
			tally.Week += n
		}
	}
	return tally
}

// midnight is when a day began, some days ago.
func midnight(now time.Time, zone string, ago int) time.Time {
	place := placeOf(zone)
	y, m, d := now.In(place).Date()
	return time.Date(y, m, d-ago, 0, 0, 0, 0, place)
}

func weekday(now time.Time, zone string) time.Weekday { return now.In(placeOf(zone)).Weekday() }

// placeOf is a time zone; UTC for one that is not known: it must not stop dispatch.
func placeOf(zone string) *time.Location {
	place, err := rep.Zone(zone)
	if err != nil {
		return time.UTC
	}
	return place
}
