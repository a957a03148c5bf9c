package rep

import (
	"slices"
	"time"
)

// Interval is a part of time. To is exclusive.
type Interval struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// wallSpan is a part of time as clocks on a wall show it: moments of UTC that stand for what is read there.
type wallSpan struct{ from, to time.Time }

// moments are the parts of a window in which clocks of a zone show something within one of the spans: sorted, apart from each other,
// in UTC.
//
// The window is cut where the zone's clocks change. Between two changes wall time runs like any other, so a span is moved by the
// offset; an hour that is skipped falls out by itself, and one that comes twice is found twice.
func moments(zone *time.Location, window Interval, spans []wallSpan) []Interval {
	var found []Interval
	for at := window.From; at.Before(window.To); {
		local := at.In(zone)
		_, seconds := local.Zone()
		offset := time.Duration(seconds) * time.Second
		part := Interval{at, window.To}
		if _, change := local.ZoneBounds(); !change.IsZero() && change.Before(part.To) {
			part.To = change.UTC()
		}
		for _, s := range spans {
			if i := overlap(part, Interval{s.from.Add(-offset), s.to.Add(-offset)}); i.From.Before(i.To) {
				found = append(found, i)
			}
		}
		at = part.To
	}
	return joined(found)
}

// overlap is what two intervals have in common; it ends before it starts where that is nothing.
func overlap(a, b Interval) Interval {
	if b.From.After(a.From) {
		a.From = b.From
	}
	if b.To.Before(a.To) {
		a.To = b.To
	}
	return a
}

// joined sorts intervals and makes one of those that touch.
func joined(all []Interval) []Interval {
	slices.SortFunc(all, func(a, b Interval) int { return a.From.Compare(b.From) })
	var out []Interval
	for _, i := range all {
		if n := len(out); n > 0 && !i.From.After(out[n-1].To) {
			if i.To.After(out[n-1].To) {
				out[n-1].To = i.To
			}
			continue
		}
		out = append(out, i)
	}
	return out
}

// wall is what clocks of a zone show at a moment, as a moment of UTC.
func wall(at time.Time, zone *time.Location) time.Time {
	local := at.In(zone)
	_, seconds := local.Zone()
	return local.UTC().Add(time.Duration(seconds) * time.Second)
}

// Between gives the parts of a window in which the timetable is open: sorted, apart from each other, in UTC.
func (h Hours) Between(from, to time.Time) []Interval {
	window := Interval{from.UTC(), to.UTC()}
	if !window.From.Before(window.To) {
		return nil
	}
	if h.Always() {
		return []Interval{window}
	}
	// A day more on both sides: the clock may be set over midnight at the edge.
	first, last := wall(from, h.Location()).AddDate(0, 0, -1).Truncate(24*time.Hour), wall(to, h.Location()).AddDate(0, 0, 1)
	var spans []wallSpan
	for day := first; day.Before(last); day = day.AddDate(0, 0, 1) {
		parts := h.days[day.Weekday()]
		if h.spec == "" {
			parts = []span{{0, dayMinutes}}
		}
		for _, s := range parts {
			spans = append(spans, wallSpan{day.Add(time.Duration(s.from) * time.Minute), day.Add(time.Duration(s.to) * time.Minute)})
		}
	}
	return Less(moments(h.Location(), window, spans), moments(h.Location(), window, h.closed))
}

// Less are the parts of some intervals that are in none of others.
func Less(parts, others []Interval) []Interval {
	for _, o := range others {
		var left []Interval
		for _, i := range parts {
			if !o.From.Before(i.To) || !i.From.Before(o.To) {
				left = append(left, i)
				continue
			}
			if i.From.Before(o.From) {
				left = append(left, Interval{i.From, o.From})
			}
			if o.To.Before(i.To) {
				left = append(left, Interval{o.To, i.To})
			}
		}
		parts = left
	}
	return parts
}
