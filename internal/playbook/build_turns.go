package playbook

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"leadline/internal/fault"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

// calendars are sets of holidays. Their days are written in order, each once.
func (b *builder) calendars() {
	names := b.names("calendars", "slug")
	for i := range b.doc.Calendars {
		d := &b.doc.Calendars[i]
		path := names.add(i, d.Slug)
		var days []rep.Holiday
		for j, text := range d.Days {
			day, err := rep.ParseHoliday(text)
			if err != nil {
				b.fail(fmt.Sprintf("%s.days[%d]", path, j), "day", "", "calendar %q: %v", d.Slug, err)
				continue
			}
			days = append(days, day)
		}
		slices.SortFunc(days, func(x, y rep.Holiday) int { return strings.Compare(x.String(), y.String()) })
		days = slices.Compact(days)
		d.Days = nil
		for _, day := range days {
			d.Days = append(d.Days, day.String())
		}
		b.cfg.Calendars = append(b.cfg.Calendars, rep.NewCalendar(d.Slug, days))
	}
}

// terms reads from when to when somebody works, their holidays and what they can do. Calendars come before reps.
func (b *builder) terms(path, what string, d *repDoc, r *rep.Rep) {
	r.StartsOn, r.EndsOn = b.day(path+".from", what, d.From), b.day(path+".until", what, d.Until)
	if r.StartsOn != "" && r.EndsOn != "" && r.EndsOn < r.StartsOn {
		b.fail(path+".until", "order", "until is the last day; it cannot be before from", "%s: %s is before %s", what, r.EndsOn, r.StartsOn)
	}
	d.Tags = b.tags(path+".tags", what, d.Tags)
	r.Tags = strings.Join(d.Tags, " ")
	d.Calendars = b.knownCalendars(path, what, d.Calendars)
	r.Calendars = strings.Join(d.Calendars, " ")
}

// knownCalendars checks slugs of calendars and gives them sorted, each once.
func (b *builder) knownCalendars(path, what string, given []string) []string {
	slices.Sort(given)
	given = slices.Compact(given)
	known := make([]string, len(b.cfg.Calendars))
	for i, c := range b.cfg.Calendars {
		known[i] = c.Slug
	}
	for _, slug := range given {
		if !slices.Contains(known, slug) {
			b.fail(path+".calendars", "unknown", meant(slug, known), "%s: there is no calendar %q", what, slug)
		}
	}
	return given
}

// day checks a day like 2026-12-01; empty stays empty.
func (b *builder) day(path, what, text string) string {
	if text == "" {
		return ""
	}
	if _, err := rep.ParseDay(text); err != nil {
		b.fail(path, "day", "", "%s: %v", what, err)
	}
	return text
}

// tags checks words and gives them sorted, each once.
func (b *builder) tags(path, what string, given []string) []string {
	for _, tag := range given {
		if !slugRE.MatchString(tag) {
			b.fail(path, "format", "use small letters, digits and dashes, up to 63 of them", "%s: %q is no tag", what, tag)
		}
	}
	slices.Sort(given)
	return slices.Compact(given)
}

// The bounds of what changes turns.
const (
	leastAway    = time.Hour
	mostAway     = 90 * 24 * time.Hour
	mostCatchUp  = 20
	mostRampDays = 365
	stickCompany = "company"
)

// turns reads who may have turns in a pool and in which order they come.
func (b *builder) turns(path, what string, d *poolDoc, p *routing.Pool) {
	d.Needs = b.tags(path+".needs", what, d.Needs)
	p.Needs = d.Needs
	if p.Group = d.Group; d.Group != "" && !slugRE.MatchString(d.Group) {
		b.fail(path+".group", "format", "use small letters, digits and dashes, up to 63 of them", "%s: %q is no name of a group", what, d.Group)
	}
	if p.Sticky = d.Sticky == stickCompany; d.Sticky != "" && !p.Sticky {
		b.fail(path+".sticky", "unknown", "use "+stickCompany+", or leave it out", "%s: sticky cannot be %q", what, d.Sticky)
	}
	e := &d.Reentry
	p.Reentry = routing.Reentry{
		Policy: routing.ReentryPolicy(b.word(path+".reentry.policy", what+": reentry.policy", &e.Policy,
			string(routing.ResumeAtMean), string(routing.CatchUp), string(routing.NoCatchUp))),
		After:  b.duration(path+".reentry.after", what+": reentry.after", &e.After, leastAway, mostAway, routing.DefaultReentryAfter),
		Within: b.duration(path+".reentry.within", what+": reentry.within", &e.Within, leastAway, mostAway, routing.DefaultCatchUpWithin),
		Most:   b.number(path+".reentry.most", what+": reentry.most", &e.Most, 1, mostCatchUp, routing.DefaultCatchUpMost),
	}
	if p.Reentry.Policy != routing.CatchUp && (e.Most != nil || e.Within != "") {
		b.fail(path+".reentry", "unused", "add policy: catch_up, or remove most and within", "%s: most and within say how turns are caught up, but none are", what)
	}
	p.BadLead = b.turnBack(path+".credit.bad_lead", what+": credit.bad_lead", &d.Credit.BadLead, 1)
	p.NoShow = b.turnBack(path+".credit.no_show", what+": credit.no_show", &d.Credit.NoShow, 0)
	p.Cancelled = b.turnBack(path+".credit.cancelled", what+": credit.cancelled", &d.Credit.Cancelled, 0)
}

// turnBack reads what is given back of a turn; the default becomes empty.
func (b *builder) turnBack(path, what string, given **float64, otherwise float64) float64 {
	if *given == nil {
		return otherwise
	}
	n := **given
	if n < 0 || n > 3 {
		b.fail(path, "range", "use a number from 0 to 3", "%s cannot be %g", what, n)
	}
	if n == otherwise {
		*given = nil
	}
	return n
}

// number reads a whole number; the default becomes empty.
func (b *builder) number(path, what string, given **int, least, most, otherwise int) int {
	if *given == nil {
		return otherwise
	}
	n := **given
	if n < least || n > most {
		b.fail(path, "range", fmt.Sprintf("use a number from %d to %d", least, most), "%s cannot be %d", what, n)
	}
	if n == otherwise {
		*given = nil
	}
	return n
}

// place reads a member's line, ramp and limits.
func (b *builder) place(path, what string, d *memberDoc, m *routing.Member) {
	m.Overflow = b.word(path+".tier", what+": tier", &d.Tier, "first", "overflow") == "overflow"
	if r := d.Ramp; r != (rampDoc{}) {
		from := b.day(path+".ramp.from", what, r.From)
		if day, err := rep.ParseDay(from); err == nil {
			m.Ramp.From = day
		}
		if r.Days == nil || r.From == "" {
			b.fail(path+".ramp", "missing", "write ramp: {from: 2026-12-01, days: 30}", "%s: the ramp of %s needs from and days", what, m.Rep)
		} else if m.Ramp.Days = *r.Days; *r.Days < 1 || *r.Days > mostRampDays {
			b.fail(path+".ramp.days", "range", fmt.Sprintf("use a number from 1 to %d", mostRampDays), "%s: the ramp of %s cannot take %d days", what, m.Rep, *r.Days)
		}
	}
	m.Limits = b.limits(path, what+": "+m.Rep, &d.Cap, &d.CapPoints)
}

// knowsCalendars refuses a configuration without calendars that somebody in the database has: their holidays would silently be gone.
func knowsCalendars(all []rep.Rep, cfg *Config) error {
	var unknown []string
	for _, r := range all {
		for slug := range strings.FieldsSeq(r.Calendars) {
			if r.Active && !slices.ContainsFunc(cfg.Calendars, func(c rep.Calendar) bool { return c.Slug == slug }) {
				unknown = append(unknown, fmt.Sprintf("%s has %s", r.Email, slug))
			}
		}
	}
	if len(unknown) > 0 {
		return fault.New(fault.Invalid, "Some calendars do not exist: %s. Add them to calendars, or take them from these people.", strings.Join(unknown, "; "))
	}
	return nil
}
