package routing_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/rep"
	"leadline/internal/routing"
)

// anyWorld makes pools of every strategy, people in every state, and a lead somewhere on its ladder.
func anyWorld(random *rand.Rand) (*routing.Table, *routing.World, routing.Case) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	w := &routing.World{Now: now, People: map[string]*routing.Person{}, Turns: map[string]map[string]routing.Turn{}, Pools: map[string]routing.Load{}}
	load := func() routing.Tally {
		return routing.Tally{Offers: random.IntN(2), Uncontacted: random.IntN(4), Hour: random.IntN(3), Day: random.IntN(5), Week: random.IntN(8)}
	}
	var emails []string
	for i := range 6 {
		email := fmt.Sprintf("rep%d@example.com", i)
		emails = append(emails, email)
		p := &routing.Person{
			Rep: rep.Rep{
				ID: uuid.UUID{byte(i + 1)}, Email: email, Active: random.IntN(6) > 0, PresenceBy: rep.ByAPI,
				Presence: []rep.Presence{rep.Available, rep.Available, rep.Available, rep.Focus, rep.Away, rep.Off}[random.IntN(6)],
			},
			Load: routing.Load{Tally: load(), Points: load()},
		}
		if random.IntN(5) == 0 {
			p.Status = rep.Status{Code: []rep.Code{rep.OutOfHours, rep.OnLeave, rep.OnHoliday, rep.NotStarted}[random.IntN(4)]}
		}
		if random.IntN(3) > 0 {
			p.Tags = "french"
		}
		if random.IntN(2) == 0 {
			p.Tags += " spanish"
		}
		if random.IntN(5) == 0 {
			p.PresenceBy = rep.ByConsole
		}
		w.People[email] = p
	}
	var pools []*routing.Pool
	night, err := rep.ParseHours("Sun 01:00-02:00", "UTC")
	if err != nil {
		panic(err)
	}
	for i, slug := range []string{"a", "b", "c"} {
		p := &routing.Pool{Slug: slug, Strategy: routing.Strategies[random.IntN(len(routing.Strategies))]}
		for j := range 1 + random.IntN(4) {
			m := routing.Member{Rep: emails[(2*i+j)%6], Weight: float64(1 + random.IntN(3))}
			if random.IntN(3) == 0 {
				m.Cap.Open, m.Cap.PerDay = 1+random.IntN(3), 1+random.IntN(3)
			}
			if random.IntN(5) == 0 {
				m.Cap.Offers, m.Cap.Uncontacted, m.Cap.PerHour, m.Cap.PerWeek = 1, 1+random.IntN(2), 1+random.IntN(2), 1+random.IntN(5)
			}
			if random.IntN(4) == 0 {
				m.CapPoints.PerDay, m.CapPoints.Open = 2+random.IntN(4), 2+random.IntN(3)
			}
			m.Overflow = random.IntN(4) == 0
			p.Members = append(p.Members, m)
			if w.Turns["group:all"] == nil {
				w.Turns["group:all"] = map[string]routing.Turn{}
			}
			w.Turns["group:all"][m.Rep] = routing.Turn{Credit: 6*random.Float64() - 3, Joined: true, LastAt: now.Add(-time.Duration(random.IntN(1000)) * time.Second)}
		}
		if random.IntN(6) == 0 {
			p.Hours = night
		}
		if random.IntN(3) == 0 {
			p.Quota.Cap.PerDay, p.Quota.CapPoints.Open = 1+random.IntN(3), 2+random.IntN(4)
			w.Pools[slug] = routing.Load{Tally: load(), Points: load()}
		}
		if p.Group = "all"; random.IntN(4) == 0 {
			p.GroupQuota.Cap.PerWeek = 1 + random.IntN(8)
			w.Pools["group:all"] = routing.Load{Tally: load()}
		}
		if random.IntN(5) == 0 {
			p.Needs = []string{"french"}
		}
		if i < 2 && random.IntN(2) == 0 {
			p.Overflow = string(slug[0] + 1)
		}
		if random.IntN(3) == 0 {
			p.LastResort = emails[random.IntN(6)]
		}
		pools = append(pools, p)
	}
	rules := []routing.Rule{
		{Name: "b", When: routing.Condition{Country: []string{"AT"}}, Then: routing.Target{Pool: "b", Points: 2}},
		{Name: "c", When: routing.Condition{Country: []string{"CH"}}, Then: routing.Target{Pool: "c", Rep: emails[random.IntN(6)], Needs: []string{"spanish"}}},
		{Name: "all", Band: routing.Default, Then: routing.Target{Pool: "a"}},
	}
	table, problems := routing.Compile(1, pools, rules, nil, nil)
	if table == nil {
		panic(fmt.Sprint(problems))
	}
	c := routing.Case{Facts: routing.Facts{Form: "demo", Country: []string{"DE", "AT", "CH"}[random.IntN(3)], AcceptedAt: now}, New: true}
	if random.IntN(3) == 0 {
		c.New, c.Attempt, c.Pool = false, 1, "a"
		c.Past = []routing.Past{{Attempt: 1, Rung: routing.RungTurn, Pool: "a", Rep: uuid.UUID{byte(1 + random.IntN(6))}, State: "timed_out"}}
		c.Waits = random.IntN(2) == 0
	}
	if random.IntN(3) == 0 {
		table = table.WithStages(routing.Stages{Owner: routing.Owner{
			Match: routing.OwnerKinds, Absent: []routing.Absence{routing.AbsentPool, routing.AbsentWait, routing.AbsentSubstitute}[random.IntN(3)], Wait: time.Minute,
			Substitutes: map[string]string{emails[0]: emails[1], emails[2]: emails[3], emails[4]: emails[5]},
		}})
		c.Known = &routing.Known{Person: []routing.Earlier{{Lead: uuid.UUID{9}, Rep: emails[random.IntN(6)], Open: random.IntN(2) == 0}}}
	}
	return table, w, c
}

// stored is a record as it comes back from the database.
func stored(t *testing.T, r *routing.Record) *routing.Record {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	back, err := routing.ReadRecord(text)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func TestWhy_TheChangesGiveTheLeadToTheRepAndEachIsNeeded(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 7))
	got, changed, helpless, sizes := 0, 0, 0, map[int]int{}
	for range 150 {
		table, w, c := anyWorld(random)
		_, record := routing.PlaceAndRecord(table, "h", w, c)
		record = stored(t, record)
		if d := record.Replay(table, false); len(d) > 0 {
			t.Fatalf("%+v", d)
		}
		for i := range 6 {
			email := fmt.Sprintf("rep%d@example.com", i)
			why := record.Why(table, email, w.People[email])
			if why.Reason == "" {
				t.Errorf("no reason for %s", email)
			}
			switch {
			case why.Got:
				got++
				continue
			case len(why.Changes) == 0:
				helpless++
				t.Errorf("nothing would have given the lead to %s: %s", email, why.Reason)
				continue
			}
			changed++
			sizes[len(why.Changes)]++
			if !record.GivenWith(table, email, w.People[email], why.Changes) {
				t.Errorf("%s would not get the lead with %+v", email, why.Changes)
			}
			for n := range why.Changes {
				fewer := append(append([]routing.Change{}, why.Changes[:n]...), why.Changes[n+1:]...)
				if record.GivenWith(table, email, w.People[email], fewer) {
					t.Errorf("%s would get the lead without %+v, too", email, why.Changes[n])
				}
			}
			if record.Outcome.Place != nil && record.To == email {
				t.Errorf("%s has the lead and is told otherwise", email)
			}
		}
	}
	t.Logf("%d got it, %d with changes %v, %d without any", got, changed, sizes, helpless)
}
