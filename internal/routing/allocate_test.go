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

func able(email string) rep.Rep {
	return rep.Rep{Email: email, Active: true, Presence: rep.Available, PresenceBy: rep.ByAPI}
}

// team makes a pool and candidates who can all take leads.
func team(strategy routing.Strategy, weights ...float64) (*routing.Pool, []routing.Candidate) {
	p := &routing.Pool{Slug: "p", Strategy: strategy}
	var cands []routing.Candidate
	for i, w := range weights {
		email := fmt.Sprintf("r%02d@example.com", i)
		p.Members = append(p.Members, routing.Member{Rep: email, Weight: w})
		cands = append(cands, routing.Candidate{Person: routing.Person{Rep: able(email)}, Hot: true})
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

func TestAllocate_AJoinerStartsAtTheMean(t *testing.T) {
	t.Parallel()
	p, cands := team(routing.Weighted, 1, 1, 1)
	run(t, p, cands, 101, func(_, i int) bool { return i != 2 })
	if cands[2].Turn.Joined {
		t.Fatal("somebody who never was eligible has a credit")
	}
	counts := make([]int, 3)
	cands[2].Presence = rep.Available
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
		c[0].Load.Uncontacted, c[1].Load.Offers, c[2].Load.Uncontacted = 2, 1, 1
		c[0].Turn.LastAt, c[1].Turn.LastAt, c[2].Turn.LastAt = start.Add(-time.Hour), start.Add(-time.Minute), start.Add(-30*time.Minute)
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
		if want >= 0 && (verdicts[want].Outcome != routing.Chosen || !c[want].Turn.LastAt.Equal(start)) {
			t.Errorf("%s: %+v", strategy, verdicts)
		}
	}
	p, c := setup(routing.LeastLoaded) // with limits for all, load is a part of the limit: 2/10 beats 1/2
	p.Members[0].Cap.Open, p.Members[1].Cap.Open, p.Members[2].Cap.Open = 10, 2, 2
	if got, _ := routing.Allocate(p, c, start); got != 0 {
		t.Errorf("least loaded with limits chose %d", got)
	}
}

func TestEligible_SaysWhyNot(t *testing.T) {
	t.Parallel()
	type change = func(p *routing.Pool, m *routing.Member, c *routing.Candidate)
	status := func(code rep.Code) change {
		return func(_ *routing.Pool, _ *routing.Member, c *routing.Candidate) { c.Status.Code = code }
	}
	cases := []struct {
		code        rep.Code
		words       string
		have, limit int
		change      change
	}{
		{rep.Able, "", 0, 0, func(*routing.Pool, *routing.Member, *routing.Candidate) {}},
		{rep.Deactivated, "deactivated", 0, 0, func(_ *routing.Pool, _ *routing.Member, c *routing.Candidate) { c.Active = false }},
		{rep.NotPresent, "away: lunch", 0, 0, func(_ *routing.Pool, _ *routing.Member, c *routing.Candidate) {
			c.Presence, c.PresenceReason = rep.Away, "lunch"
		}},
		{rep.NotPresent, "off", 0, 0, func(_ *routing.Pool, _ *routing.Member, c *routing.Candidate) { c.Presence = rep.Off }},
		{rep.NotPresent, "in focus: pool only", 0, 0, func(_ *routing.Pool, _ *routing.Member, c *routing.Candidate) { c.Presence = rep.Focus }},
		{rep.OutOfHours, "outside working hours", 0, 0, status(rep.OutOfHours)},
		{rep.OnLeave, "on leave", 0, 0, status(rep.OnLeave)},
		{rep.OnHoliday, "on holiday", 0, 0, status(rep.OnHoliday)},
		{rep.Paused, "paused", 0, 0, status(rep.Paused)},
		{rep.NotStarted, "before their first day", 0, 0, status(rep.NotStarted)},
		{rep.Ended, "after their last day", 0, 0, status(rep.Ended)},
		{rep.Unreachable, "no console open", 0, 0, func(_ *routing.Pool, _ *routing.Member, c *routing.Candidate) { c.PresenceBy = rep.ByConsole }},
		{routing.CodeLacksTag, "lacks the tag german", 0, 0, func(p *routing.Pool, _ *routing.Member, c *routing.Candidate) {
			p.Needs, c.Tags = []string{"english", "german"}, "english french"
		}},
		{routing.CodeOpen, "at limit: 3 open, limit 3", 3, 3, func(_ *routing.Pool, m *routing.Member, c *routing.Candidate) {
			m.Cap.Open, c.Load = 3, routing.Load{Tally: routing.Tally{Offers: 1, Uncontacted: 2}}
		}},
		{routing.CodeOffers, "at limit: 1 offered, limit 1", 1, 1, func(_ *routing.Pool, m *routing.Member, c *routing.Candidate) {
			m.Cap.Offers, c.Load = 1, routing.Load{Tally: routing.Tally{Offers: 1, Uncontacted: 2}}
		}},
		{routing.CodeUncontacted, "at limit: 2 not contacted, limit 2", 2, 2, func(_ *routing.Pool, m *routing.Member, c *routing.Candidate) {
			m.Cap.Uncontacted, c.Load = 2, routing.Load{Tally: routing.Tally{Offers: 1, Uncontacted: 2}}
		}},
		{routing.CodePerHour, "at limit: 5 in an hour, limit 5", 5, 5, func(_ *routing.Pool, m *routing.Member, c *routing.Candidate) {
			m.Cap.PerHour, c.Load = 5, routing.Load{Tally: routing.Tally{Offers: 1, Hour: 4}}
		}},
		{routing.CodePerDay, "at limit: 40 today, limit 40", 40, 40, func(_ *routing.Pool, m *routing.Member, c *routing.Candidate) {
			m.Cap.PerDay, c.Load = 40, routing.Load{Tally: routing.Tally{Day: 40}}
		}},
		{routing.CodePerWeek, "at limit: 90 this week, limit 80", 90, 80, func(_ *routing.Pool, m *routing.Member, c *routing.Candidate) {
			m.Cap.PerWeek, c.Load = 80, routing.Load{Tally: routing.Tally{Week: 90}}
		}},
		{routing.CodeReserved, "at limit: 2 open, limit 2, the rest is kept for hot leads", 2, 2, func(_ *routing.Pool, m *routing.Member, c *routing.Candidate) {
			m.Cap.Open, m.Cap.ReserveHot, c.Load, c.Hot = 3, 1, routing.Load{Tally: routing.Tally{Uncontacted: 2}}, false
		}},
		{rep.Able, "", 0, 0, func(_ *routing.Pool, m *routing.Member, c *routing.Candidate) {
			m.Cap.Open, m.Cap.ReserveHot, c.Load = 3, 1, routing.Load{Tally: routing.Tally{Uncontacted: 2}} // and this lead is hot
		}},
		{routing.CodeOffered, "had it before", 0, 0, func(_ *routing.Pool, _ *routing.Member, c *routing.Candidate) { c.Offered = true }},
	}
	for _, c := range cases {
		p, cands := team(routing.Weighted, 1)
		c.change(p, &p.Members[0], &cands[0])
		ok, why := routing.Eligible(p, cands[0], start)
		want := routing.Verdict{Rep: cands[0].Email, Outcome: routing.Skipped, Reason: c.words, Code: c.code, Have: c.have, Limit: c.limit}
		if ok != (c.code == rep.Able) || why != want {
			t.Errorf("eligible %v %+v, want %+v", ok, why, want)
		}
	}
	p, cands := team(routing.Weighted, 1)
	c := cands[0]
	c.Offered, c.Presence = true, rep.Focus
	if ok, why := routing.EligibleInPool(p, c, start); !ok {
		t.Errorf("somebody in focus cannot take from the pool: %+v", why)
	}
	if ok, _ := routing.Eligible(nil, routing.Candidate{Person: routing.Person{Rep: able("x@example.com"), Load: routing.Load{Tally: routing.Tally{Offers: 99}}}}, start); !ok {
		t.Error("somebody who is no member has no caps")
	}
}

func TestAllocate_TheSecondLineIsAskedWhenTheFirstCannot(t *testing.T) {
	t.Parallel()
	p, c := team(routing.Weighted, 1, 1, 1)
	p.Members[2].Overflow = true
	for l := range 10 {
		winner, verdicts := routing.Allocate(p, c, start.Add(time.Duration(l)*time.Second))
		if winner == 2 || verdicts[2].Code != routing.CodeSecondLine {
			t.Fatalf("winner %d, %+v", winner, verdicts[2])
		}
	}
	c[0].Presence, c[1].Presence = rep.Away, rep.Off
	if winner, _ := routing.Allocate(p, c, start); winner != 2 {
		t.Errorf("with nobody in the first line %d was chosen", winner)
	}
}

func TestAllocate_ANewRepsShareRises(t *testing.T) {
	t.Parallel()
	p, c := team(routing.Weighted, 1, 1)
	p.Members[1].Ramp = routing.Ramp{From: start.Truncate(24 * time.Hour), Days: 10}
	for day, want := range map[int]float64{0: 0.1 / 1.1, 5: 0.5 / 1.5, 10: 0.5, 400: 0.5} {
		_, verdicts := routing.Allocate(p, c, start.Truncate(24*time.Hour).AddDate(0, 0, day))
		if math.Abs(verdicts[1].Share-want) > 1e-9 {
			t.Errorf("on day %d a share of %.3f, want %.3f", day, verdicts[1].Share, want)
		}
	}
}

func TestAllocate_ACompanyStaysWithWhoHasIt(t *testing.T) {
	t.Parallel()
	for _, strategy := range []routing.Strategy{routing.Weighted, routing.LeastLoaded, routing.LongestIdle, routing.Fixed} {
		p, c := team(strategy, 1, 1, 1)
		p.Sticky = true
		c[2].SameCompany = true
		winner, verdicts := routing.Allocate(p, c, start)
		if winner != 2 || verdicts[2].Outcome != routing.Chosen || verdicts[2].Reason != "has an open lead of the same company" {
			t.Errorf("%s chose %d: %+v", strategy, winner, verdicts)
		}
		if strategy == routing.Weighted && c[2].Turn.Credit >= 0 {
			t.Errorf("the turn was not paid: %+v", c[2].Turn)
		}
		c[2].Presence = rep.Away
		if winner, _ := routing.Allocate(p, c, start); winner < 0 || winner == 2 {
			t.Errorf("%s: with the holder away %d was chosen", strategy, winner)
		}
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
	if winner, verdicts := routing.Allocate(p, c, start); winner != -1 || verdicts[0].Outcome != routing.Skipped || c[0].Turn.Credit != 0 {
		t.Errorf("winner %d, %+v", winner, verdicts)
	}
}
