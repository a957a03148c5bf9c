package routing_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"leadline/internal/routing"
)

// office is a pool whose leads ask for tags, and whose members and which itself have limits that slide, minute by minute.
type office struct {
	pool  *routing.Pool
	table *routing.Table
	world *routing.World
	taken map[string][]claimed // by e-mail address
	tags  []string
}

type claimed struct {
	at     time.Time
	points int
}

func newOffice(t *testing.T, random *rand.Rand, n int) *office {
	t.Helper()
	o := &office{
		pool: &routing.Pool{Slug: "p"}, taken: map[string][]claimed{}, tags: []string{"", "german", "licence", "enterprise"},
		world: &routing.World{Now: start, People: map[string]*routing.Person{}},
	}
	for i := range n {
		email := fmt.Sprintf("r%02d@example.com", i)
		m := routing.Member{Rep: email, Weight: float64(1 + random.IntN(4))}
		switch random.IntN(4) {
		case 0:
			m.Cap.PerHour = 4 + random.IntN(8)
		case 1:
			m.CapPoints.PerHour = 9 + random.IntN(12)
		}
		o.pool.Members = append(o.pool.Members, m)
		p := &routing.Person{Rep: able(email)}
		for _, tag := range o.tags[1:] {
			if random.IntN(3) > 0 || i == 0 {
				p.Tags += " " + tag
			}
		}
		o.world.People[email] = p
	}
	o.pool.Quota.Cap.PerHour = 50
	rules := []routing.Rule{{Name: "rest", Band: routing.Default, Then: routing.Target{Pool: "p"}}}
	for i, tag := range o.tags[1:] {
		rules = append(rules, routing.Rule{Name: tag, When: routing.Condition{Product: []string{tag}}, Then: routing.Target{Pool: "p", Needs: []string{tag}, Points: i + 1}})
	}
	table, problems := routing.Compile(1, []*routing.Pool{o.pool}, rules, nil, nil)
	if table == nil {
		t.Fatal(problems)
	}
	o.table = table
	return o
}

// count brings everybody's load to the minute.
func (o *office) count() {
	var all routing.Load
	for email, p := range o.world.People {
		p.Load = routing.Load{}
		o.taken[email] = slices.DeleteFunc(o.taken[email], func(c claimed) bool { return !c.at.After(o.world.Now.Add(-time.Hour)) })
		for _, c := range o.taken[email] {
			p.Load.Hour++
			p.Load.Points.Hour += c.points
		}
		all.Hour += p.Load.Hour
	}
	o.world.Pools = map[string]routing.Load{"p": all}
}

// Limits and needs keep people from leads as absences do: who could have had a lead and did not is owed their share of it, and neither what
// anybody is owed nor how long they wait grows beyond what is promised for random absence. Nobody who can have leads gets none.
func TestPlace_LimitsAndNeedsStarveNobody(t *testing.T) {
	t.Parallel()
	gap, wait, limited := 0.0, 0.0, 0
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 3))
		n := []int{2, 3, 5, 10}[seed%4]
		o := newOffice(t, random, n)
		owed, received, waited := map[string]float64{}, map[string]float64{}, map[string]float64{}
		for l := range 6000 {
			o.world.Now = start.Add(time.Duration(l) * time.Minute)
			o.count()
			product := o.tags[random.IntN(len(o.tags))]
			out := routing.Place(o.table, o.world, routing.Case{New: true, Facts: routing.Facts{Product: product, AcceptedAt: o.world.Now}})
			var winner string
			if out.Place.Rep != nil {
				winner = out.Place.Rep.Email
				o.taken[winner] = append(o.taken[winner], claimed{o.world.Now, max(out.Decision.Points, 1)})
				received[winner]++
			}
			for _, c := range out.Considered {
				if c.Capped() {
					limited++
				}
				owed[c.Rep] += c.Share
				waited[c.Rep] += c.Share
				if c.Rep == winner {
					waited[c.Rep] = 0
				}
				wait = max(wait, waited[c.Rep])
				gap = max(gap, owed[c.Rep]-received[c.Rep], received[c.Rep]-owed[c.Rep])
			}
		}
		for email := range o.world.People {
			if owed[email] > 5 && received[email] < 0.9*owed[email] {
				t.Errorf("seed %d: %s was owed %.0f leads and got %.0f", seed, email, owed[email], received[email])
			}
		}
	}
	t.Logf("worst gap %.2f leads, longest wait %.2f times the expected one, passed over for a limit %d times", gap, wait, limited)
	if gap >= 2 || wait > 3 || limited < 1000 {
		t.Errorf("worst gap %.2f leads, longest wait %.2f times the expected one, passed over for a limit %d times", gap, wait, limited)
	}
}
