package rep

import (
	"fmt"
	"strings"
	"time"
)

// Calendar is a set of holidays. They are days of the wall: each rep who has the calendar has them in their own time zone.
// Immutable.
type Calendar struct {
	Slug string
	days []wallSpan
}

// NewCalendar makes a calendar of holidays as ParseHoliday reads them.
func NewCalendar(slug string, days []Holiday) Calendar {
	c := Calendar{Slug: slug}
	for _, d := range days {
		c.days = append(c.days, d.span)
	}
	return c
}

// Holiday is one free day, or the free part of one.
type Holiday struct {
	span wallSpan
	text string
}

// String is the holiday as it is written.
func (h Holiday) String() string { return h.text }

// dayLayout is how days are written.
const dayLayout = time.DateOnly

// ParseDay reads a day like 2026-12-25.
func ParseDay(text string) (time.Time, error) {
	day, err := time.Parse(dayLayout, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no day; write it like 2026-12-25", text)
	}
	return day, nil
}

// ParseHoliday reads a day like 2026-12-25, or a part of one like "2026-12-24 12:00-24:00".
func ParseHoliday(text string) (Holiday, error) {
	date, times, partly := strings.Cut(strings.TrimSpace(text), " ")
	day, err := ParseDay(date)
	if err != nil {
		return Holiday{}, err
	}
	if !partly {
		return Holiday{wallSpan{day, day.AddDate(0, 0, 1)}, date}, nil
	}
	h, err := ParseHours("Mon "+strings.TrimSpace(times), "UTC") // the weekday only carries the times
	if err != nil || len(h.days[time.Monday]) != 1 || len(h.days[time.Tuesday]) != 0 {
		return Holiday{}, fmt.Errorf("%q is no part of a day; write it like 2026-12-24 12:00-24:00", text)
	}
	part := h.days[time.Monday][0]
	at := func(minute int) time.Time { return day.Add(time.Duration(minute) * time.Minute) }
	written := fmt.Sprintf("%s %02d:%02d-%02d:%02d", date, part.from/60, part.from%60, part.to/60, part.to%60)
	return Holiday{wallSpan{at(part.from), at(part.to)}, written}, nil
}
