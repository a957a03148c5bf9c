package routing

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"leadline/internal/rep"
)

// maxCredit bounds how many turns anybody can be ahead or behind, so that no backlog of turns builds up.
const maxCredit = 3

// sameCredit is how near two credits must be to count as equal: sums of fractions are not exact.
const sameCredit = 1e-9

// Allocate chooses who of a pool gets a lead, and gives each candidate a line for the trace, in the order of cands, which is that of the
// members. winner is an index into cands, or -1: nobody can take it, the pool is closed, or its strategy leaves the choice to its
// members.
//
// With a winner it changes Turn of cands; the caller stores them. It reads nothing but its arguments.
func Allocate(p *Pool, cands []Candidate, now time.Time) (winner int, verdicts []Verdict) {
	verdicts = make([]Verdict, len(cands))
	weights := make([]float64, len(cands)) // zero: not eligible
	limits := make([]int, len(cands))
	line := make([]int, 0, len(cands)) // who is eligible, later in the order of their turns
	closed := !p.Hours.Open(now)
	for i := range cands {
		m := p.memberAt(i, cands[i].Email)
		o := eligible(p, m, cands[i], now)
		if closed {
			o = p.closed(now)
		}
		verdicts[i] = o.verdict(cands[i].Email)
		if o.code != rep.Able {
			continue
		}
		line = append(line, i)
		weights[i], limits[i] = max(m.Weight, 0), m.Cap.Open
		if m.Weight == 0 {
			weights[i] = 1
		}
		weights[i] *= m.Ramp.factor(now)
	}
	line = p.firstLine(cands, line, verdicts)
	if len(line) == 0 {
		return -1, verdicts
	}
	if p.Strategy == Broadcast || p.Strategy == Pull {
		for _, i := range line {
			verdicts[i].Outcome, verdicts[i].Reason = EligibleOnly, "open to the whole pool"
		}
		return -1, verdicts
	}
	share(line, weights)
	switch p.Strategy {
	case LeastLoaded:
		byLoad(cands, line, limits)
	case LongestIdle:
		slices.SortStableFunc(line, func(a, b int) int { return cands[a].Turn.LastAt.Compare(cands[b].Turn.LastAt) })
	case Fixed: // in the order written
	default:
		p.Reentry.resume(cands, line, now)
		byCredit(cands, line, weights)
	}
	held := p.stick(cands, line)
	if p.Strategy == Weighted || p.Strategy == "" {
		pay(cands, line[0])
	}
	explain(p, cands, line, weights, verdicts, now)
	winner = line[0]
	if held {
		verdicts[winner].Reason = "has an open lead of the same company"
	}
	cands[winner].Turn.LastAt = now
	return winner, verdicts
}

// closed says why a pool offers nothing by name at a moment at which it is not open.
func (p *Pool) closed(now time.Time) obstacle {
	if p.Hours.OnHoliday(now) {
		return obstacle{code: CodePoolHoliday, words: "the pool has a holiday"}
	}
	return obstacle{code: CodePoolClosed, words: "the pool is outside its hours"}
}

// memberAt is member for callers who keep candidates in the order of members.
func (p *Pool) memberAt(i int, email string) Member {
	if i < len(p.Members) && p.Members[i].Rep == email {
		return p.Members[i]
	}
	return p.member(email)
}

// firstLine leaves the second line out while anybody of the first can take the lead.
func (p *Pool) firstLine(cands []Candidate, line []int, verdicts []Verdict) []int {
	second := func(i int) bool { return p.memberAt(i, cands[i].Email).Overflow }
	if !slices.ContainsFunc(line, func(i int) bool { return !second(i) }) {
		return line
	}
	return slices.DeleteFunc(line, func(i int) bool {
		if !second(i) {
			return false
		}
		verdicts[i] = obstacle{code: CodeSecondLine, words: "second line: the first can take it"}.verdict(cands[i].Email)
		return true
	})
}

// share turns weights into parts of one turn.
func share(line []int, weights []float64) {
	var total float64
	for _, i := range line {
		total += weights[i]
	}
	for _, i := range line {
		weights[i] /= total
	}
}

// byCredit is the credit allocator, a smooth weighted rotation over those who are eligible now: each of them gains their share
// of one turn, and the highest credit is first in line. Those who are not eligible neither gain nor lose.
func byCredit(cands []Candidate, line []int, shares []float64) {
	for _, i := range line {
		cands[i].Turn.Credit += shares[i]
	}
	slices.SortStableFunc(line, func(a, b int) int {
		if d := cands[b].Turn.Credit - cands[a].Turn.Credit; math.Abs(d) > sameCredit {
			return cmp.Compare(d, 0)
		}
		return cands[a].Turn.LastAt.Compare(cands[b].Turn.LastAt)
	})
}

// pay takes one turn off the credit of who got it, and keeps everybody within maxCredit of the mean. The mean may wander: credits that
// were given by hand are nobody's loss, and only differences count.
func pay(cands []Candidate, winner int) {
	cands[winner].Turn.Credit--
	var sum float64
	n := 0
	for _, c := range cands {
		if c.Turn.Joined {
			sum += c.Turn.Credit
			n++
		}
	}
	mean := sum / float64(n)
	for i := range cands {
		if t := &cands[i].Turn; t.Joined {
			t.Credit = min(max(t.Credit, mean-maxCredit), mean+maxCredit)
		}
	}
}

// stick puts first whoever has an open lead of the same company, if the pool wants that. The turn is theirs all the same: they pay it.
func (p *Pool) stick(cands []Candidate, line []int) bool {
	if !p.Sticky {
		return false
	}
	at := slices.IndexFunc(line, func(i int) bool { return cands[i].SameCompany })
	if at < 0 {
		return false
	}
	holder := line[at]
	copy(line[1:at+1], line[:at])
	line[0] = holder
	return true
}

// byLoad puts first who has the fewest open leads, as a part of their limit when everybody has one; then who waited longest.
func byLoad(cands []Candidate, line, limits []int) {
	limited := !slices.ContainsFunc(line, func(i int) bool { return limits[i] == 0 })
	load := func(i int) float64 {
		if limited {
			return float64(cands[i].Load.Open()) / float64(limits[i])
		}
		return float64(cands[i].Load.Open())
	}
	slices.SortStableFunc(line, func(a, b int) int {
		if d := cmp.Compare(load(a), load(b)); d != 0 {
			return d
		}
		return cands[a].Turn.LastAt.Compare(cands[b].Turn.LastAt)
	})
}

// explain writes the verdicts of those in line; the first is the winner.
func explain(p *Pool, cands []Candidate, line []int, shares []float64, verdicts []Verdict, now time.Time) {
	for place, i := range line {
		v := &verdicts[i]
		v.Outcome, v.Share = EligibleOnly, shares[i]
		if place == 0 {
			v.Outcome = Chosen
		}
		switch p.Strategy {
		case LeastLoaded:
			v.Reason = fmt.Sprintf("%s with %d open", ordinal(place, "least busy"), cands[i].Load.Open())
		case LongestIdle:
			v.Reason = fmt.Sprintf("%s, %s", ordinal(place, "waited longest"), lastLead(cands[i].Turn.LastAt, now))
		case Fixed:
			v.Reason = ordinal(place, "first in the pool's order")
		default:
			v.Reason = fmt.Sprintf("%s, %s, aim %.0f%%", ordinal(place, "next in turn"), lastLead(cands[i].Turn.LastAt, now), 100*shares[i])
		}
	}
}

// ordinal is a place in line in words; first is what it means to be the first.
func ordinal(place int, first string) string {
	if place == 0 {
		return first
	}
	n := place + 1
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprintf("%d%s in line", n, suffix)
}

// lastLead says how long ago somebody last got a lead from the pool.
func lastLead(at, now time.Time) string {
	ago := now.Sub(at)
	switch {
	case at.IsZero():
		return "no lead from this pool yet"
	case ago < time.Minute:
		return "last lead just now"
	case ago < time.Hour:
		return fmt.Sprintf("last lead %d min ago", int(ago.Minutes()))
	case ago < 48*time.Hour:
		return fmt.Sprintf("last lead %d h ago", int(ago.Hours()))
	default:
		return fmt.Sprintf("last lead %d days ago", int(ago.Hours()/24))
	}
}
