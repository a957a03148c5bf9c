package routing

import (
	"slices"
	"time"

	"leadline/internal/rep"
)

// ClockKind names one of the clocks of a lead. Kinds are permanent: rows, events, metrics and the API carry them.
type ClockKind string

// The clocks. The first two run while nobody has the lead, the others while somebody does.
const (
	ClockSystem  ClockKind = "system"        // from the lead being stored until a screen has shown it
	ClockAccept  ClockKind = "accept"        // from the lead being stored, or taken back, until somebody takes it
	ClockAttempt ClockKind = "first_attempt" // from somebody taking it until they first try to reach the person
	ClockContact ClockKind = "contact"       // from somebody taking it until both have spoken
)

// ClockKinds lists every clock, in the order in which they end.
var ClockKinds = []ClockKind{ClockSystem, ClockAccept, ClockAttempt, ClockContact}

// Held tells the clocks that run while a rep has the lead.
func (k ClockKind) Held() bool { return k == ClockAttempt || k == ClockContact }

// Act says what follows when a clock has used up its time.
type Act string

// What may follow.
const (
	ActReassign Act = "reassign" // the lead goes to somebody else, if anybody else can take it
	ActEscalate Act = "escalate" // it goes to the manager of the pool, and an alarm opens
	ActNone     Act = "none"     // it is counted and told, and the lead stays where it is
)

// Acts lists every one, the default first.
var Acts = []Act{ActReassign, ActEscalate, ActNone}

// SLA is how much time a pool's leads may take, by clock. Zero is no clock. Calendar and the goal that consoles count down to are
// of the pool itself.
type SLA struct {
	System  time.Duration
	Accept  time.Duration
	Attempt time.Duration
	Contact time.Duration
	Calling string // hours in which the law lets people be called, in the lead's own time zone; empty: always
	Act     Act
}

// withDefaults fills in what was left out.
func (s SLA) withDefaults() SLA {
	if s.Act == "" {
		s.Act = ActReassign
	}
	return s
}

// Target is the time of one clock; zero: it does not run.
func (s SLA) Target(kind ClockKind) time.Duration {
	switch kind {
	case ClockSystem:
		return s.System
	case ClockAccept:
		return s.Accept
	case ClockAttempt:
		return s.Attempt
	case ClockContact:
		return s.Contact
	}
	return 0
}

// Runs tells whether the pool has any clock.
func (s SLA) Runs() bool {
	return slices.ContainsFunc(ClockKinds, func(k ClockKind) bool { return s.Target(k) > 0 })
}

// Clock is one clock of a lead: so much of its time was used before Since, from when on it runs.
type Clock struct {
	Target time.Duration
	Used   time.Duration
	Since  time.Time // may be to come; zero: it stands until somebody lets it run again
}

// Steps are the moments at which something is due; all zero while the clock stands.
type Steps struct {
	Warn     time.Time // half of the time is used
	Act      time.Time // all of it
	Escalate time.Time // one and a half times as much
}

// ClockHours are the hours in which one clock of the pool's leads runs. who is the rep who has the lead; nil: nobody, and then the pool's
// hours stand in for the rep's. zone is the lead's own: calls that the law
// forbids there are not waited for. Where it is not known, the pool's stands in.
func (p *Pool) ClockHours(kind ClockKind, who *rep.Rep, zone string) rep.AllOf {
	hours := rep.AllOf{p.calendar(who)}
	if !kind.Held() || p.SLA.Calling == "" {
		return hours
	}
	for _, tz := range []string{zone, p.Hours.Location().String()} {
		calling, err := rep.Rep{Hours: p.SLA.Calling, Timezone: tz}.Timetable()
		if tz != "" && err == nil {
			return append(hours, calling)
		}
	}
	return hours
}

// Steps works out when a clock's steps are due if it runs in some hours.
func (c Clock) Steps(hours rep.AllOf) Steps {
	if c.Since.IsZero() {
		return Steps{}
	}
	after := func(share time.Duration) time.Time { return hours.After(c.Since, max(0, share-c.Used)) }
	return Steps{Warn: after(c.Target / 2), Act: after(c.Target), Escalate: after(c.Target + c.Target/2)}
}

// Pause stops a clock that runs in some hours at a moment, and lets it run again at another; zero: when somebody says so. Pausing what is
// paused already changes until when.
func (c Clock) Pause(at, until time.Time, hours rep.AllOf) Clock {
	if !c.Since.IsZero() && c.Since.Before(at) {
		c.Used += hours.Length(c.Since, at)
	}
	c.Since = until
	return c
}

// Resume lets a paused clock run from a moment on. One that runs goes on as it is.
func (c Clock) Resume(at time.Time) Clock {
	if c.Since.IsZero() || c.Since.After(at) {
		c.Since = at
	}
	return c
}
