package playbook

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"leadline/internal/rep"
	"leadline/internal/routing"
)

var phoneRE = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// The bounds of offer times and goals.
const (
	leastOffer = time.Second
	mostOffer  = 24 * time.Hour
	mostGoal   = 7 * 24 * time.Hour
)

func (b *builder) teams() {
	names := b.names("teams", "slug")
	for i := range b.doc.Teams {
		d := &b.doc.Teams[i]
		path := names.add(i, d.Slug)
		t := Team{Slug: d.Slug, Name: d.Name, Timezone: b.zone(path+".timezone", fmt.Sprintf("team %q", d.Slug), &d.Timezone)}
		if t.Name == "" {
			t.Name = t.Slug
		}
		b.cfg.Teams = append(b.cfg.Teams, t)
	}
}

// reps come after teams: somebody without a time zone works in their team's.
func (b *builder) reps() {
	zones := map[string]string{}
	for _, t := range b.cfg.Teams {
		zones[t.Slug] = t.Timezone
	}
	names := b.names("reps", "email")
	for i := range b.doc.Reps {
		d := &b.doc.Reps[i]
		email := strings.ToLower(d.Email)
		path := names.add(i, email)
		what := fmt.Sprintf("rep %q", d.Email)
		if d.Name == "" {
			b.fail(path, "missing", "add name: FIRST LAST", "%s has no name", what)
		}
		if d.Timezone == "" {
			d.Timezone = zones[d.Team]
		}
		r := rep.Rep{
			Email: b.email(path+".email", "rep", &d.Email), Name: d.Name, Team: d.Team,
			Phone:    strings.NewReplacer(" ", "", "-", "", "(", "", ")", "").Replace(d.Phone),
			Timezone: b.zone(path+".timezone", what, &d.Timezone),
			Active:   d.Active == nil || *d.Active, Presence: rep.Off, PresenceBy: rep.BySystem,
		}
		if r.Phone != "" && !phoneRE.MatchString(r.Phone) {
			b.fail(path+".phone", "phone", "write it with the country's code, like +4930111222", "%s: %q is no phone number", what, d.Phone)
		}
		r.Hours = b.hours(path+".hours", what, &d.Hours, r.Timezone).String()
		b.terms(path, what, d, &r)
		b.cfg.Reps = append(b.cfg.Reps, r)
	}
}

func (b *builder) pools() {
	names := b.names("pools", "slug")
	for i := range b.doc.Pools {
		d := &b.doc.Pools[i]
		path := names.add(i, d.Slug)
		what := fmt.Sprintf("pool %q", d.Slug)
		p := &routing.Pool{
			Slug:       d.Slug,
			Hours:      b.hours(path+".hours", what, &d.Hours, b.zone(path+".timezone", what, &d.Timezone)),
			Strategy:   routing.Strategy(b.word(path+".strategy", what+": strategy", &d.Strategy, texts(routing.Strategies)...)),
			Offer:      b.offer(path+".offer", what+": offer", &d.Offer),
			Overflow:   d.Overflow,
			LastResort: b.email(path+".last_resort", what+": last_resort", &d.LastResort),
		}
		b.sla(path+".sla", what+": sla", &d.SLA, p)
		b.turns(path, what, d, p)
		b.quota(path, what, d, p)
		b.holidays(path, what, d, p)
		for j := range d.Members {
			p.Members = append(p.Members, b.member(fmt.Sprintf("%s.members[%d]", path, j), what, &d.Members[j]))
		}
		b.cfg.Pools = append(b.cfg.Pools, p)
	}
}

func (b *builder) member(path, what string, d *memberDoc) routing.Member {
	if d.Rep == "" {
		b.fail(path, "missing", "add rep: E-MAIL", "%s has a member without a rep", what)
	}
	m := routing.Member{Rep: b.email(path+".rep", what, &d.Rep), Weight: 1}
	if d.Weight != nil {
		m.Weight = *d.Weight
		if m.Weight <= 0 || m.Weight > 1000 {
			b.fail(path+".weight", "range", "use a number above 0, up to 1000; leave somebody out to give them no turns", "%s: the weight of %s cannot be %g", what, m.Rep, m.Weight)
		}
		if m.Weight == 1 {
			d.Weight = nil
		}
	}
	b.place(path, what, d, &m)
	return m
}
