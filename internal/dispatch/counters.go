package dispatch

import (
	"fmt"
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

// loads is what the database says of one rep's leads.
type loads struct {
	offers, uncontacted int
	claims              []time.Time
}

// readLoads queues the reading of loads, into the map that it gives.
func readLoads(send *pgx.Batch, v *involved) map[string]loads {
	var emails []string
	var hours []int
	for email, back := range v.counted {
		if back >= 0 {
			emails, hours = append(emails, email), append(hours, back)
		}
	}
	found := make(map[string]loads, len(emails))
	if len(emails) == 0 {
		return found
	}
	send.Queue(loadsSQL, emails, hours).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var email string
			var l loads
			if err := rows.Scan(&email, &l.offers, &l.uncontacted, &l.claims); err != nil {
				return fmt.Errorf("count leads of reps: %w", err)
			}
			found[email] = l
		}
		return rows.Err()
	})
	return found
}

// at counts claims by the windows of limits.
func (l loads) at(now time.Time, zone string) routing.Load {
	load := routing.Load{Offers: l.offers, Uncontacted: l.uncontacted}
	hour, day, week := now.Add(-time.Hour), midnight(now, zone, 0), midnight(now, zone, (int(weekday(now, zone))+6)%7)
	for _, at := range l.claims {
		if at.After(hour) {
			load.Hour++
		}
		if !at.Before(day) {
			load.Day++
		}
		if !at.Before(week) {
			load.Week++
		}
	}
	return load
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
