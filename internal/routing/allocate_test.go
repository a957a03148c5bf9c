package routing_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"leadline/internal/rep"
	"leadline/internal/routing"
)

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// team makes a pool and candidates who can all take leads.
func team(strategy routing.Strategy, weights ...float64) (*routing.Pool, []routing.Candidate) {
	p := &routing.Pool{Slug: "p", Strategy: strategy}
	var cands []routing.Candidate
	for i, w := range weights {
		email := fmt.Sprintf("r%02d@example.com", i)
		p.Members = append(p.Members, routing.Member{Rep: email, Weight: w})
		cands = append(cands, routing.Candidate{Rep: rep.Rep{Email: email, Active: true, Presence: rep.Available, PresenceBy: rep.ByAPI}})
	}
	return p, cands
}

func randomWeights(r *rand.Rand, n int) []float64 {
	w := make([]float64, n)
	for i := range w {
		w[i] = float64(1 + r.IntN(5))
	}
	return w
}

// worst runs leads through a pool and returns the largest difference there ever was between leads owed and leads received.
func worst(t *testing.T, p *routing.Pool, cands []routing.Candidate, leads int, present func(lead, i int) bool) float64 {
	t.Helper()
	owed, received := make([]float64, len(cands)), make([]float64, len(cands))
	largest := 0.0
	for l := range leads {
		total := 0.0
		for i := range cands {
			cands[i].Rep.Presence = rep.Away
			if present(l, i) {
				cands[i].Rep.Presence = rep.Available
				total += p.Members[i].Weight
			}
		}
		winner, _ := routing.Allocate(p, cands, start.Add(time.Duration(l)*time.Second))
		if total == 0 {
			if winner != -1 {
				t.Fatal("somebody who is away got a lead")
			}
			continue
		}
		if winner < 0 || !present(l, winner) {
			t.Fatalf("lead %d went to %d", l, winner)
		}
		received[winner]++
		for i := range cands {
			if present(l, i) {
				owed[i] += p.Members[i].Weight / total
			}
			largest = max(largest, math.Abs(owed[i]-received[i]))
		}
	}
	return largest
}

func TestAllocate_NobodyIsEverALeadOffWhileAllAreEligible(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 5, 10, 50} {
		p, cands := team(routing.Weighted, randomWeights(r, n)...)
		if gap := worst(t, p, cands, 5000, func(int, int) bool { return true }); gap >= 1 {
			t.Errorf("%d members: off by %.2f leads", n, gap)
		}
	}
}

func TestAllocate_RandomAbsenceKeepsEverybodyWithinTwoLeads(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{2, 5, 10, 50} {
		p, cands := team(routing.Weighted, randomWeights(r, n)...)
		here := make([]bool, n)
		at := -1
		gap := worst(t, p, cands, 5000, func(lead, i int) bool {
			if lead != at {
				at = lead
				for k := range here {
					here[k] = r.IntN(2) == 0
				}
			}
			return here[i]
		})
		if gap >= 2 {
			t.Errorf("%d members: off by %.2f leads", n, gap)
		}
	}
}

func TestAllocate_AMonthAwayChangesNobodysNextTurnsByMoreThanOne(t *testing.T) {
	t.Parallel()
	p, cands := team(routing.Weighted, 1, 1, 1, 1)
	worst(t, p, cands, 402, func(int, int) bool { return true })
	worst(t, p, cands, 4000, func(_, i int) bool { return i != 2 })
	counts := make([]int, 4)
	cands[2].Rep.Presence = rep.Available
	for l := range 40 {
		winner, _ := routing.Allocate(p, cands, start.AddDate(0, 1, 0).Add(time.Duration(l)*time.Second))
		counts[winner]++
		if l == 3 && counts[2] > 2 {
			t.Errorf("flood on return: %v", counts)
		}
	}
	for i, n := range counts {
		if n < 9 || n > 11 {
			t.Errorf("rep %d got %d of 40 leads after the return: %v", i, n, counts)
		}
	}
}

func TestAllocate_AJoinerStartsAtTheMean(t *testing.T) {
	t.Parallel()
	p, cands := team(routing.Weighted, 1, 1, 1)
	cands[2].Credit = math.NaN()
	worst(t, p, cands, 101, func(_, i int) bool { return i != 2 })
	if !math.IsNaN(cands[2].Credit) {
		t.Fatal("somebody who never was eligible has a credit")
	}
	counts := make([]int, 3)
	cands[2].Rep.Presence = rep.Available
	for range 30 {
		winner, _ := routing.Allocate(p, cands, start.Add(time.Hour))
		counts[winner]++
	}
	for i, n := range counts {
		if n < 9 || n > 11 {
			t.Errorf("rep %d got %d of 30: %v", i, n, counts)
		}
	}
}

func TestAllocate_StrategiesChooseAsTheySay(t *testing.T) {
	t.Parallel()
	setup := func(s routing.Strategy) (*routing.Pool, []routing.Candidate) {
		p, c := team(s, 1, 1, 1)
		c[0].Open, c[1].Open, c[2].Open = 2, 1, 1
		c[0].LastAt, c[1].LastAt, c[2].LastAt = start.Add(-time.Hour), start.Add(-time.Minute), start.Add(-30*time.Minute)
		return p, c
	}
	for strategy, want := range map[routing.Strategy]int{
		routing.LeastLoaded: 2, routing.LongestIdle: 0, routing.Fixed: 0, routing.Weighted: 0, routing.Broadcast: -1, routing.Pull: -1,
	} {
		p, c := setup(strategy)
		got, verdicts := routing.Allocate(p, c, start)
		if got != want {
			t.Errorf("%s chose %d, want %d", strategy, got, want)
		}
		if want < 0 && (verdicts[0].Outcome != routing.EligibleOnly || verdicts[0].Reason != "open to the whole pool") {
			t.Errorf("%s: %+v", strategy, verdicts[0])
		}
		if want >= 0 && (verdicts[want].Outcome != routing.Chosen || !c[want].LastAt.Equal(start)) {
			t.Errorf("%s: %+v", strategy, verdicts)
		}
	}
	p, c := setup(routing.LeastLoaded) // with limits for all, load is a part of the limit: 2/10 beats 1/2
	p.Members[0].CapOpen, p.Members[1].CapOpen, p.Members[2].CapOpen = 10, 2, 2
	if got, _ := routing.Allocate(p, c, start); got != 0 {
		t.Errorf("least loaded with limits chose %d", got)
	}
}

func TestEligible_SaysWhyNot(t *testing.T) {
	t.Parallel()
	fresh := func() (*routing.Pool, routing.Candidate) {
		p, c := team(routing.Weighted, 1)
		p.Members[0].CapOpen, p.Members[0].CapPerDay = 3, 40
		return p, c[0]
	}
	cases := map[string]func(c *routing.Candidate){
		"":                             func(*routing.Candidate) {},
		"deactivated":                  func(c *routing.Candidate) { c.Rep.Active = false },
		"away: lunch":                  func(c *routing.Candidate) { c.Rep.Presence, c.Rep.PresenceReason = rep.Away, "lunch" },
		"off":                          func(c *routing.Candidate) { c.Rep.Presence = rep.Off },
		"in focus: pool only":          func(c *routing.Candidate) { c.Rep.Presence = rep.Focus },
		"outside working hours":        func(c *routing.Candidate) { c.Rep.Hours = "Tue 09:00-17:00" },
		"no console open":              func(c *routing.Candidate) { c.Rep.PresenceBy = rep.ByConsole },
		"at limit: 3 open, limit 3":    func(c *routing.Candidate) { c.Open = 3 },
		"at limit: 40 today, limit 40": func(c *routing.Candidate) { c.Today = 40 },
		"had it before":                func(c *routing.Candidate) { c.Offered = true },
	}
	for want, change := range cases {
		p, c := fresh()
		change(&c)
		ok, reason := routing.Eligible(p, c, start)
		if ok != (want == "") || reason != want {
			t.Errorf("eligible %v %q, want %q", ok, reason, want)
		}
	}
	p, c := fresh()
	c.Offered, c.Rep.Presence = true, rep.Focus
	if ok, reason := routing.EligibleInPool(p, c, start); !ok {
		t.Errorf("somebody in focus cannot take from the pool: %s", reason)
	}
	if ok, _ := routing.Eligible(nil, routing.Candidate{Rep: rep.Rep{Active: true, Presence: rep.Available, PresenceBy: rep.ByAPI}, Open: 99}, start); !ok {
		t.Error("somebody who is no member has no caps")
	}
}

func TestAllocate_AClosedPoolGivesNothingAway(t *testing.T) {
	t.Parallel()
	p, c := team(routing.Weighted, 1, 1)
	hours, err := rep.ParseHours("Tue 09:00-17:00", "UTC")
	if err != nil {
		t.Fatal(err)
	}
	p.Hours = hours
	if winner, verdicts := routing.Allocate(p, c, start); winner != -1 || verdicts[0].Outcome != routing.Skipped || c[0].Credit != 0 {
		t.Errorf("winner %d, %+v", winner, verdicts)
	}
}
