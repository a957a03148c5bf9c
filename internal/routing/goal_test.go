package routing_test

import (
	"testing"
	"time"

	"leadline/internal/rep"
	"leadline/internal/routing"
)

func TestPool_AGoalRunsOnThePoolsCalendar(t *testing.T) {
	t.Parallel()
	hours, err := rep.ParseHours("Mon-Fri 09:00-17:00", "Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	early := &rep.Rep{Hours: "Mon-Fri 06:00-14:00", Timezone: "Europe/Berlin"}
	friday := time.Date(2026, 10, 23, 14, 59, 0, 0, time.UTC) // 16:59 there; the clocks change on the Sunday
	for _, c := range []struct {
		name     string
		calendar routing.Calendar
		who      *rep.Rep
		want     time.Time
	}{
		{"the hours of the pool", routing.PoolHours, early, time.Date(2026, 10, 26, 8, 1, 0, 0, time.UTC)},
		{"the hours of the rep", routing.RepHours, early, time.Date(2026, 10, 26, 5, 2, 0, 0, time.UTC)},
		{"the hours of the pool while nobody has it", routing.RepHours, nil, time.Date(2026, 10, 26, 8, 1, 0, 0, time.UTC)},
		{"the hours of the pool when the rep's cannot be read", routing.RepHours, &rep.Rep{Hours: "now and then"}, time.Date(2026, 10, 26, 8, 1, 0, 0, time.UTC)},
		{"no calendar", routing.NoCalendar, early, friday.Add(2 * time.Minute)},
	} {
		p := &routing.Pool{Hours: hours, Calendar: c.calendar}
		if got := p.Due(friday, 2*time.Minute, c.who); !got.Equal(c.want) {
			t.Errorf("%s: due %v, want %v", c.name, got.UTC(), c.want)
		}
	}
}
