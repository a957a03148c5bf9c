package rep_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/rep"
)

// model judges one moment by what clocks on the wall show then. It shares nothing with the roster but the words of the configuration.
type model struct {
	zone           *time.Location
	from, to       string // "09:00"
	days           []time.Weekday
	startsOn, ends string
	holidays       map[string][2]string // date -> free from, to
	absences       []rep.Absence
}

func (m model) at(at time.Time) rep.Code {
	local := at.In(m.zone)
	date, clock := local.Format(time.DateOnly), local.Format("15:04")
	if m.startsOn != "" && date < m.startsOn {
		return rep.NotStarted
	}
	if m.ends != "" && date > m.ends {
		return rep.Ended
	}
	for _, kind := range []string{rep.Pause, rep.Leave} {
		for _, a := range m.absences {
			if a.Kind == kind && !at.Before(a.From) && (a.Until.IsZero() || at.Before(a.Until)) {
				return map[string]rep.Code{rep.Pause: rep.Paused, rep.Leave: rep.OnLeave}[kind]
			}
		}
	}
	if h, ok := m.holidays[date]; ok && h[0] <= clock && clock < h[1] {
		return rep.OnHoliday
	}
	for _, d := range m.days {
		today, before := local.Weekday(), (local.Weekday()+6)%7
		switch {
		case m.from < m.to && d == today && m.from <= clock && clock < m.to,
			m.from > m.to && d == today && m.from <= clock,
			m.from > m.to && d == before && clock < m.to:
			return rep.Able
		}
	}
	return rep.OutOfHours
}

// changes are days around which clocks are set, or not, in zones with rules of every kind: forward, back, by half an hour, in the south,
// at midnight, never.
var changes = map[string][]string{
	"Europe/Berlin":       {"2026-03-29", "2026-10-25"},
	"America/New_York":    {"2026-03-08", "2026-11-01"},
	"Australia/Lord_Howe": {"2026-04-05", "2026-10-04"},
	"Australia/Sydney":    {"2026-04-05", "2026-10-04"},
	"Asia/Kathmandu":      {"2026-03-29", "2026-10-25"},
	"America/Sao_Paulo":   {"2018-02-18", "2018-11-04", "2026-11-01"},
}

func TestRoster_AgreesWithTheClockOnTheWallAtEveryMoment(t *testing.T) {
	t.Parallel()
	for zone, days := range changes {
		for _, day := range days {
			t.Run(zone+" "+day, func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(uint64(len(zone)), uint64(days[0][6])))
				around, err := time.Parse(time.DateOnly, day)
				if err != nil {
					t.Fatal(err)
				}
				for range 4 {
					agree(t, r, zone, around)
				}
			})
		}
	}
}

func agree(t *testing.T, r *rand.Rand, zone string, around time.Time) {
	t.Helper()
	m, p, calendar := somebody(t, r, zone, around)
	roster := rep.BuildRoster([]rep.Rep{p}, m.absences, []rep.Calendar{calendar}, around.AddDate(0, 0, -1))
	started := around.AddDate(0, 0, -2)
	var worked time.Duration
	for at := started; at.Before(started.AddDate(0, 0, 5)); at = at.Add(5 * time.Minute) {
		got, want := roster.At(p, at), m.at(at)
		if got.Code != want {
			t.Fatalf("%s %+v at %s (%s): %q, want %q", zone, p, at, at.In(m.zone), got.Code, want)
		}
		if want == rep.Able {
			worked += 5 * time.Minute
		}
		if got.Until.IsZero() {
			continue
		}
		if !got.Until.After(at) || m.at(got.Until.Add(-time.Nanosecond)) != want || m.at(got.Until) == want {
			t.Fatalf("%s %+v: %q at %s is said to last until %s (%s)", zone, p, want, at, got.Until, got.Until.In(m.zone))
		}
		if at.Minute() != 0 {
			continue
		}
		if beyond := roster.At(p, at.AddDate(1, 0, 0)); beyond.Code != m.at(at.AddDate(1, 0, 0)) {
			t.Fatalf("%s %+v: beyond the roster's days %q", zone, p, beyond.Code)
		}
	}
	var told time.Duration
	for _, i := range roster.Working(p, started, started.AddDate(0, 0, 5)) {
		told += i.To.Sub(i.From)
	}
	if told != worked {
		t.Fatalf("%s %+v: works %s of 5 days, want %s", zone, p, told, worked)
	}
}

// somebody makes a person, and what a model of them looks at. Times are on five minutes, so that a step of five misses nothing.
func somebody(t *testing.T, r *rand.Rand, zone string, around time.Time) (model, rep.Rep, rep.Calendar) {
	t.Helper()
	place, err := rep.Zone(zone)
	if err != nil {
		t.Fatal(err)
	}
	clock := func() string { return fmt.Sprintf("%02d:%02d", r.IntN(24), 5*r.IntN(12)) }
	m := model{zone: place, from: clock(), to: clock(), holidays: map[string][2]string{}}
	for m.to == m.from {
		m.to = clock()
	}
	var spec []string
	for d := time.Sunday; d <= time.Saturday; d++ {
		if r.IntN(4) > 0 || len(m.days) == 0 {
			m.days = append(m.days, d)
			spec = append(spec, fmt.Sprintf("%s %s-%s", d.String()[:3], m.from, m.to))
		}
	}
	p := rep.Rep{ID: uuid.New(), Email: "mia@example.com", Active: true, Timezone: zone, Hours: strings.Join(spec, ", ")}
	date := func(days int) string { return around.AddDate(0, 0, days).Format(time.DateOnly) }
	if r.IntN(3) == 0 {
		m.startsOn = date(r.IntN(3) - 2)
	}
	if r.IntN(3) == 0 {
		m.ends = date(r.IntN(3))
	}
	var free []rep.Holiday
	for range r.IntN(3) {
		text, part := date(r.IntN(4)-1), [2]string{"00:00", "24:00"}
		if _, taken := m.holidays[text]; taken {
			continue
		}
		m.holidays[text] = part
		if r.IntN(2) == 0 {
			m.holidays[text] = [2]string{"00:00", "03:00"}
			text += " 00:00-03:00"
		}
		h, err := rep.ParseHoliday(text)
		if err != nil || h.String() != text {
			t.Fatalf("holiday %q reads back as %q: %v", text, h, err)
		}
		free = append(free, h)
	}
	for range r.IntN(4) {
		a := rep.Absence{RepID: p.ID, Kind: []string{rep.Leave, rep.Pause}[r.IntN(2)], From: around.Add(time.Duration(r.IntN(1000)-300) * 5 * time.Minute)}
		if r.IntN(4) > 0 {
			a.Until = a.From.Add(time.Duration(1+r.IntN(200)) * 5 * time.Minute)
		}
		m.absences = append(m.absences, a)
	}
	p.StartsOn, p.EndsOn, p.Calendars = m.startsOn, m.ends, "other here"
	return m, p, rep.NewCalendar("here", free)
}

func TestRoster_APersonWhoWasChangedIsWorkedOutAnew(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	p := rep.Rep{ID: uuid.New(), Active: true, Hours: "Mon-Fri 09:00-17:00"}
	roster := rep.BuildRoster([]rep.Rep{p}, []rep.Absence{{RepID: p.ID, Kind: rep.Leave, From: noon, Until: noon.Add(time.Hour)}}, nil, noon)
	if s := roster.At(p, noon); s.Code != rep.OnLeave || !s.Until.Equal(noon.Add(time.Hour)) {
		t.Errorf("on leave: %+v", s)
	}
	if s := roster.At(p, noon.Add(time.Hour)); !s.Working() || !s.Until.Equal(noon.Add(5*time.Hour)) {
		t.Errorf("back from leave: %+v", s)
	}
	p.Hours = "Mon-Fri 14:00-17:00"
	if s := roster.At(p, noon.Add(time.Hour)); s.Code != rep.OutOfHours {
		t.Errorf("with other hours: %+v", s)
	}
	if s := roster.At(p, noon); s.Code != rep.OnLeave {
		t.Errorf("other hours made the leave forgotten: %+v", s)
	}
	p.Active = false
	if s := roster.At(p, noon); s.Code != rep.Deactivated {
		t.Errorf("deactivated: %+v", s)
	}
	var none *rep.Roster
	if s := none.At(rep.Rep{Active: true}, noon); !s.Working() {
		t.Errorf("no roster and no hours: %+v", s)
	}
	if s := none.At(rep.Rep{Active: true, Hours: "after lunch"}, noon); s.Code != rep.OutOfHours {
		t.Errorf("hours that cannot be read: %+v", s)
	}
}

func BenchmarkRoster(b *testing.B) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	people := make([]rep.Rep, 1000)
	for i := range people {
		people[i] = rep.Rep{ID: uuid.New(), Active: true, Hours: "Mon-Thu 09:00-12:00, Mon-Thu 13:00-17:30, Fri 09:00-15:00", Timezone: "Europe/Berlin"}
	}
	b.Run("build for 1000 people", func(b *testing.B) {
		for b.Loop() {
			rep.BuildRoster(people, nil, nil, noon)
		}
	})
	roster := rep.BuildRoster(people, nil, nil, noon)
	b.Run("ask", func(b *testing.B) {
		for b.Loop() {
			roster.At(people[500], noon)
		}
	})
}
