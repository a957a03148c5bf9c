package routing

import (
	"time"

	"leadline/internal/rep"
)

// Due gives the moment at which a goal for a lead that was accepted at a moment is over, on the pool's calendar. who is the rep in whose hands the
// lead is, or to whom it is offered; nil: nobody yet, and then the pool's hours stand in for the rep's.
func (p *Pool) Due(accepted time.Time, goal time.Duration, who *rep.Rep) time.Time {
	switch p.Calendar {
	case NoCalendar:
		return accepted.Add(goal)
	case RepHours:
		if who != nil {
			if due, ok := who.WorkAfter(accepted, goal); ok {
				return due
			}
		}
	}
	return p.Hours.After(accepted, goal)
}
