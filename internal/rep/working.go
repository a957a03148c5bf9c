package rep

import "time"

// farthest bounds how far ahead working time is looked for: a timetable that never opens again gives no answer anyway.
const farthest = 60 * 24 * time.Hour

// AllOf are timetables that count as open while each of them is. None is always open.
type AllOf []Hours

// After gives the moment at which d of open time has passed since a moment. Timetables that are always open count every second. Days on
// which the clocks change count what was open in truth.
func (all AllOf) After(from time.Time, d time.Duration) time.Time {
	at, last := from, from.Add(farthest)
	for at.Before(last) {
		open, next, ends := true, last, false
		for _, h := range all {
			if h.Always() {
				continue
			}
			open, ends = open && h.Open(at), true
			if change := h.changes(at); change.Before(next) {
				next = change
			}
		}
		if open {
			if left := next.Sub(at); d <= left || !ends {
				return at.Add(d)
			}
			d -= next.Sub(at)
		}
		at = next
	}
	return at
}

// Length is how much open time lies between two moments.
func (all AllOf) Length(from, to time.Time) (d time.Duration) {
	open := Hours{}.Between(from, to)
	for _, h := range all {
		var both []Interval
		for _, a := range open {
			both = append(both, h.Between(a.From, a.To)...)
		}
		open = both
	}
	for _, part := range open {
		d += part.To.Sub(part.From)
	}
	return d
}

// After is that of one timetable.
func (h Hours) After(from time.Time, d time.Duration) time.Time { return AllOf{h}.After(from, d) }

// changes gives a moment after at until which the timetable stays as it is at that moment: where a part begins or ends, or the next day. Near a
// change of the clocks, where times of the wall are missing or come twice, it goes by minutes.
func (h Hours) changes(at time.Time) time.Time {
	local := at.In(h.Location())
	before, after := local.ZoneBounds()
	if !before.IsZero() && at.Sub(before) < 24*time.Hour || !after.IsZero() && after.Sub(at) < 25*time.Hour {
		return at.Truncate(time.Minute).Add(time.Minute)
	}
	year, month, day := local.Date()
	next := time.Date(year, month, day+1, 0, 0, 0, 0, h.Location())
	sooner := func(t time.Time) {
		if t.After(at) && t.Before(next) {
			next = t
		}
	}
	for _, s := range h.days[local.Weekday()] {
		sooner(time.Date(year, month, day, 0, s.from, 0, 0, h.zone))
		sooner(time.Date(year, month, day, 0, s.to, 0, 0, h.zone))
	}
	for _, s := range h.closed {
		for _, t := range []time.Time{s.from, s.to} {
			sooner(time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, h.Location()))
		}
	}
	return next
}
