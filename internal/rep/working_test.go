package rep_test

import (
	"testing"
	"time"

	"leadline/internal/rep"
)

// minuteByMinute is After in the plainest way.
func minuteByMinute(h rep.Hours, from time.Time, d time.Duration) time.Time {
	for at := from; ; at = at.Add(time.Minute) {
		if !h.Open(at) {
			continue
		}
		if d -= time.Minute; d <= 0 {
			return at.Add(time.Minute + d)
		}
	}
}

func TestHours_AfterCountsOpenTimeAloneAlsoWhenTheClocksChange(t *testing.T) {
	t.Parallel()
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo"}
	specs := []string{"Mon-Fri 09:00-17:30", "Mon-Sun 02:15-02:45", "Sat 22:00-06:00", "Mon-Sun 01:00-03:00, Wed 10:05-10:06"}
	for _, zone := range zones {
		for _, spec := range specs {
			h, err := rep.ParseHours(spec, zone)
			if err != nil {
				t.Fatal(err)
			}
			for _, day := range []string{"2026-03-28", "2026-03-08", "2026-10-24", "2026-11-01", "2026-04-04", "2026-10-03", "2026-07-03"} {
				start, _ := time.Parse(time.DateOnly, day)
				for hour := 0; hour < 48; hour += 5 {
					from := start.Add(time.Duration(hour)*time.Hour + 7*time.Minute)
					for _, d := range []time.Duration{2 * time.Minute, 3 * time.Hour} {
						if got, want := h.After(from, d), minuteByMinute(h, from, d); !got.Equal(want) {
							t.Errorf("%s in %s: %v after %v is %v, want %v", spec, zone, d, from, got.UTC(), want.UTC())
						}
					}
				}
			}
		}
	}
}

func TestHours_AfterOfATimetableThatIsAlwaysOpenIsTheClock(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	if got := (rep.Hours{}).After(from, time.Hour); !got.Equal(from.Add(time.Hour)) {
		t.Errorf("got %v", got)
	}
}
