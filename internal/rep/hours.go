package rep

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // zones must resolve on machines without a zone database, such as minimal containers
)

// Hours is a weekly timetable in one time zone, less holidays. The zero Hours is always open.
//
// Times are wall-clock times of the zone, so that 09:00 stays 09:00 when the clocks change. Values are immutable.
type Hours struct {
	spec   string // empty: around the clock
	zone   *time.Location
	days   [7][]span  // by time.Weekday
	closed []wallSpan // holidays
}

// span is a part of one day, in minutes since midnight; to is exclusive.
type span struct{ from, to int }

const dayMinutes = 24 * 60

var (
	weekdays = []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}
	hoursRE  = regexp.MustCompile(`^(?i:(sun|mon|tue|wed|thu|fri|sat))(?:\s*-\s*(?i:(sun|mon|tue|wed|thu|fri|sat)))?\s+(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})$`)
)

// ParseHours reads a timetable such as "Mon-Thu 09:00-17:30, Fri 09:00-15:00" in an IANA time zone.
//
// Parts are separated by commas or semicolons. A part that ends before it starts runs over midnight: "Fri 22:00-06:00" ends on
// Saturday. "Mon-Sun 00:00-24:00" and an empty spec mean always. An empty zone is UTC.
func ParseHours(spec, tz string) (Hours, error) {
	zone, err := Zone(tz)
	if err != nil {
		return Hours{}, err
	}
	if strings.TrimSpace(spec) == "" {
		return Hours{}, nil
	}
	h := Hours{zone: zone}
	var parts []string
	for part := range strings.FieldsFuncSeq(spec, func(r rune) bool { return r == ',' || r == ';' }) {
		written, err := h.add(strings.TrimSpace(part))
		if err != nil {
			return Hours{}, err
		}
		parts = append(parts, written)
	}
	if len(parts) == 0 {
		return Hours{}, fmt.Errorf("hours %q name no days", spec)
	}
	h.spec = strings.Join(parts, ", ")
	return h, nil
}

// add puts one part such as "Mon-Fri 09:00-17:30" into the timetable and returns it as it should be written.
func (h *Hours) add(part string) (string, error) {
	m := hoursRE.FindStringSubmatch(part)
	if m == nil {
		return "", fmt.Errorf("hours %q are not understood; write them like \"Mon-Fri 09:00-17:30\"", part)
	}
	first := weekday(m[1])
	last := first
	if m[2] != "" {
		last = weekday(m[2])
	}
	from, err := minutes(m[3], m[4])
	if err != nil || from == dayMinutes {
		return "", fmt.Errorf("hours %q: %s:%s is no time of day", part, m[3], m[4])
	}
	to, err := minutes(m[5], m[6])
	if err != nil {
		return "", fmt.Errorf("hours %q: %s:%s is no time of day", part, m[5], m[6])
	}
	if from == to {
		return "", fmt.Errorf("hours %q end when they start; for the whole day write 00:00-24:00", part)
	}
	for day := first; ; day = (day + 1) % 7 {
		if from < to {
			h.days[day] = append(h.days[day], span{from, to})
		} else {
			next := (day + 1) % 7
			h.days[day] = append(h.days[day], span{from, dayMinutes})
			h.days[next] = append(h.days[next], span{0, to})
		}
		if day == last {
			break
		}
	}
	days := weekdays[first]
	if m[2] != "" {
		days += "-" + weekdays[last]
	}
	return fmt.Sprintf("%s %02d:%02d-%02d:%02d", days, from/60, from%60, to/60, to%60), nil
}

func weekday(name string) int {
	return slices.IndexFunc(weekdays, func(d string) bool { return strings.EqualFold(d, name) })
}

func minutes(hour, minute string) (int, error) {
	h, err := strconv.Atoi(hour)
	if err != nil {
		return 0, fmt.Errorf("read hour: %w", err)
	}
	m, err := strconv.Atoi(minute)
	if err != nil {
		return 0, fmt.Errorf("read minute: %w", err)
	}
	if m > 59 || h*60+m > dayMinutes {
		return 0, fmt.Errorf("%s:%s is no time of day", hour, minute)
	}
	return h*60 + m, nil
}

// Always tells whether the timetable never closes because none was given.
func (h Hours) Always() bool { return h.spec == "" && len(h.closed) == 0 }

// Without is the timetable less the holidays of calendars, which are days of a time zone. A timetable that is given for a zone keeps its own.
func (h Hours) Without(calendars []Calendar, tz string) Hours {
	if h.zone == nil {
		if zone, err := Zone(tz); err == nil {
			h.zone = zone
		}
	}
	h.closed = nil
	for _, c := range calendars {
		h.closed = append(h.closed, c.days...)
	}
	return h
}

// OnHoliday tells whether a moment is within one of the timetable's holidays.
func (h Hours) OnHoliday(at time.Time) bool {
	if len(h.closed) == 0 {
		return false
	}
	shown := wall(at, h.Location())
	return slices.ContainsFunc(h.closed, func(s wallSpan) bool { return !shown.Before(s.from) && shown.Before(s.to) })
}

// String is the timetable as it is written in the configuration; empty: always.
func (h Hours) String() string { return h.spec }

// Location is the time zone of the timetable; UTC for the zero Hours.
func (h Hours) Location() *time.Location {
	if h.zone == nil {
		return time.UTC
	}
	return h.zone
}

// Open tells whether the timetable is open at a moment.
func (h Hours) Open(at time.Time) bool {
	switch {
	case h.OnHoliday(at):
		return false
	case h.spec == "":
		return true
	}
	local := at.In(h.zone)
	minute := local.Hour()*60 + local.Minute()
	for _, s := range h.days[local.Weekday()] {
		if s.from <= minute && minute < s.to {
			return true
		}
	}
	return false
}

// zones and timetables keep what was parsed: loading a zone reads a file, and eligibility is asked at every offer. Both hold one
// entry per distinct text in the configuration.
var (
	zones      sync.Map // name -> *time.Location
	timetables sync.Map // timetable -> Hours
)

type timetable struct{ spec, tz string }

// Zone is the IANA time zone of a name; an empty name is UTC. "Local" is refused: it depends on the machine.
func Zone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	if zone, ok := zones.Load(name); ok {
		return zone.(*time.Location), nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("there is no time zone %q; use a name like Europe/Berlin", name)
	}
	zones.Store(name, zone)
	return zone, nil
}

// Timetable reads the rep's own working hours. An error says that they cannot be read, as when a newer version wrote them.
func (r Rep) Timetable() (Hours, error) {
	if r.Hours == "" {
		return Hours{}, nil
	}
	key := timetable{r.Hours, r.Timezone}
	if h, ok := timetables.Load(key); ok {
		return h.(Hours), nil
	}
	h, err := ParseHours(r.Hours, r.Timezone)
	if err != nil {
		return Hours{}, err
	}
	timetables.Store(key, h)
	return h, nil
}

// InHours tells whether the rep's own timetable is open at a moment: without dates, absences and holidays, which Roster.At
// knows of. Hours that cannot be read (written by a newer version) count as closed.
func (r Rep) InHours(at time.Time) bool {
	h, err := r.Timetable()
	return err == nil && h.Open(at)
}

// Reachable tells whether an offer would reach the rep now: presence was set by the API, or a console of the rep answered
// within AwayAfter.
func (r Rep) Reachable(now time.Time) bool {
	if r.PresenceBy == ByAPI {
		return true
	}
	return r.ReachableAt != nil && now.Sub(*r.ReachableAt) < AwayAfter
}

// TakesOffers tells whether the rep's presence lets leads be offered to them by name.
func (r Rep) TakesOffers() bool { return r.Presence == Available }

// TakesFromPool tells whether the rep's presence lets them take leads that are open to a whole pool.
func (r Rep) TakesFromPool() bool { return r.Presence == Available || r.Presence == Focus }

// HasTag tells whether the rep has a tag.
func (r Rep) HasTag(tag string) bool {
	for has := range strings.FieldsSeq(r.Tags) {
		if has == tag {
			return true
		}
	}
	return false
}
