package routing

import (
	"time"

	"leadline/internal/rep"
)

// Due gives the moment at which a goal for a lead that was accepted at a moment is over, on the pool's calendar. who is the rep in whose hands the
// lead is, or to whom it is offered; nil: nobody yet, and then the pool's hours stand in for the rep's.
func (p *Pool) Due(accepted time.Time, goal time.Duration, who *rep.Rep) time.Time {
	return p.calendar(who).After(accepted, goal)
}

// calendar gives the hours in which the pool's clocks run.
func (p *Pool) calendar(who *rep.Rep) rep.Hours {
	switch p.Calendar {
	case NoCalendar:
		return rep.Hours{}
	case RepHours:
		if who != nil {
			if own, err := who.Timetable(); err == nil {
				return own
			}
		}
	}
	return p.Hours
}
