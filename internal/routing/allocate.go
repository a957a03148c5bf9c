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

// Eligible tells whether a lead may be offered to one rep by name, and if not, why, in words for that rep and for ops. Caps are
// those of the rep's membership in the pool; somebody who is no member has none. p may be nil.
func Eligible(p *Pool, c Candidate, now time.Time) (ok bool, reason string) {
	return eligible(p.member(c.Rep.Email), c, now)
}

// EligibleInPool is Eligible for leads that are open to a whole pool: somebody in focus may take those, and one offered to
// them before is no obstacle.
func EligibleInPool(p *Pool, c Candidate, now time.Time) (ok bool, reason string) {
	c.Offered = false
	if c.Rep.TakesFromPool() {
		c.Rep.Presence = rep.Available
	}
	return Eligible(p, c, now)
}

// member finds a rep's place in the pool; the zero Member when there is none.
func (p *Pool) member(email string) Member {
	if p == nil {
		return Member{}
	}
	if i := slices.IndexFunc(p.Members, func(m Member) bool { return m.Rep == email }); i >= 0 {
		return p.Members[i]
	}
	return Member{}
}

func eligible(m Member, c Candidate, now time.Time) (bool, string) {
	switch {
	case !c.Rep.Active:
		return false, "deactivated"
	case !c.Rep.TakesOffers():
		return false, presenceReason(c)
	case !c.Rep.InHours(now):
		return false, "outside working hours"
	case !c.Rep.Reachable(now):
		return false, "no console open"
	case m.CapOpen > 0 && c.Open >= m.CapOpen:
		return false, fmt.Sprintf("at limit: %d open, limit %d", c.Open, m.CapOpen)
	case m.CapPerDay > 0 && c.Today >= m.CapPerDay:
		return false, fmt.Sprintf("at limit: %d today, limit %d", c.Today, m.CapPerDay)
	case c.Offered:
		return false, "had it before"
	}
	return true, ""
}

func presenceReason(c Candidate) string {
	word := map[rep.Presence]string{rep.Focus: "in focus: pool only", rep.Away: "away", rep.Off: "off"}[c.Rep.Presence]
	if word == "" {
		word = "not available"
	}
	if c.Rep.PresenceReason != "" {
		return word + ": " + c.Rep.PresenceReason
	}
	return word
}

// Allocate chooses who of a pool gets a lead, and gives each candidate a line for the trace, in the order of cands. winner is
// an index into cands, or -1: nobody can take it, the pool is closed, or its strategy leaves the choice to its members.
//
// With a winner it changes Credit and LastAt of cands; the caller stores both. It reads nothing but its arguments.
func Allocate(p *Pool, cands []Candidate, now time.Time) (winner int, verdicts []Verdict) {
	verdicts = make([]Verdict, len(cands))
	weights := make([]float64, len(cands)) // zero: not eligible
	limits := make([]int, len(cands))
	line := make([]int, 0, len(cands)) // who is eligible, later in the order of their turns
	closed := !p.Hours.Open(now)
	for i := range cands {
		m := p.memberAt(i, cands[i].Rep.Email)
		ok, reason := eligible(m, cands[i], now)
		if closed {
			ok, reason = false, "the pool is outside its hours"
		}
		verdicts[i] = Verdict{Rep: cands[i].Rep.Email, Outcome: Skipped, Reason: reason}
		if ok {
			line = append(line, i)
			weights[i], limits[i] = max(m.Weight, 0), m.CapOpen
			if m.Weight == 0 {
				weights[i] = 1
			}
		}
	}
	if len(line) == 0 {
		return -1, verdicts
	}
	if p.Strategy == Broadcast || p.Strategy == Pull {
		for _, i := range line {
			verdicts[i].Outcome, verdicts[i].Reason = EligibleOnly, "open to the whole pool"
		}
		return -1, verdicts
	}
	switch p.Strategy {
	case LeastLoaded:
		byLoad(cands, line, limits)
	case LongestIdle:
		slices.SortStableFunc(line, func(a, b int) int { return cands[a].LastAt.Compare(cands[b].LastAt) })
	case Fixed: // in the order written
	default:
		byCredit(cands, line, weights)
	}
	explain(p, cands, line, weights, verdicts, now)
	winner = line[0]
	cands[winner].LastAt = now
	return winner, verdicts
}

// memberAt is member for callers who keep candidates in the order of members.
func (p *Pool) memberAt(i int, email string) Member {
	if i < len(p.Members) && p.Members[i].Rep == email {
		return p.Members[i]
	}
	return p.member(email)
}

// byCredit is the credit allocator, a smooth weighted rotation over those who are eligible now: each of them gains their share
// of one turn, the highest credit is first in line and pays one turn. Those who are not eligible neither gain nor lose.
func byCredit(cands []Candidate, line []int, weights []float64) {
	var total float64
	for _, i := range line {
		total += weights[i]
	}
	settleJoiners(cands, line)
	for _, i := range line {
		cands[i].Credit += weights[i] / total
	}
	slices.SortStableFunc(line, func(a, b int) int {
		if d := cands[b].Credit - cands[a].Credit; math.Abs(d) > sameCredit {
			return cmp.Compare(d, 0)
		}
		return cands[a].LastAt.Compare(cands[b].LastAt)
	})
	cands[line[0]].Credit--
	for _, i := range line {
		cands[i].Credit = min(max(cands[i].Credit, -maxCredit), maxCredit)
	}
}

// settleJoiners gives those who are new to the pool the mean credit of the others, so that joining is no advantage.
func settleJoiners(cands []Candidate, line []int) {
	var sum float64
	known := 0
	for _, i := range line {
		if !math.IsNaN(cands[i].Credit) {
			sum += cands[i].Credit
			known++
		}
	}
	mean := sum / float64(max(known, 1))
	for _, i := range line {
		if math.IsNaN(cands[i].Credit) {
			cands[i].Credit = mean
		}
	}
}

// byLoad puts first who has the fewest open leads, as a part of their limit when everybody has one; then who waited longest.
func byLoad(cands []Candidate, line, limits []int) {
	limited := !slices.ContainsFunc(line, func(i int) bool { return limits[i] == 0 })
	load := func(i int) float64 {
		if limited {
			return float64(cands[i].Open) / float64(limits[i])
		}
		return float64(cands[i].Open)
	}
	slices.SortStableFunc(line, func(a, b int) int {
		if d := cmp.Compare(load(a), load(b)); d != 0 {
			return d
		}
		return cands[a].LastAt.Compare(cands[b].LastAt)
	})
}

// explain writes the verdicts of those in line; the first is the winner.
func explain(p *Pool, cands []Candidate, line []int, weights []float64, verdicts []Verdict, now time.Time) {
	var total float64
	for _, i := range line {
		total += weights[i]
	}
	for place, i := range line {
		v := &verdicts[i]
		v.Outcome = EligibleOnly
		if place == 0 {
			v.Outcome = Chosen
		}
		switch p.Strategy {
		case LeastLoaded:
			v.Reason = fmt.Sprintf("%s with %d open", ordinal(place, "least busy"), cands[i].Open)
		case LongestIdle:
			v.Reason = fmt.Sprintf("%s, %s", ordinal(place, "waited longest"), lastLead(cands[i].LastAt, now))
		case Fixed:
			v.Reason = ordinal(place, "first in the pool's order")
		default:
			v.Reason = fmt.Sprintf("%s, %s, aim %.0f%%", ordinal(place, "next in turn"), lastLead(cands[i].LastAt, now), 100*weights[i]/total)
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
