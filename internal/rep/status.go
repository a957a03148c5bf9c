package rep

import "time"

// Code says why somebody cannot take a lead. Codes are permanent: they stand in traces and in answers to programs. The words beside
// them are for people and may change.
type Code string

// The codes that follow from a rep alone; routing has those that follow from a pool.
const (
	Able        Code = ""            // can
	Deactivated Code = "deactivated" // the person takes no leads any more
	NotStarted  Code = "not_started" // before the first day
	Ended       Code = "ended"       // after the last day
	Paused      Code = "paused"      // an absence of kind pause
	OnLeave     Code = "leave"       // an absence of kind leave
	OnHoliday   Code = "holiday"     // a day, or part of one, of a calendar of theirs
	OutOfHours  Code = "hours"       // outside working hours
	NotPresent  Code = "presence"    // presence does not let offers come
	Unreachable Code = "unreachable" // no console is open
	Unknown     Code = "unknown_rep" // nobody has this address
)

// Status tells whether somebody works at a moment, by hours, dates, absences and holidays; presence has no part in it.
type Status struct {
	Code  Code      `json:"code,omitempty"`
	Until time.Time `json:"until,omitzero"` // when this changes by itself; zero: not within the time that was looked at
}

// Working tells whether nothing stands in the way.
func (s Status) Working() bool { return s.Code == Able }

// Absent tells whether somebody is kept away by more than the hours of the week and holidays: even a last resort is then left alone.
func (s Status) Absent() bool {
	switch s.Code {
	case NotStarted, Ended, Paused, OnLeave:
		return true
	}
	return false
}

// words say a code to people.
var words = map[Code]string{
	Deactivated: "deactivated", NotStarted: "before their first day", Ended: "after their last day", Paused: "paused",
	OnLeave: "on leave", OnHoliday: "on holiday", OutOfHours: "outside working hours",
}

// Words is the status for people; empty when somebody works.
func (s Status) Words() string { return words[s.Code] }
