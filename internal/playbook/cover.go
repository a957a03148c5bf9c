package playbook

import (
	"context"
	"fmt"
	"slices"
	"time"

	"leadline/internal/postgres"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

// coverStep is how finely hours are compared.
const coverStep = 15 * time.Minute

// aWeek is any week without a clock change in most of the world.
var aWeek = time.Date(2026, time.January, 12, 0, 0, 0, 0, time.UTC)

// staff is people by e-mail address, as far as they are known.
type staff map[string]rep.Rep

// staffOf takes people from several lists; what a later one says of somebody counts.
func staffOf(lists ...[]rep.Rep) staff {
	s := staff{}
	for _, people := range lists {
		for _, r := range people {
			s[r.Email] = r
		}
	}
	return s
}

// members are the members of a pool who are active and have some tags. known is false when somebody is not: nothing can be said then.
func (s staff) members(p *routing.Pool, tags []string) (able []rep.Rep, known bool) {
	for _, m := range p.Members {
		r, here := s[m.Rep]
		if !here {
			return nil, false
		}
		if r.Active && !slices.ContainsFunc(tags, func(tag string) bool { return !r.HasTag(tag) }) {
			able = append(able, r)
		}
	}
	return able, len(p.Members) > 0
}

// post is what must be covered while a pool is open: by anybody, or by people who can do what a rule needs.
type post struct {
	path, needsPath, what string
	pool                  *routing.Pool
	needs                 []string // of the pool and of the rule
	named                 string   // e-mail address of whom the rule asks first, or empty
}

func (c *checker) posts() []post {
	var all []post
	at := map[string]*routing.Pool{}
	for i, p := range c.cfg.Pools {
		at[p.Slug] = p
		path := fmt.Sprintf("pools[%d]", i)
		all = append(all, post{path, path + ".needs", fmt.Sprintf("pool %q", p.Slug), p, p.Needs, ""})
	}
	for i, r := range c.cfg.Rules {
		p := at[r.Then.Pool]
		if len(r.Then.Needs) == 0 || p == nil {
			continue
		}
		path := fmt.Sprintf("rules[%d].then.needs", i)
		all = append(all, post{path, path, fmt.Sprintf("rule %q", r.Name), p, slices.Concat(p.Needs, r.Then.Needs), r.Then.Rep})
	}
	return all
}

// people are those who can do a post's work; known is false when that cannot be said.
func (s staff) people(w post) (able []rep.Rep, known bool) {
	able, known = s.members(w.pool, w.needs)
	if w.named == "" || !known {
		return able, known
	}
	r, here := s[w.named]
	if here && r.Active && !slices.ContainsFunc(w.needs[len(w.pool.Needs):], func(tag string) bool { return !r.HasTag(tag) }) {
		able = append(able, r)
	}
	return able, here
}

// promised tells pools of which it matters when somebody works: nobody promised hours where none are given and leads have somewhere to go.
func (w post) promised() bool {
	return !w.pool.Hours.Always() || w.pool.Overflow == "" && w.pool.LastResort == ""
}

// key is the same for posts that the same people can work at.
func (w post) key() string { return fmt.Sprint(w.pool.Slug, w.needs, w.named) }

// cover warns of pools and rules whose needs nobody meets, and of those that are open at hours of the week at which nobody works who could.
// Pools with members of whom nothing is known are left out.
func (c *checker) cover(s staff) {
	gaps := map[string]int{}  // of pools: a rule is told of only where it has more
	seen := map[string]bool{} // rules often need the same
	for _, w := range c.posts() {
		able, known := s.people(w)
		if !known {
			continue
		}
		if len(able) == 0 && len(w.needs) > 0 && slices.ContainsFunc(w.pool.Members, func(m routing.Member) bool { return s[m.Rep].Active }) {
			c.warn(w.needsPath, "needs_unmet", "give the tags to somebody of the pool, or ask for less",
				"%s needs %s of one person, which nobody in the pool %q has", w.what, listed(w.needs), w.pool.Slug)
			continue
		}
		if !w.promised() || seen[w.key()] {
			continue
		}
		seen[w.key()] = true
		slots, first := uncovered(w.pool, able)
		if slots <= gaps[w.pool.Slug] {
			continue
		}
		who := "none of its members works"
		if w.path == w.needsPath {
			who = "nobody with " + listed(w.needs) + " works"
		} else {
			gaps[w.pool.Slug] = slots
		}
		c.warn(w.path, "no_cover", "change its hours or those of its members, or let it overflow",
			"%s: %s in %s of its open hours a week, from %s on", w.what, who, short(time.Duration(slots)*coverStep), first.Format("Mon 15:04"))
	}
}

// uncovered counts the parts of an ordinary week in which a pool is open and none of some people works.
func uncovered(p *routing.Pool, people []rep.Rep) (slots int, first time.Time) {
	for at := aWeek; at.Before(aWeek.AddDate(0, 0, 7)); at = at.Add(coverStep) {
		if !p.Hours.Open(at) || slices.ContainsFunc(people, func(r rep.Rep) bool { return r.InHours(at) }) {
			continue
		}
		if slots == 0 {
			first = at.In(p.Hours.Location())
		}
		slots++
	}
	return slots, first
}

// coverSoon warns of hours of the days to come in which a pool is open and none of those works who otherwise do: because of holidays, absences, first
// and last days, or clocks that change elsewhere. What is so in every week is told by cover.
func (c *checker) coverSoon(s staff, roster *rep.Roster, now time.Time) {
	until := now.AddDate(0, 0, rep.RosterDays)
	missing, seen := map[string]time.Duration{}, map[string]bool{} // as in cover
	for _, w := range c.posts() {
		able, known := s.people(w)
		if !known || len(able) == 0 || !w.promised() || seen[w.key()] {
			continue
		}
		seen[w.key()] = true
		gap := w.pool.Hours.Between(now, until)
		if always, _ := uncovered(w.pool, able); always > 0 {
			gap = rep.Less(gap, rep.Less(gap, working(nil, able, now, until)))
		}
		gap = rep.Less(gap, working(roster, able, now, until))
		var total time.Duration
		for _, i := range gap {
			total += i.To.Sub(i.From)
		}
		if total <= missing[w.pool.Slug] {
			continue
		}
		who := "none of its members works"
		if w.path == w.needsPath {
			who = "nobody with " + listed(w.needs) + " works"
		} else {
			missing[w.pool.Slug] = total
		}
		c.warn(w.path, "no_cover_soon", "find somebody for these hours, close the pool by a calendar, or let it overflow",
			"%s: %s in %s of its open hours within the next %d days, from %s on, because of holidays, absences, first and last days or clocks that change",
			w.what, who, short(total.Round(time.Minute)), rep.RosterDays, gap[0].From.In(w.pool.Hours.Location()).Format("Mon 2 Jan 15:04"))
	}
}

// working is when any of some people works. Without a roster only the hours of the week count.
func working(roster *rep.Roster, people []rep.Rep, from, to time.Time) []rep.Interval {
	var all []rep.Interval
	for _, r := range people {
		if roster == nil {
			r.StartsOn, r.EndsOn, r.Calendars = "", "", ""
		}
		all = append(all, roster.Working(r, from, to)...)
	}
	return all
}

// CheckStored is what only the database can tell of a configuration: pools that could not carry the leads of last week, hours and needs
// that nobody covers, by the people and absences that are there, and golden leads that go to others than they should, which are errors. What was
// said before is not said again.
func CheckStored(ctx context.Context, db *postgres.DB, cfg *Config, said []Problem) ([]Problem, error) {
	found, err := CheckVolume(ctx, db, cfg)
	if err != nil {
		return nil, err
	}
	store := rep.NewStore(db.Gorm)
	_, now, err := store.Fingerprint(ctx)
	if err != nil {
		return nil, err
	}
	there, err := store.All(ctx)
	if err != nil {
		return nil, err
	}
	absences, err := store.Absences(ctx, now)
	if err != nil {
		return nil, err
	}
	s := staffOf(there)
	for _, r := range cfg.Reps { // the text is what will be
		r.ID = s[r.Email].ID
		s[r.Email] = r
	}
	c := &checker{cfg: cfg}
	if table, _ := cfg.Table(0); table != nil {
		c.placements(table, s)
	}
	c.cover(s)
	c.coverSoon(s, rep.BuildRoster(nil, absences, cfg.Calendars, now), now)
	return slices.DeleteFunc(append(CheckDates(cfg, now), append(c.problems, found...)...), func(p Problem) bool {
		return slices.ContainsFunc(said, func(q Problem) bool { return q.Code == p.Code && q.Path == p.Path })
	}), nil
}
