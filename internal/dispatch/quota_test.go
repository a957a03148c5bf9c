package dispatch_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/fault"
	"leadline/internal/routing"
	"leadline/internal/simulate"
)

// replays makes every stored decision again under the rules in force.
func (d *desk) replays() simulate.Replayed {
	d.t.Helper()
	table := d.snapshot.Load().Table
	sum, err := simulate.Replay(d.t.Context(), d.db, func(context.Context, int64, string) (*routing.Table, string, error) { return table, "", nil }, time.Hour, 0,
		func(f simulate.Finding) { d.t.Errorf("lead %s comes out otherwise: %+v", f.Lead, f.Differences) })
	if err != nil || sum.Decisions == 0 {
		d.t.Errorf("replayed %+v: %v", sum, err)
	}
	return sum
}

// verdict is what a lead's first decision says of somebody: code, where the limit stands, and what it is.
func (d *desk) verdict(id uuid.UUID, name string) string {
	d.t.Helper()
	return ask[string](d, `SELECT coalesce(string_agg(DISTINCT concat(c->>'code', ' ', c->>'have', '/', c->>'limit'), ', '), 'nothing')
		FROM decision, jsonb_array_elements(trace->'candidates') c WHERE lead_id = $1 AND c->>'rep' = $2`, id, email(name))
}

func perDay(n int) routing.Quota {
	return routing.Quota{Limits: routing.Limits{Cap: routing.Caps{PerDay: n}}}
}

// A pool is not counted past its limit however many leads come at once, to however many processes.
func TestQuota_OfAPoolHoldsUnderABurstAndTheRestGoesOn(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben", "eve")
	first, next := pool("first", long, "mia", "ben"), pool("next", long, "eve")
	first.Quota, first.Overflow = perDay(7), "next"
	d.configure(1, first, next)
	one, two := d.run(), d.run()
	batches := make(chan []uuid.UUID, 10)
	for i := range 10 {
		go func() { batches <- d.submit([]*process{one, two}[i%2], 2) }()
	}
	var all []uuid.UUID
	for range 10 {
		all = append(all, <-batches...)
	}
	d.settled(all)
	in := func() int { return ask[int](d, `SELECT count(*) FROM lead WHERE pool = 'first'`) }
	if n := in(); n != 7 {
		t.Fatalf("%d of 20 leads went to the pool that may take 7", n)
	}
	beyond := ask[uuid.UUID](d, `SELECT id FROM lead WHERE pool = 'next' ORDER BY id LIMIT 1`)
	if got := d.verdict(beyond, "mia"); got != "pool_cap_per_day 7/7" {
		t.Errorf("the trace says %s", got)
	}
	// What was taken and worked counts on; what was given back does not.
	taken := ask[uuid.UUID](d, `SELECT id FROM lead WHERE pool = 'first' ORDER BY id LIMIT 1`)
	name := ask[string](d, `SELECT split_part(email, '@', 1) FROM rep JOIN offer o ON o.rep_id = rep.id WHERE lead_id = $1`, taken)
	d.take(one, taken, name)
	if err := one.Outcome(t.Context(), dispatch.OutcomeRequest{LeadID: taken, RepID: d.reps[name], Disposition: "connected"}); err != nil {
		t.Fatal(err)
	}
	d.reaches(d.submit(one, 1)[0], "turn:next:eve open")
	d.exec(`UPDATE lead SET claimed_at = clock_timestamp() - interval '49 hours' WHERE id = $1`, taken)
	again := d.submit(two, 1)[0]
	d.settled([]uuid.UUID{again})
	if n := in(); n != 8 || ask[string](d, `SELECT pool FROM lead WHERE id = $1`, again) != "first" {
		t.Errorf("%d leads in the pool once one of them is of another day", n)
	}
	d.replays()
}

func TestQuota_OfAGroupCountsAllItsPoolsAndOpensLeadsToNobody(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben", "eve")
	first, second, open := pool("first", long, "mia"), pool("second", long, "ben"), pool("open", long, "eve")
	open.Strategy = routing.Pull
	for _, p := range []*routing.Pool{first, second, open} {
		p.Group, p.GroupQuota = "sales", perDay(3)
	}
	d.configureRules(1, []routing.Rule{
		{Name: "rest", Band: routing.Default, Then: routing.Target{Pool: "first"}},
		{Name: "second", When: routing.Condition{Country: []string{"FR"}}, Then: routing.Target{Pool: "second"}},
		{Name: "open", When: routing.Condition{Country: []string{"IT"}}, Then: routing.Target{Pool: "open"}},
	}, first, second, open)
	p := d.run()
	d.reaches(d.submit(p, 1)[0], "turn:first:mia open")
	d.reaches(d.submitFrom(p, 1, "FR")[0], "turn:second:ben open")
	opened := d.submitFrom(p, 1, "IT")[0]
	d.reaches(opened, "pool:open open")
	full := d.submit(p, 1)[0]
	d.reaches(full, " | waiting in first")
	d.reaches(d.submitFrom(p, 1, "IT")[0], " | waiting in open")
	if got := d.verdict(full, "mia"); got != "group_cap_per_day 3/3" {
		t.Errorf("the trace says %s", got)
	}
	d.exec(`UPDATE offer SET state = 'withdrawn', ended_at = clock_timestamp() WHERE lead_id = $1`, opened)
	d.exec(`UPDATE lead SET stage = 'closed' WHERE id = $1`, opened)
	p.PresenceChanged()
	d.reaches(full, "turn:first:mia open")
	d.replays()
}

// Each lead of the big rule counts three, and no limit on points is passed by one that comes on top.
func TestPoints_CountForMembersAndPoolsFromTheFirstOfferOn(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	first := pool("first", long, "mia", "ben")
	first.Strategy = routing.Fixed
	first.Members[0].CapPoints = routing.Caps{PerWeek: 5}
	first.Quota.CapPoints = routing.Caps{Open: 8}
	d.configureRules(1, []routing.Rule{
		{Name: "rest", Band: routing.Default, Then: routing.Target{Pool: "first"}},
		{Name: "big", When: routing.Condition{Country: []string{"US"}}, Then: routing.Target{Pool: "first", Points: 3}},
	}, first)
	p := d.run()
	big := d.submitFrom(p, 1, "US")[0]
	d.reaches(big, "turn:first:mia open") // 3
	d.take(p, big, "mia")
	second := d.submitFrom(p, 1, "US")[0]
	d.reaches(second, "turn:first:ben open") // 3 of 5, and 3 more are too many; the pool has 6
	if got := d.verdict(second, "mia"); got != "cap_per_week_points 3/5" {
		t.Errorf("the trace says %s", got)
	}
	d.reaches(d.submit(p, 1)[0], "turn:first:mia open") // 4, 7
	third := d.submitFrom(p, 1, "US")[0]
	d.reaches(third, " | waiting in first")
	if got := d.verdict(third, "ben"); got != "pool_cap_open_points 7/8" {
		t.Errorf("the trace says %s", got)
	}
	if err := p.Outcome(t.Context(), dispatch.OutcomeRequest{LeadID: big, RepID: d.reps["mia"], Disposition: "connected"}); err != nil {
		t.Fatal(err)
	}
	d.reaches(third, "turn:first:ben open") // mia's week has 4, so she still cannot; the pool has 4 open
	d.replays()
}

func TestNeeds_OfARuleAreAskedOnEveryStepAndOfClaims(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben", "eve", "sam")
	d.exec(`INSERT INTO rep_terms (rep_id, tags) SELECT id, 'english german' FROM rep WHERE email = ANY($1)`, []string{email("ben"), email("sam")})
	terms := long
	terms.Manager = email("sam")
	first := pool("first", terms, "mia", "ben")
	first.Strategy, first.LastResort = routing.Fixed, email("eve")
	d.configureRules(1, []routing.Rule{
		{Name: "rest", Band: routing.Default, Then: routing.Target{Pool: "first"}},
		{Name: "german", When: routing.Condition{Country: []string{"DE"}}, Then: routing.Target{Pool: "first", Needs: []string{"german"}}},
	}, first)
	p := d.run()
	d.reaches(d.submitFrom(p, 1, "FR")[0], "turn:first:mia open")
	german := d.submit(p, 1)[0]
	d.reaches(german, "turn:first:ben open")
	if got := d.verdict(german, "mia"); got != string(routing.CodeLacksNeed)+" /" {
		t.Errorf("the trace says %s", got)
	}
	if err := p.Pass(t.Context(), dispatch.PassRequest{LeadID: german, RepID: d.reps["ben"]}); err != nil {
		t.Fatal(err)
	}
	d.reaches(german, "turn:first:ben declined, pool:first open")
	if _, err := p.Claim(t.Context(), dispatch.ClaimRequest{LeadID: german, RepID: d.reps["mia"], By: "api"}); !fault.Is(err, fault.Conflict) {
		t.Errorf("mia, who lacks the tag, claimed it: %v", err)
	}
	d.take(p, german, "ben")
	d.exec(`UPDATE rep SET presence = 'away' WHERE email = $1`, email("ben"))
	last := d.submit(p, 1)[0]
	d.reaches(last, "manager:first:sam open") // eve is the last resort and lacks it
	d.exec(`DELETE FROM rep_terms`)
	none := d.submit(p, 1)[0]
	d.reaches(none, " | waiting in first")
	if n := ask[int](d, `SELECT count(*) FROM alarm WHERE lead_id = $1 AND closed_at IS NULL`, none); n != 1 {
		t.Errorf("%d alarms for a lead that nobody can take", n)
	}
	d.exec(`DELETE FROM alarm`)
	d.replays()
}

// The days on which clocks change have 23 or 25 hours; a day and a week begin when the wall says so, and claims before do not count.
func TestCaps_CountDaysOfTheWallWhenClocksChange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, now, at, counts string }{
		{"Europe/Berlin", "2026-03-29T21:00:00Z", "2026-03-28T23:00:00Z", "day week"}, // 23 hours: midnight was 22 hours ago
		{"Europe/Berlin", "2026-03-29T21:00:00Z", "2026-03-28T22:59:59Z", "week"},
		{"Europe/Berlin", "2026-10-25T22:30:00Z", "2026-10-24T22:00:00Z", "day week"}, // 25 hours: 24.5 of them have passed
		{"Europe/Berlin", "2026-10-25T22:30:00Z", "2026-10-24T21:59:59Z", "week"},
		{"Europe/Berlin", "2026-10-25T00:45:00Z", "2026-10-25T00:00:00Z", "hour day week"}, // 02:45, the first time; claimed at 02:00
		{"Europe/Berlin", "2026-10-25T01:15:00Z", "2026-10-25T00:10:00Z", "day week"},      // 02:15 again, an hour and five minutes later
		{"Europe/Berlin", "2026-10-26T22:59:00Z", "2026-10-25T23:00:00Z", "day week"},      // Monday after it
		{"Europe/Berlin", "2026-10-26T22:59:00Z", "2026-10-25T22:59:59Z", ""},
		{"America/New_York", "2026-03-09T03:30:00Z", "2026-03-08T05:00:00Z", "day week"},    // Sunday, 23:30
		{"America/New_York", "2026-03-09T04:00:00Z", "2026-03-09T03:59:59Z", "hour"},        // Monday has just begun
		{"America/New_York", "2026-11-02T04:59:00Z", "2026-11-01T04:00:00Z", "day week"},    // nearly 25 hours
		{"Australia/Lord_Howe", "2026-04-05T13:00:00Z", "2026-04-04T13:00:00Z", "day week"}, // half an hour back: 24 of 24.5 hours
		{"Australia/Lord_Howe", "2026-04-05T13:29:00Z", "2026-04-04T12:59:59Z", "week"},
		{"Australia/Lord_Howe", "2026-10-04T12:59:00Z", "2026-10-03T13:30:00Z", "day week"},
		{"Australia/Lord_Howe", "2026-10-04T12:59:00Z", "2026-10-03T13:29:59Z", "week"},
		{"Asia/Kathmandu", "2026-11-22T18:14:00Z", "2026-11-21T18:15:00Z", "day week"}, // no change, but minutes beside the hour
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		got, tally := "", dispatch.CountedAt([]time.Time{at}, nil, now, c.zone)
		for _, w := range []struct {
			name string
			n    int
		}{{"hour", tally.Hour}, {"day", tally.Day}, {"week", tally.Week}} {
			if w.n == 1 {
				got += " " + w.name
			}
		}
		if got != "" {
			got = got[1:]
		}
		if got != c.counts {
			t.Errorf("%s: at %s a claim of %s counts for %q, want %q", c.zone, c.now, c.at, got, c.counts)
		}
		if weighed := dispatch.CountedAt([]time.Time{at}, []int32{7}, now, c.zone); weighed != (routing.Tally{Hour: 7 * tally.Hour, Day: 7 * tally.Day, Week: 7 * tally.Week}) {
			t.Errorf("%s: in points %+v, of one lead %+v", c.zone, weighed, tally)
		}
	}
}

// Whatever limits a member, a pool and its group have, nobody is over any of them at any moment, and every lead is somewhere.
func TestQuota_NobodyIsEverOverAnyLimit(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben", "eve")
	first, second := pool("first", long, "mia", "ben"), pool("second", long, "ben", "eve")
	first.Overflow = "second"
	first.Members[0].Cap, first.Members[1].CapPoints = routing.Caps{Open: 4, ReserveHot: 1}, routing.Caps{PerDay: 9}
	second.Members[1].Cap = routing.Caps{Uncontacted: 3, Offers: 2}
	first.Quota = routing.Quota{Limits: routing.Limits{Cap: routing.Caps{PerHour: 6}, CapPoints: routing.Caps{PerDay: 12}}}
	for _, p := range []*routing.Pool{first, second} {
		p.Group, p.GroupQuota = "all", routing.Quota{Limits: routing.Limits{CapPoints: routing.Caps{PerWeek: 17}}}
	}
	d.configureRules(1, []routing.Rule{
		{Name: "rest", Band: routing.Default, Then: routing.Target{Pool: "first"}},
		{Name: "big", When: routing.Condition{Country: []string{"US"}}, Then: routing.Target{Pool: "first", Points: 2}},
		{Name: "second", When: routing.Condition{Country: []string{"FR"}}, Then: routing.Target{Pool: "second", Points: 3}},
	}, first, second)
	one, two := d.run(), d.run()
	for i := range 12 {
		p := []*process{one, two}[i%2]
		ids := d.submitFrom(p, 2, []string{"DE", "US", "FR"}[i%3])
		d.eventually("the leads to have a place", func() bool {
			return ask[int](d, `SELECT count(*) FROM lead WHERE id = ANY($1) AND stage = 'new'`, ids) == 0
		})
		if i%4 == 3 {
			for name := range d.reps {
				id := ask[*uuid.UUID](d, `SELECT (SELECT lead_id FROM offer WHERE state = 'open' AND rep_id = $1 ORDER BY offered_at LIMIT 1)`, d.reps[name])
				if id != nil {
					d.take(p, *id, name)
				}
			}
		}
	}
	d.sound()
	const held = `SELECT coalesce(sum(coalesce(p.points, 1)), 0)::int FROM lead l LEFT JOIN lead_asks p ON p.lead_id = l.id WHERE l.stage IN ('offered', 'claimed') AND `
	for what, c := range map[string]struct{ have, limit int }{
		"leads of the pool in an hour":  {ask[int](d, `SELECT count(*) FROM lead WHERE stage IN ('offered', 'claimed') AND pool = 'first'`), 6},
		"points of the pool in a day":   {ask[int](d, held+`l.pool = 'first'`), 12},
		"points of the group in a week": {ask[int](d, held+`true`), 17},
		"points of ben in a day": {ask[int](d, `SELECT coalesce(sum(coalesce(p.points, 1)), 0)::int FROM offer o LEFT JOIN lead_asks p USING (lead_id)
			WHERE o.rep_id = $1 AND o.state IN ('open', 'accepted')`, d.reps["ben"]), 9},
		"open offers of eve": {ask[int](d, `SELECT count(*) FROM offer WHERE rep_id = $1 AND state = 'open'`, d.reps["eve"]), 2},
		"open leads of mia":  {ask[int](d, `SELECT count(*) FROM offer WHERE rep_id = $1 AND state IN ('open', 'accepted')`, d.reps["mia"]), 4},
	} {
		if c.have > c.limit {
			t.Errorf("%s: %d, limit %d", what, c.have, c.limit)
		}
	}
	if n := ask[int](d, held+`true`); n < 15 {
		t.Errorf("only %d of 17 points were given away", n)
	}
	seen := ask[[]string](d, `SELECT array_agg(DISTINCT c->>'code') FROM decision, jsonb_array_elements(trace->'candidates') c WHERE c->>'code' LIKE '%cap%'`)
	if !slices.Contains(seen, "group_cap_per_week_points") {
		t.Errorf("no decision names the limit of the group; there are %v", seen)
	}
	d.replays()
}

// However many leads wait for somebody with a tag, those that anybody can take are offered the moment somebody is there.
func TestNeeds_LeadsThatNobodyCanTakeAreInNobodysWay(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	d.exec(`UPDATE rep SET presence = 'away'`)
	d.configureRules(1, []routing.Rule{
		{Name: "rest", Band: routing.Default, Then: routing.Target{Pool: "first"}},
		{Name: "german", When: routing.Condition{Country: []string{"DE"}}, Then: routing.Target{Pool: "first", Needs: []string{"german"}}},
	}, pool("first", long, "mia", "ben"))
	p := d.run()
	german, plain := d.submit(p, 300), d.submitFrom(p, 1, "FR")[0]
	waiting := func() int { return ask[int](d, `SELECT count(*) FROM lead WHERE stage = 'waiting'`) }
	d.eventually("all to wait", func() bool { return waiting() == 301 })
	d.exec(`UPDATE rep SET presence = 'available' WHERE email = $1`, email("mia"))
	p.PresenceChanged()
	d.reaches(plain, "turn:first:mia open")
	if n := waiting(); n != 300 {
		t.Errorf("%d of 300 leads wait that mia cannot take", n)
	}
	d.exec(`INSERT INTO rep_terms (rep_id, tags) SELECT id, 'german' FROM rep WHERE email = $1`, email("ben"))
	d.exec(`UPDATE rep SET presence = 'available' WHERE email = $1`, email("ben"))
	p.PresenceChanged()
	d.settled(german)
}
