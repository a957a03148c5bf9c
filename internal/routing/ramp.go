package routing

import "time"

// Ramp lets somebody's weight rise from a tenth to the whole over some days, so that a new rep is not flooded. The zero Ramp is none.
type Ramp struct {
	From time.Time // midnight of the first day, UTC
	Days int
}

// leastOfRamp is where a ramp begins.
const leastOfRamp = 0.1

// factor is what a weight is multiplied with at a moment.
func (r Ramp) factor(now time.Time) float64 {
	if r.Days == 0 {
		return 1
	}
	passed := now.Sub(r.From).Hours() / 24 / float64(r.Days)
	return min(max(passed, leastOfRamp), 1)
}
