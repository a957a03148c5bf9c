package playbook

import (
	"fmt"
	"slices"

	"leadline/internal/rep"
	"leadline/internal/routing"
)

// mostPoints bounds what one lead can count in limits on points.
const mostPoints = 1000

// groups are limits that several pools share. They come before pools, which belong to them by name.
func (b *builder) groups() {
	names := b.names("groups", "slug")
	b.quotas = map[string]routing.Quota{}
	for i := range b.doc.Groups {
		d := &b.doc.Groups[i]
		path := names.add(i, d.Slug)
		what := fmt.Sprintf("group %q", d.Slug)
		zone := b.zone(path+".timezone", what, &d.Timezone)
		q := routing.Quota{Limits: b.limits(path, what, &d.Cap, &d.CapPoints), Timezone: zone}
		if !q.Limited() {
			b.fail(path, "missing", "write cap: {per_day: 100}, or remove it: pools of a group without limits need no entry", "%s has no limits", what)
		}
		b.quotas[d.Slug] = q
		b.cfg.Groups = append(b.cfg.Groups, Group{d.Slug, q})
	}
}

// quota reads what a pool takes all together, and finds what its group does.
func (b *builder) quota(path, what string, d *poolDoc, p *routing.Pool) {
	p.Quota = routing.Quota{Limits: b.limits(path, what, &d.Cap, &d.CapPoints)}
	if p.Quota.Limited() {
		p.Quota.Timezone = d.Timezone
	}
	p.GroupQuota = b.quotas[p.Group]
}

// limits reads caps on leads and on points. Empty ones are none.
func (b *builder) limits(path, what string, cap, points *capDoc) routing.Limits {
	return routing.Limits{Cap: b.caps(path+".cap", what, cap), CapPoints: b.caps(path+".cap_points", what, points)}
}

func (b *builder) caps(path, what string, d *capDoc) (c routing.Caps) {
	for _, limit := range []struct {
		key   string
		given *int
		into  *int
	}{
		{"open", d.Open, &c.Open},
		{"offers", d.Offers, &c.Offers},
		{"uncontacted", d.Uncontacted, &c.Uncontacted},
		{"per_hour", d.PerHour, &c.PerHour},
		{"per_day", d.PerDay, &c.PerDay},
		{"per_week", d.PerWeek, &c.PerWeek},
		{"reserve_hot", d.ReserveHot, &c.ReserveHot},
	} {
		if limit.given == nil {
			continue
		}
		if *limit.into = *limit.given; *limit.given < 1 {
			b.fail(path+"."+limit.key, "range", "use 1 or more, or leave it out for no limit", "%s: a limit cannot be %d", what, *limit.given)
		}
	}
	if c.ReserveHot > 0 && c.ReserveHot >= c.Open {
		b.fail(path+".reserve_hot", "range", "make open larger, or keep fewer", "%s keeps %d for hot leads, but may have only %d open", what, c.ReserveHot, c.Open)
	}
	return c
}

// points reads what a rule's leads count; one is the default and becomes empty.
func (b *builder) points(path, what string, given **int) int {
	if n := b.number(path, what+": points", given, 1, mostPoints, 1); n > 1 {
		return n
	}
	return 0
}

// holidays closes a pool on the days of its calendars, in its own time zone. Calendars come before pools.
func (b *builder) holidays(path, what string, d *poolDoc, p *routing.Pool) {
	d.Calendars = b.knownCalendars(path, what, d.Calendars)
	var calendars []rep.Calendar
	for _, c := range b.cfg.Calendars {
		if slices.Contains(d.Calendars, c.Slug) {
			calendars = append(calendars, c)
		}
	}
	p.Hours = p.Hours.Without(calendars, d.Timezone)
}
