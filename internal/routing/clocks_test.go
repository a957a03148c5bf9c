package routing_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"leadline/internal/rep"
	"leadline/internal/routing"
)

// changeDays are days on which clocks change in some of the zones below, and one on which they do not.
var changeDays = []string{"2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01", "2026-07-01"}

// calendars are pools of every calendar, in zones whose clocks change on different days.
func calendars(t *testing.T) (pools []*routing.Pool, who *rep.Rep) {
	t.Helper()
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"} {
		for _, spec := range []string{"Mon-Fri 09:00-17:30", "Mon-Sun 00:00-24:00", "Sat 22:00-06:00, Sun 01:30-03:15"} {
			hours, err := rep.ParseHours(spec, zone)
			if err != nil {
				t.Fatal(err)
			}
			for _, calendar := range []routing.Calendar{routing.PoolHours, routing.RepHours, routing.NoCalendar} {
				for _, calling := range []string{"", "Mon-Sat 08:00-20:00"} {
					if calling == "" || !strings.HasPrefix(spec, "Sat") { // at night nobody may be called
						pools = append(pools, &routing.Pool{Hours: hours, Calendar: calendar, SLA: routing.SLA{Calling: calling}})
					}
				}
			}
		}
	}
	return pools, &rep.Rep{Hours: "Mon-Fri 06:00-14:00, Sun 01:00-04:00", Timezone: "Europe/Berlin"}
}

// leadZone is where the lead is, which is not where anybody works.
const leadZone = "America/Sao_Paulo"

// worked is how much of a clock's time passes between two moments, minute by minute: the plainest way to say it.
func worked(p *routing.Pool, who *rep.Rep, from, to time.Time) (d time.Duration) {
	open := p.Hours.Open
	switch p.Calendar {
	case routing.NoCalendar:
		open = func(time.Time) bool { return true }
	case routing.RepHours:
		open = who.InHours
	}
	calling, err := rep.ParseHours(p.SLA.Calling, leadZone)
	if err != nil {
		panic(err)
	}
	for at := from; at.Before(to); at = at.Add(time.Minute) {
		if open(at) && calling.Open(at) {
			d += time.Minute
		}
	}
	return d
}

func TestClock_StepsAreDueAfterTheirShareOfWorkingTimeWhateverItsPauses(t *testing.T) {
	t.Parallel()
	pools, who := calendars(t)
	random := rand.New(rand.NewPCG(7, 7))
	minutes := func(least, most int) time.Duration { return time.Duration(least+random.IntN(most-least)) * time.Minute }
	for range 400 {
		p := pools[random.IntN(len(pools))]
		day, _ := time.Parse(time.DateOnly, changeDays[random.IntN(len(changeDays))])
		start := day.Add(minutes(-36*60, 36*60))
		c, hours := routing.Clock{Target: 2 * minutes(1, 3*60), Since: start}, p.ClockHours(routing.ClockContact, who, leadZone)
		// Some pauses, one after the other, before the clock is over: with an end, or until somebody resumes it.
		type stretch struct{ from, to time.Time }
		runs, at := []stretch{}, start
		for range random.IntN(4) {
			stop := at.Add(minutes(1, 12*60))
			if !c.Steps(hours).Act.After(stop) {
				break
			}
			again := stop.Add(minutes(1, 20*60))
			runs = append(runs, stretch{at, stop})
			if random.IntN(2) == 0 {
				c = c.Pause(stop, again, hours)
			} else {
				c = c.Pause(stop, time.Time{}, hours)
				if s := c.Steps(hours); s != (routing.Steps{}) {
					t.Fatalf("a clock that stands has steps: %+v", s)
				}
				c = c.Resume(again)
			}
			at = again
		}
		steps := c.Steps(hours)
		if !steps.Warn.Before(steps.Act.Add(time.Nanosecond)) || !steps.Act.Before(steps.Escalate) {
			t.Fatalf("steps are out of order: %+v", steps)
		}
		passed := func(until time.Time) (d time.Duration) {
			for _, r := range append(runs, stretch{at, until}) {
				d += worked(p, who, r.from, r.to)
			}
			return d
		}
		for due, share := range map[time.Time]time.Duration{steps.Act: c.Target, steps.Escalate: c.Target + c.Target/2} {
			if got := passed(due); got != share {
				t.Errorf("%s in %s from %v: due %v, after %v of %v", p.Calendar, p.Hours, start, due.UTC(), got, share)
			}
		}
		if got := passed(steps.Warn); steps.Warn.After(at) && got != max(c.Target/2, c.Used) {
			t.Errorf("%s in %s from %v: warns %v, after %v of %v", p.Calendar, p.Hours, start, steps.Warn.UTC(), got, c.Target/2)
		}
	}
}

func TestClock_PausingTwiceChangesOnlyTheEnd(t *testing.T) {
	t.Parallel()
	pools, who := calendars(t)
	at := time.Date(2026, 10, 23, 9, 30, 0, 0, time.UTC)
	for _, p := range pools {
		c, hours := routing.Clock{Target: 3 * time.Hour, Since: at}, p.ClockHours(routing.ClockAttempt, who, leadZone)
		once := c.Pause(at.Add(40*time.Minute), at.Add(72*time.Hour), hours)
		twice := c.Pause(at.Add(40*time.Minute), time.Time{}, hours).Pause(at.Add(50*time.Minute), at.Add(72*time.Hour), hours)
		again := c.Pause(at.Add(40*time.Minute), at.Add(time.Hour), hours).Pause(at.Add(50*time.Minute), at.Add(72*time.Hour), hours)
		if once != twice || once != again {
			t.Errorf("%s in %s: %+v, %+v and %+v", p.Calendar, p.Hours, once, twice, again)
		}
		if c.Resume(at.Add(time.Minute)) != c {
			t.Error("resuming a clock that runs changes it")
		}
	}
}

func TestClock_QuietHoursAreTheLeadsOwnAndHoldForCallsAlone(t *testing.T) {
	t.Parallel()
	p := &routing.Pool{Calendar: routing.NoCalendar, SLA: routing.SLA{Calling: "Mon-Sun 08:00-20:00"}}
	at := time.Date(2026, 11, 26, 20, 30, 0, 0, time.UTC)
	for _, c := range []struct {
		kind routing.ClockKind
		zone string
		due  time.Time
	}{
		{routing.ClockAccept, "Europe/Berlin", at.Add(time.Hour)},
		{routing.ClockAttempt, "America/New_York", at.Add(time.Hour)},
		{routing.ClockAttempt, "Europe/Berlin", time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)}, // 21:30 there: at nine next morning
		{routing.ClockContact, "", time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)},              // the pool's, which is UTC
		{routing.ClockContact, "Mars/Olympus", time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)},
	} {
		if got := (routing.Clock{Target: time.Hour, Since: at}).Steps(p.ClockHours(c.kind, nil, c.zone)).Act; !got.Equal(c.due) {
			t.Errorf("%s in %q is due %v, want %v", c.kind, c.zone, got, c.due)
		}
	}
}
