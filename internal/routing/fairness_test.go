package routing_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"leadline/internal/rep"
	"leadline/internal/routing"
)

// book keeps what is owed and what was received, lead by lead, apart from the allocator's own ledger.
type book struct {
	owed, received  []float64
	waited, longest []float64 // leads that passed somebody who was eligible, weighed by their share: 1 is as long as was to be expected
	gap             float64   // the largest difference there ever was
}

// run sends leads through a pool.
func run(t *testing.T, p *routing.Pool, cands []routing.Candidate, leads int, present func(lead, i int) bool) book {
	t.Helper()
	n := len(cands)
	b := book{make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n), 0}
	for l := range leads {
		total := 0.0
		for i := range cands {
			cands[i].Presence = rep.Away
			if present(l, i) {
				cands[i].Presence = rep.Available
				total += p.Members[i].Weight
			}
		}
		winner, verdicts := routing.Allocate(p, cands, start.Add(time.Duration(l)*time.Second))
		if total == 0 {
			if winner != -1 {
				t.Fatal("somebody who is away got a lead")
			}
			continue
		}
		if winner < 0 || !present(l, winner) {
			t.Fatalf("lead %d went to %d", l, winner)
		}
		b.received[winner]++
		for i := range cands {
			share := 0.0
			if present(l, i) {
				share = p.Members[i].Weight / total
			}
			if math.Abs(verdicts[i].Share-share) > 1e-9 {
				t.Fatalf("lead %d: %s is said to be owed %.3f of it, want %.3f", l, verdicts[i].Rep, verdicts[i].Share, share)
			}
			b.owed[i] += share
			b.waited[i] += share
			if i == winner {
				b.waited[i] = 0
			}
			b.longest[i] = max(b.longest[i], b.waited[i])
			b.gap = max(b.gap, math.Abs(b.owed[i]-b.received[i]))
		}
	}
	return b
}

// patterns of eligibility: who is there when lead l comes.
var patterns = []struct {
	name  string
	bound float64
	here  func(r *rand.Rand, n int) func(l, i int) bool
}{
	{"all are always there", 1, func(*rand.Rand, int) func(l, i int) bool { return func(int, int) bool { return true } }},
	{"each is away half of the time, at random", 2, func(r *rand.Rand, n int) func(l, i int) bool {
		here, at := make([]bool, n), -1
		return func(l, i int) bool {
			if l != at {
				at = l
				for k := range here {
					here[k] = r.IntN(2) == 0
				}
			}
			return here[i]
		}
	}},
	{"shifts that rotate", 2, func(_ *rand.Rand, n int) func(l, i int) bool {
		return func(l, i int) bool { return (i+l/97)%3 != 0 || n < 3 }
	}},
}

func TestAllocate_NobodyIsFarFromWhatTheyAreOwedAtAnyMoment(t *testing.T) {
	t.Parallel()
	worst, wait := 0.0, 0.0
	for _, pattern := range patterns {
		for _, n := range []int{1, 2, 3, 5, 10, 50} {
			for _, equal := range []bool{true, false} {
				r := rand.New(rand.NewPCG(uint64(n), 7))
				weights := randomWeights(r, n)
				if equal {
					for i := range weights {
						weights[i] = 1
					}
				}
				p, cands := team(routing.Weighted, weights...)
				b := run(t, p, cands, 40_000/max(n, 5), pattern.here(r, n))
				if b.gap >= pattern.bound {
					t.Errorf("%s, %d members, weights %v: off by %.2f leads", pattern.name, n, weights, b.gap)
				}
				for i, waited := range b.longest {
					if wait = max(wait, waited); waited > 3 {
						t.Errorf("%s, %d members: %d waited %.1f times as long as was to be expected", pattern.name, n, i, waited)
					}
				}
				worst = max(worst, b.gap)
			}
		}
	}
	t.Logf("worst gap %.2f leads, longest wait %.2f times the expected one", worst, wait)
}

// Within the bounds a credit is the turns and what was added by hand, to the last digit; and never further from the others than they allow.
func TestAllocate_CreditIsTurnsAndWhatWasAddedByHand(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(11, 12))
	for range 50 {
		n := 3 + r.IntN(8)
		p, cands := team(routing.Weighted, randomWeights(r, n)...)
		sums := make([]float64, n)
		for l := range 300 {
			if l%37 == 36 { // seldom enough for turns to level it out
				i := r.IntN(n)
				cands[i].Turn.Credit++
				sums[i]++
			}
			winner, verdicts := routing.Allocate(p, cands, start.Add(time.Duration(l)*time.Second))
			sums[winner]--
			for i, v := range verdicts {
				sums[i] += v.Share
			}
			for i, c := range cands {
				if math.Abs(c.Turn.Credit-sums[i]) > 1e-6 {
					t.Fatalf("%s has %.4f, turns and additions make %.4f", c.Email, c.Turn.Credit, sums[i])
				}
			}
		}
	}
	p, cands := team(routing.Weighted, 1, 1, 1)
	for range 20 {
		cands[0].Turn.Credit += 5
		routing.Allocate(p, cands, start)
		if spread(cands) > 6+1e-9 {
			t.Fatalf("credits are %.2f apart", spread(cands))
		}
	}
}

func spread(cands []routing.Candidate) float64 {
	low, high := math.Inf(1), math.Inf(-1)
	for _, c := range cands {
		low, high = min(low, c.Turn.Credit), max(high, c.Turn.Credit)
	}
	return high - low
}

// away runs a pool for a time with one member away, and gives who gets each of the next leads after the return, and who would have
// got it without the absence.
func away(t *testing.T, reentry routing.Reentry, days, next int) (with, without []int) {
	t.Helper()
	for _, absent := range []bool{true, false} {
		p, cands := team(routing.Weighted, 1, 1, 1, 1)
		p.Reentry = reentry
		at, winners := start, []int(nil)
		step := func(here bool) int {
			cands[2].Presence = rep.Available
			if !here {
				cands[2].Presence = rep.Away
			}
			at = at.Add(10 * time.Minute)
			winner, _ := routing.Allocate(p, cands, at)
			return winner
		}
		for range 402 {
			step(true)
		}
		for range days * 144 {
			step(!absent)
		}
		for range next {
			winners = append(winners, step(true))
		}
		if absent {
			with = winners
		} else {
			without = winners
		}
	}
	return with, without
}

func TestReentry_AMonthAwayMovesNobodysNextTurnByMoreThanOneLead(t *testing.T) {
	t.Parallel()
	for _, policy := range []routing.ReentryPolicy{"", routing.ResumeAtMean, routing.NoCatchUp} {
		with, without := away(t, routing.Reentry{Policy: policy}, 30, 40)
		ahead := make([]int, 4)
		for l := range with {
			ahead[with[l]]++
			ahead[without[l]]--
			if slices.Max(ahead) > 1 || slices.Min(ahead) < -1 {
				t.Errorf("%q: after lead %d the absence has moved %v leads", policy, l, ahead)
			}
		}
	}
}

func TestReentry_CatchUpGivesAtMostSoManyMoreWithinItsTime(t *testing.T) {
	t.Parallel()
	const most, days = 4, 10
	policy := routing.Reentry{Policy: routing.CatchUp, Most: most, Within: days * 24 * time.Hour}
	with, _ := away(t, policy, 30, 40*144)
	for _, c := range []struct{ leads, least, most int }{
		{12, 0, 2},                     // no flood at first
		{5 * 144, 1, most},             // by and by
		{20 * 144, most - 1, most + 1}, // all of it in the end
		{40 * 144, most - 1, most + 1}, // and no more
	} {
		own := 0
		for _, winner := range with[:c.leads] {
			if winner == 2 {
				own++
			}
		}
		if extra := own - (c.leads-own)/3; extra < c.least || extra > c.most {
			t.Errorf("of %d leads %d, %d more than the others", c.leads, own, extra)
		}
	}
}

func TestReentry_NoneKeepsBehindWhoWasBehind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy routing.ReentryPolicy
		credit float64
		want   bool // the returning member is the first in line
	}{
		{routing.NoCatchUp, 0.9, false}, {routing.NoCatchUp, -2, false}, {routing.ResumeAtMean, 0.9, false},
	} {
		p, cands := team(routing.Weighted, 1, 1, 1)
		p.Reentry.Policy = c.policy
		for i := range cands {
			cands[i].Turn = routing.Turn{Joined: true, SeenAt: start, LastAt: start}
		}
		cands[0].Turn.Credit, cands[2].Turn.Credit, cands[2].Turn.SeenAt = 0.1, c.credit, start.AddDate(0, -1, 0)
		winner, _ := routing.Allocate(p, cands, start.Add(time.Minute))
		if (winner == 2) != c.want {
			t.Errorf("%s with credit %.1f: %d is first", c.policy, c.credit, winner)
		}
		if behind := cands[2].Turn.Credit < -1; behind != (c.policy == routing.NoCatchUp && c.credit < 0) {
			t.Errorf("%s with credit %.1f resumed at %.2f", c.policy, c.credit, cands[2].Turn.Credit)
		}
	}
	p, cands := team(routing.Weighted, 1, 1)
	for i := range cands {
		cands[i].Turn = routing.Turn{Joined: true}
	}
	cands[1].Turn.Credit = 2.5 // written by the release before, which noted no last turn
	if routing.Allocate(p, cands, start); cands[1].Turn.Credit != 2 {
		t.Errorf("a credit of before became %.2f", cands[1].Turn.Credit)
	}
}

// Alone, each pool begins its turns with the same person, so that who is first in all of them gets a lead of each.
func TestPlace_PoolsOfAGroupShareTheirTurns(t *testing.T) {
	t.Parallel()
	people := map[string]*routing.Person{}
	var members []routing.Member
	for i := range 4 {
		email := fmt.Sprintf("r%02d@example.com", i)
		members = append(members, routing.Member{Rep: email, Weight: 1})
		people[email] = &routing.Person{Rep: able(email)}
	}
	countries := []string{"DE", "FR", "IT", "ES"}
	for _, group := range []string{"all", ""} {
		var pools []*routing.Pool
		rules := []routing.Rule{{Name: "rest", Band: routing.Default, Then: routing.Target{Pool: "de"}}}
		for _, country := range countries {
			slug := strings.ToLower(country)
			pools = append(pools, &routing.Pool{Slug: slug, Members: members, Group: group})
			rules = append(rules, routing.Rule{Name: slug, Band: routing.Match, When: routing.Condition{Country: []string{country}}, Then: routing.Target{Pool: slug}})
		}
		table, problems := routing.Compile(1, pools, rules, nil, nil)
		if table == nil {
			t.Fatal(problems)
		}
		w := &routing.World{Now: start, People: people}
		got, most := map[string]int{}, 0
		for l := range 400 {
			w.Now = w.Now.Add(time.Second)
			out := routing.Place(table, w, routing.Case{New: true, Facts: routing.Facts{Country: countries[l%4]}})
			got[out.Place.Rep.Email]++
			for _, m := range members {
				most = max(most, got[m.Rep]-(l+1)/4)
			}
		}
		if grouped := group != ""; grouped && most > 1 || !grouped && most < 3 {
			t.Errorf("group %q: somebody was %d leads ahead; in the end %v", group, most, got)
		}
	}
}
