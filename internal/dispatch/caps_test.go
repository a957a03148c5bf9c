package dispatch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

func TestCaps_EachWindowCountsWhatFallsIntoIt(t *testing.T) {
	t.Parallel()
	zone, err := rep.Zone("Pacific/Auckland")
	if err != nil {
		t.Fatal(err)
	}
	d := setup(t, "mia", "ben")
	d.exec(`UPDATE rep SET timezone = 'Pacific/Auckland' WHERE email = $1`, email("mia"))
	now := ask[time.Time](d, `SELECT clock_timestamp()`)
	local := now.In(zone)
	today := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, zone)
	monday := today.AddDate(0, 0, -(int(today.Weekday())+6)%7)
	inHour := 0
	for _, at := range []time.Time{now.Add(-59 * time.Minute), now.Add(-61 * time.Minute), today, today.Add(-time.Second), monday, monday.Add(-time.Second)} {
		d.exec(`INSERT INTO lead (id, correlation_id, form, intent, stage, rep_id, claimed_at, node, dispatch_lease)
			VALUES ($1::uuid, $1::uuid::text, 'demo', 'high', 'contacted', $2, $3, 0, clock_timestamp())`, uuid.Must(uuid.NewV7()), d.reps["mia"], at)
		if now.Sub(at) < time.Hour {
			inHour++
		}
	}
	counts := func(since time.Time) int {
		return ask[int](d, `SELECT count(*) FROM lead WHERE rep_id = $1 AND claimed_at >= $2`, d.reps["mia"], since)
	}
	for i, c := range []struct {
		code rep.Code
		have int
		set  func(m *routing.Member, n int)
	}{
		{routing.CodePerHour, inHour, func(m *routing.Member, n int) { m.Cap.PerHour = n }},
		{routing.CodePerDay, counts(today), func(m *routing.Member, n int) { m.Cap.PerDay = n }},
		{routing.CodePerWeek, counts(monday), func(m *routing.Member, n int) { m.Cap.PerWeek = n }},
	} {
		for room := range 2 { // at the limit, and one below
			p := pool(fmt.Sprintf("p%d%d", i, room), long, "mia", "ben")
			p.Strategy = routing.Fixed
			c.set(&p.Members[0], c.have+room)
			if c.have+room == 0 {
				continue // no limit at all
			}
			d.configure(int64(10*i+room+1), p)
			proc := d.run()
			id := d.submit(proc, 1)[0]
			want := map[int]string{0: "ben", 1: "mia"}[room]
			d.reaches(id, fmt.Sprintf("turn:%s:%s open", p.Slug, want))
			if room == 0 {
				got := ask[string](d, `SELECT c->>'code' || ' ' || (c->>'have') || '/' || (c->>'limit') FROM decision, jsonb_array_elements(trace->'candidates') c
					WHERE lead_id = $1 AND c->>'rep' = $2`, id, email("mia"))
				if got != fmt.Sprintf("%s %d/%d", c.code, c.have, c.have) {
					t.Errorf("the trace says %s, want %s %d", got, c.code, c.have)
				}
			} else {
				d.exec(`UPDATE offer SET state = 'withdrawn', ended_at = clock_timestamp() WHERE lead_id = $1`, id)
				d.exec(`UPDATE lead SET stage = 'closed' WHERE id = $1`, id)
			}
			proc.stop()
			<-proc.ended
		}
	}
}

func TestCaps_OffersAndUncontactedHaveLimitsOfTheirOwn(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	first := pool("first", long, "mia", "ben")
	first.Strategy = routing.Fixed
	first.Members[0].Cap.Offers, first.Members[0].Cap.Uncontacted = 1, 2
	d.configure(1, first)
	p := d.run()
	ids := d.submit(p, 2)
	d.settled(ids)
	d.reaches(ids[0], "turn:first:mia open")
	d.reaches(ids[1], "turn:first:ben open") // one offer at a time
	d.take(p, ids[0], "mia")
	next := d.submit(p, 1)[0]
	d.reaches(next, "turn:first:mia open")
	d.take(p, next, "mia")
	d.reaches(d.submit(p, 1)[0], "turn:first:ben open") // two are not contacted
	if err := p.Outcome(t.Context(), dispatch.OutcomeRequest{LeadID: next, RepID: d.reps["mia"], Disposition: "connected"}); err != nil {
		t.Fatal(err)
	}
	d.reaches(d.submit(p, 1)[0], "turn:first:mia open")
}

// The order of a burst is nobody's to choose; what everybody gets of it is.
func TestDispatch_ABurstGivesEverybodyWhatTheSameLeadsInSequenceWould(t *testing.T) {
	t.Parallel()
	const leads = 1000
	names := []string{"mia", "ben", "eve", "sam", "kim"}
	shared := pool("shared", long, names...)
	want := map[string]int{}
	w := &routing.World{Now: time.Now(), People: map[string]*routing.Person{}}
	for i := range shared.Members {
		shared.Members[i].Weight = float64(1 + i%3)
		address := shared.Members[i].Rep
		w.People[address] = &routing.Person{Rep: rep.Rep{Email: address, Active: true, Presence: rep.Available, PresenceBy: rep.ByAPI}}
	}
	table, _ := routing.Compile(1, []*routing.Pool{shared}, []routing.Rule{{Name: "all", Band: routing.Default, Then: routing.Target{Pool: "shared"}}}, nil, nil)
	for range leads {
		w.Now = w.Now.Add(time.Millisecond)
		want[routing.Place(table, w, routing.Case{New: true}).Place.Rep.Email]++
	}
	for _, processes := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d processes", processes), func(t *testing.T) {
			t.Parallel()
			d := setup(t, names...)
			d.configure(1, shared)
			running := make([]*process, processes)
			for i := range running {
				running[i] = d.run()
			}
			batches := make(chan []uuid.UUID, leads/10)
			for i := range leads / 10 {
				go func() { batches <- d.submit(running[i%processes], 10) }()
			}
			var all []uuid.UUID
			for range leads / 10 {
				all = append(all, <-batches...)
			}
			d.settled(all)
			for address, n := range want {
				if got := ask[int](d, `SELECT count(*) FROM offer o JOIN rep r ON r.id = o.rep_id WHERE r.email = $1`, address); got != n {
					t.Errorf("%s got %d leads of the burst, in sequence %d", address, got, n)
				}
			}
		})
	}
}
