package routing

import (
	"math"
	"slices"
)

// SettleBids says who of several who claimed at once gets a lead: whose turn it is by credit, then who waited longest, then the order of
// the pool. When each of them claimed plays no part. Like a turn among those who bid, each gains their share and the winner pays one: who
// bids and loses is nearer to winning the next. bidders are e-mail addresses; those who are no members come last. w's turns change.
//
// It reads nothing but its arguments. bidders must not be empty.
func SettleBids(p *Pool, w *World, bidders []string) (winner string) {
	turns := w.Turns[p.Slug]
	var line []int
	var total, mean float64
	for i, m := range p.Members {
		if i < len(turns) && slices.Contains(bidders, m.Rep) {
			line = append(line, i)
			total += max(m.Weight, 0)
		}
	}
	if len(line) == 0 || total == 0 {
		return slices.Min(bidders)
	}
	known := 0
	for _, i := range line {
		if turns[i].Joined {
			mean, known = mean+turns[i].Credit, known+1
		}
	}
	mean /= float64(max(known, 1))
	for _, i := range line {
		if !turns[i].Joined {
			turns[i].Credit, turns[i].Joined = mean, true
		}
		turns[i].Credit += max(p.Members[i].Weight, 0) / total
	}
	first := slices.MinFunc(line, func(a, b int) int {
		if d := turns[b].Credit - turns[a].Credit; math.Abs(d) > sameCredit {
			return int(math.Copysign(1, d))
		}
		return turns[a].LastAt.Compare(turns[b].LastAt)
	})
	turns[first].Credit--
	turns[first].LastAt = w.Now
	for _, i := range line {
		turns[i].Credit = min(max(turns[i].Credit, -maxCredit), maxCredit)
	}
	return p.Members[first].Rep
}
