package rep_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"leadline/internal/rep"
)

func TestHours_OpenByTheClockOnTheWall(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, spec, tz, at string
		open               bool
	}{
		{"nothing given is always open", "", "Europe/Berlin", "2026-11-22T03:00:00Z", true},
		{"opens on the minute", "Mon-Fri 09:00-17:30", "Europe/Berlin", "2026-11-23T08:00:00Z", true},
		{"closed a second before", "Mon-Fri 09:00-17:30", "Europe/Berlin", "2026-11-23T07:59:59Z", false},
		{"closes on the minute", "Mon-Fri 09:00-17:30", "Europe/Berlin", "2026-11-23T16:30:00Z", false},
		{"09:00 is an hour earlier in UTC in summer", "Mon-Fri 09:00-17:30", "Europe/Berlin", "2026-07-20T07:00:00Z", true},
		{"closed on Sunday", "Mon-Fri 09:00-17:30", "Europe/Berlin", "2026-11-22T10:00:00Z", false},
		{"the weekday is that of the zone", "Mon 00:00-24:00", "Asia/Tokyo", "2026-11-22T15:00:00Z", true},
		{"last minute of a whole day", "Mon-Sun 00:00-24:00", "UTC", "2026-11-22T23:59:59Z", true},
		{"several parts", "Mon-Thu 09:00-17:00, Fri 09:00-15:00", "UTC", "2026-11-27T15:30:00Z", false},
		{"several parts with semicolon and lunch", "mon-fri 9:00-12:00; mon-fri 13:00-17:00", "UTC", "2026-11-23T12:30:00Z", false},
		{"days that wrap over the weekend", "Sat-Mon 10:00-11:00", "UTC", "2026-11-22T10:30:00Z", true},
		{"over midnight, before", "Fri 22:00-06:00", "UTC", "2026-11-27T23:00:00Z", true},
		{"over midnight, after", "Fri 22:00-06:00", "UTC", "2026-11-28T05:59:00Z", true},
		{"over midnight, not the day before", "Fri 22:00-06:00", "UTC", "2026-11-27T05:00:00Z", false},
		{"over midnight ends the week", "Sun 22:00-02:00", "UTC", "2026-11-23T01:00:00Z", true},
		{"the night the clocks go forward has no 02:30", "Sun 02:00-03:00", "Europe/Berlin", "2026-03-29T01:00:00Z", false},
		{"the night the clocks go back has 02:30 twice, first", "Sun 02:00-03:00", "Europe/Berlin", "2026-10-25T00:30:00Z", true},
		{"the night the clocks go back has 02:30 twice, second", "Sun 02:00-03:00", "Europe/Berlin", "2026-10-25T01:30:00Z", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, err := rep.ParseHours(c.spec, c.tz)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, c.at)
			if err != nil {
				t.Fatal(err)
			}
			if got := h.Open(at); got != c.open {
				t.Errorf("%q in %s at %s: open %v, want %v", c.spec, c.tz, c.at, got, c.open)
			}
			again, err := rep.ParseHours(h.String(), c.tz)
			if err != nil || again.String() != h.String() {
				t.Errorf("%q does not read back: %q, %v", h, again, err)
			}
		})
	}
}

// A timetable less holidays is open at the minutes at which the timetable is and no clock on the wall shows a holiday; the three ways to ask
// agree, on the days on which clocks change too.
func TestHours_WithoutHolidaysAgreesWithTheClockOnTheWall(t *testing.T) {
	t.Parallel()
	var days []rep.Holiday
	free := map[string][2]string{}
	for _, text := range []string{"2026-03-29", "2026-10-25 01:30-02:30", "2026-11-01", "2026-04-05 22:00-24:00", "2026-04-06", "2026-10-04 00:00-02:15"} {
		day, err := rep.ParseHoliday(text)
		if err != nil {
			t.Fatal(err)
		}
		days = append(days, day)
		date, part, _ := strings.Cut(text, " ")
		from, to, partly := strings.Cut(part, "-")
		if !partly {
			from, to = "00:00", "24:00"
		}
		free[date] = [2]string{from, to}
	}
	calendar := []rep.Calendar{rep.NewCalendar("c", days)}
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe"} {
		place, err := rep.Zone(zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range []string{"", "Mon-Sun 01:00-03:00", "Sat-Sun 22:00-06:00"} {
			whole, err := rep.ParseHours(spec, zone)
			if err != nil {
				t.Fatal(err)
			}
			less := whole.Without(calendar, zone)
			if less.Always() || less.String() != spec {
				t.Errorf("%q less holidays: always %v, written %q", spec, less.Always(), less)
			}
			for _, day := range []string{"2026-03-28", "2026-10-24", "2026-10-31", "2026-04-04", "2026-10-03"} {
				from, err := time.ParseInLocation(time.DateOnly, day, place)
				if err != nil {
					t.Fatal(err)
				}
				to, open := from.AddDate(0, 0, 3), time.Duration(0)
				parts := less.Between(from, to)
				for at := from; at.Before(to); at = at.Add(5 * time.Minute) {
					local := at.In(place)
					part, clock := free[local.Format(time.DateOnly)], local.Format("15:04")
					want := whole.Open(at) && (part[0] == "" || clock < part[0] || clock >= part[1])
					if less.Open(at) != want {
						t.Fatalf("%q in %s at %s: open %v", spec, zone, local, !want)
					}
					in := slices.ContainsFunc(parts, func(i rep.Interval) bool { return !at.Before(i.From) && at.Before(i.To) })
					if in != want {
						t.Fatalf("%q in %s at %s: between says %v", spec, zone, local, in)
					}
					if want {
						open += 5 * time.Minute
						if got := less.After(from, open); !got.Equal(at.Add(5 * time.Minute)) {
							t.Fatalf("%q in %s: %s after %s is %s, want %s", spec, zone, open, from, got.In(place), local.Add(5*time.Minute))
						}
					}
				}
			}
		}
	}
}

func TestParseHours_RefusesWhatItCannotMean(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{"always", "Mon", "Mon 9-17", "Mon 09:00-09:00", "Mon 25:00-26:00", "Mon 09:60-10:00", "Mon 24:00-06:00", "Mon 09:00-24:30", "Mo-Fr 09:00-17:00", ","} {
		if h, err := rep.ParseHours(spec, "UTC"); err == nil {
			t.Errorf("%q was read as %q", spec, h)
		}
	}
	for _, tz := range []string{"Berlin", "Local", "../etc/passwd", "Mars/Base"} {
		if _, err := rep.ParseHours("Mon 09:00-17:00", tz); err == nil {
			t.Errorf("zone %q was accepted", tz)
		}
	}
}

func TestRep_ReachableByConsoleOnlyWhileItAnswers(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	seen, lost := now.Add(-9*time.Second), now.Add(-10*time.Second)
	for _, c := range []struct {
		name string
		rep  rep.Rep
		want bool
	}{
		{"no console yet", rep.Rep{PresenceBy: rep.ByConsole}, false},
		{"answered 9 s ago", rep.Rep{PresenceBy: rep.ByConsole, ReachableAt: &seen}, true},
		{"answered 10 s ago", rep.Rep{PresenceBy: rep.ByConsole, ReachableAt: &lost}, false},
		{"set by a program", rep.Rep{PresenceBy: rep.ByAPI}, true},
	} {
		if got := c.rep.Reachable(now); got != c.want {
			t.Errorf("%s: reachable %v", c.name, got)
		}
	}
}
