package routing

import "slices"

// SettleBids says who of several who claimed at once gets a lead: whose turn it is by credit, then who waited longest, then the order of
// the pool. When each of them claimed plays no part. Like a turn among those who bid, each gains their share and the winner pays one: who
// bids and loses is nearer to winning the next. bidders are e-mail addresses; those who are no members come last. w's turns change.
//
// It reads nothing but its arguments. bidders must not be empty.
func SettleBids(p *Pool, w *World, bidders []string) (winner string) {
	cands := w.candidates(p, anyLead)
	var line []int
	weights := make([]float64, len(cands))
	for i, m := range p.Members {
		if weight := max(m.Weight, 0) * m.Ramp.factor(w.Now); weight > 0 && slices.Contains(bidders, m.Rep) {
			line = append(line, i)
			weights[i] = weight
		}
	}
	if len(line) == 0 {
		return slices.Min(bidders)
	}
	share(line, weights)
	p.Reentry.resume(cands, line, w.Now)
	byCredit(cands, line, weights)
	pay(cands, line[0])
	cands[line[0]].Turn.LastAt = w.Now
	w.keep(p, cands)
	return p.Members[line[0]].Rep
}
