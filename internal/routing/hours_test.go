package routing_test

import (
	"testing"
	"time"

	"leadline/internal/rep"
	"leadline/internal/routing"
)

func TestHours_ARuleCountsInItsHoursOnly(t *testing.T) {
	t.Parallel()
	hours := func(spec, zone string) rep.Hours {
		h, err := rep.ParseHours(spec, zone)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	day := routing.Rule{Name: "day", Hours: hours("Mon-Sun 08:00-20:00", "Europe/Berlin"), When: routing.Condition{Country: []string{"DE"}}, Then: routing.Target{Pool: "p0"}}
	night := routing.Rule{Name: "night", Hours: hours("Mon-Sun 20:00-08:00", "Europe/Berlin"), When: routing.Condition{Country: []string{"DE"}}, Then: routing.Target{Pool: "p1"}}
	table, problems := routing.Compile(1, pools("rest", "p0", "p1"), []routing.Rule{catchAll, day, night}, nil, nil)
	if table == nil {
		t.Fatalf("day and night never meet: %v", problems)
	}
	for at, want := range map[string]string{ // on both sides of a change of the clock
		"2026-10-24T17:59:00Z": "day", "2026-10-24T18:00:00Z": "night", "2026-10-26T18:59:00Z": "day", "2026-10-26T19:00:00Z": "night",
	} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := table.Decide(routing.Facts{Form: "demo", Country: "DE"}, now).Rule; got != want {
			t.Errorf("at %s: %s, want %s", at, got, want)
		}
	}
	for name, other := range map[string]rep.Hours{
		"a minute too long":   hours("Mon-Sun 19:59-08:00", "Europe/Berlin"),
		"by another's summer": hours("Mon-Sun 20:00-08:00", "America/New_York"),
	} {
		night.Hours = other
		if table, _ := routing.Compile(1, pools("rest", "p0", "p1"), []routing.Rule{catchAll, day, night}, nil, nil); table != nil {
			t.Errorf("%s: the rules meet, and nobody says so", name)
		}
	}
}
