package rep

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// RosterDays is how far ahead a Roster knows who works. What is asked beyond is worked out when it is asked.
const RosterDays = 14

// The kinds of absences.
const (
	Leave = "leave"
	Pause = "pause" // somebody is kept out of turns for a while, whatever the reason
)

// Absence is a time in which somebody takes no leads, to the minute.
type Absence struct {
	ID    uuid.UUID
	RepID uuid.UUID
	Kind  string // Leave or Pause
	From  time.Time
	Until time.Time // exclusive; zero: until it is taken back
}

// Roster is who works when, worked out ahead from hours, time zones, first and last days, absences and holidays. Presence is not in
// it: that changes by the second. It is immutable and shared; a new one is built when anything changes, and as days pass.
type Roster struct {
	window    Interval
	people    map[uuid.UUID]planned
	absences  map[uuid.UUID][]Absence
	calendars map[string]Calendar
}

// plan is everything about a rep that a timeline follows from, absences and calendars apart.
type plan struct {
	hours, timezone, startsOn, endsOn, calendars string
}

type planned struct {
	plan     plan
	timeline []stretch
}

// stretch is a time in which nothing changes. It ends where the next one begins.
type stretch struct {
	from time.Time
	code Code
}

// BuildRoster works out who works when, from the day before a moment on.
func BuildRoster(people []Rep, absences []Absence, calendars []Calendar, now time.Time) *Roster {
	start := now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
	r := &Roster{
		window: Interval{start, start.AddDate(0, 0, RosterDays+1)}, people: make(map[uuid.UUID]planned, len(people)),
		absences: map[uuid.UUID][]Absence{}, calendars: map[string]Calendar{},
	}
	for _, a := range absences {
		r.absences[a.RepID] = append(r.absences[a.RepID], a)
	}
	for _, c := range calendars {
		r.calendars[c.Slug] = c
	}
	for _, p := range people {
		r.people[p.ID] = planned{p.plan(), r.timeline(p, r.window)}
	}
	return r
}

func (r Rep) plan() plan {
	return plan{r.Hours, r.Timezone, r.StartsOn, r.EndsOn, r.Calendars}
}

// Stale tells whether days have passed since the roster was built, so that it no longer looks far enough ahead.
func (r *Roster) Stale(now time.Time) bool {
	return r == nil || now.Before(r.window.From) || now.Sub(r.window.From) >= 48*time.Hour
}

// At tells whether somebody works at a moment. A nil Roster knows of no absences and holidays. Somebody whose hours are not those that
// the roster was built from is worked out anew, so that a change of a person holds at once.
func (r *Roster) At(p Rep, at time.Time) Status {
	if !p.Active {
		return Status{Code: Deactivated}
	}
	line := r.around(p, at)
	after, _ := slices.BinarySearchFunc(line, at, func(s stretch, at time.Time) int {
		if s.from.After(at) {
			return 1
		}
		return -1
	})
	s := Status{Code: line[after-1].code}
	if after < len(line) {
		s.Until = line[after].from
	}
	return s
}

// around is somebody's timeline with a moment in it.
func (r *Roster) around(p Rep, at time.Time) []stretch {
	if r == nil {
		r = &Roster{}
	}
	known, ok := r.people[p.ID]
	if ok && known.plan == p.plan() && !at.Before(r.window.From) && at.Before(r.window.To) {
		return known.timeline
	}
	return r.timeline(p, Interval{at, at.AddDate(0, 0, RosterDays)})
}

// Working gives the parts of a time in which somebody works: sorted, apart from each other, in UTC.
func (r *Roster) Working(p Rep, from, to time.Time) []Interval {
	if r == nil {
		r = &Roster{}
	}
	if !p.Active || !from.Before(to) {
		return nil
	}
	line := r.timeline(p, Interval{from, to})
	var out []Interval
	for i, s := range line {
		if s.code != Able {
			continue
		}
		end := to
		if i+1 < len(line) {
			end = line[i+1].from
		}
		out = append(out, Interval{s.from.UTC(), end.UTC()})
	}
	return out
}

// timeline says for every moment of a window whether somebody works and why not. What a person would be told first wins: dates of
// employment, a pause, leave, a holiday, hours. Hours or a zone that cannot be read count as closed: no lead is offered on a guess.
func (r *Roster) timeline(p Rep, window Interval) []stretch {
	hours, err := p.Timetable()
	if err != nil {
		return []stretch{{window.From, OutOfHours}}
	}
	zone, err := Zone(p.Timezone)
	if err != nil {
		return []stretch{{window.From, OutOfHours}}
	}
	cuts := []time.Time{window.From}
	cut := func(parts []Interval) []Interval {
		for _, i := range parts {
			cuts = append(cuts, i.From, i.To)
		}
		return parts
	}
	open := cut(hours.Between(window.From, window.To))
	early, late := datesOf(p)
	before, after := cut(moments(zone, window, early)), cut(moments(zone, window, late))
	holidays := cut(moments(zone, window, r.holidays(p)))
	leave, pause := r.away(p, window)
	cut(leave)
	cut(pause)

	slices.SortFunc(cuts, time.Time.Compare)
	var line []stretch
	for _, at := range cuts {
		if at.Before(window.From) || !at.Before(window.To) {
			continue
		}
		code := Able
		switch {
		case within(before, at):
			code = NotStarted
		case within(after, at):
			code = Ended
		case within(pause, at):
			code = Paused
		case within(leave, at):
			code = OnLeave
		case within(holidays, at):
			code = OnHoliday
		case !within(open, at):
			code = OutOfHours
		}
		if n := len(line); n == 0 || line[n-1].code != code {
			line = append(line, stretch{at, code})
		}
	}
	return line
}

// within tells whether one of some sorted intervals holds a moment.
func within(parts []Interval, at time.Time) bool {
	after, _ := slices.BinarySearchFunc(parts, at, func(i Interval, at time.Time) int {
		if i.From.After(at) {
			return 1
		}
		return -1
	})
	return after > 0 && at.Before(parts[after-1].To)
}

// The ends of time as far as rosters are concerned.
var (
	longAgo  = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	someTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
)

// datesOf are the days before somebody's first and after their last. A date that cannot be read keeps them out.
func datesOf(p Rep) (early, late []wallSpan) {
	if p.StartsOn != "" {
		first, err := ParseDay(p.StartsOn)
		if err != nil {
			first = someTime
		}
		early = []wallSpan{{longAgo, first}}
	}
	if p.EndsOn != "" {
		last, err := ParseDay(p.EndsOn)
		if err != nil {
			last = longAgo
		}
		late = []wallSpan{{last.AddDate(0, 0, 1), someTime}}
	}
	return early, late
}

func (r *Roster) holidays(p Rep) []wallSpan {
	var all []wallSpan
	for slug := range strings.FieldsSeq(p.Calendars) {
		all = append(all, r.calendars[slug].days...)
	}
	return all
}

// away are somebody's absences by kind, as far as they lie in a window.
func (r *Roster) away(p Rep, window Interval) (leave, pause []Interval) {
	for _, a := range r.absences[p.ID] {
		until := a.Until
		if until.IsZero() {
			until = someTime
		}
		i := overlap(window, Interval{a.From, until})
		switch {
		case !i.From.Before(i.To):
		case a.Kind == Pause:
			pause = append(pause, i)
		default:
			leave = append(leave, i)
		}
	}
	return joined(leave), joined(pause)
}
