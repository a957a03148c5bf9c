package rep

import "time"

// farthest bounds how far ahead working time is looked for: a timetable that never opens again gives no answer anyway.
const farthest = 60 * 24 * time.Hour

// After gives the moment at which d of open time has passed since a moment. A timetable that is always open counts every second. Days on
// which the clocks change count what was open in truth.
func (h Hours) After(from time.Time, d time.Duration) time.Time {
	if h.Always() {
		return from.Add(d)
	}
	at, last := from, from.Add(farthest)
	for at.Before(last) {
		next := h.changes(at)
		if h.Open(at) {
			if left := next.Sub(at); d <= left {
				return at.Add(d)
			}
			d -= next.Sub(at)
		}
		at = next
	}
	return at
}

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

// Length is how much open time lies between two moments.
func (h Hours) Length(from, to time.Time) (d time.Duration) {
	for _, part := range h.Between(from, to) {
		d += part.To.Sub(part.From)
	}
	return d
}
