package playbook

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"leadline/internal/routing"
)

// Check tells whether the parts of a configuration fit together: everything named exists, no two rules tie, no lead could be
// lost, somebody works while pools are open, and every golden lead goes where it should. It asks nobody outside, and a Config is checked
// once however often it is asked for.
func Check(cfg *Config) []Problem {
	cfg.check.Do(func() { cfg.said = checked(cfg) })
	return slices.Clone(cfg.said)
}

func checked(cfg *Config) []Problem {
	c := &checker{cfg: cfg}
	table, problems := cfg.Table(0)
	c.fromRouting(problems)
	c.references()
	c.cover(staffOf(cfg.Reps))
	c.groups()
	c.points()
	if len(cfg.Forms) == 0 {
		c.warn("", "empty", "add forms: [{slug: SLUG}]", "there is no form, so no lead can come in")
	}
	c.products()
	c.inactive()
	c.clocks()
	if table != nil {
		c.fromRouting(table.Shadowed())
		c.holes(table)
		c.golden(table)
		c.placements(table, staffOf(cfg.Reps))
	}
	slices.SortStableFunc(c.problems, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line)
	})
	return c.problems
}

type checker struct {
	cfg      *Config
	problems []Problem
}

func (c *checker) fail(path, code, remedy, format string, args ...any) {
	r := reader{at: c.cfg.at}
	if at, ok := c.cfg.at["version"]; ok {
		r.file = at.file
	}
	r.fail(path, code, remedy, format, args...)
	c.problems = append(c.problems, r.problems...)
}

func (c *checker) warn(path, code, remedy, format string, args ...any) {
	c.fail(path, code, remedy, format, args...)
	c.problems[len(c.problems)-1].Warning = true
}

// fromRouting finds the lines of what the compiler found.
func (c *checker) fromRouting(problems []routing.Problem) {
	entries := map[string]int{}
	note := func(section, name string, i int) {
		if _, twice := entries[section+" "+name]; !twice {
			entries[section+" "+name] = i
		}
	}
	if len(problems) > 0 {
		for i, x := range c.cfg.Pools {
			note("pools", x.Slug, i)
		}
		for i, x := range c.cfg.Rules {
			note("rules", x.Name, i)
		}
		for i, x := range c.cfg.Territories {
			note("territories", x.Slug, i)
		}
		for i, x := range c.cfg.Lists {
			note("lists", x.Slug, i)
		}
		for i, x := range c.cfg.Sets {
			note("sets", x.Slug, i)
		}
	}
	for _, p := range problems {
		path := p.Section
		if i, found := entries[p.Section+" "+p.Name]; found {
			path = fmt.Sprintf("%s[%d]", p.Section, i)
			if p.Field != "" {
				path += "." + p.Field
			}
		}
		c.fail(path, p.Code, p.Remedy, "%s", p.Message)
		c.problems[len(c.problems)-1].Warning = p.Warning
	}
}

// references checks names that the compiler of rules knows nothing of.
func (c *checker) references() {
	var forms, teams []string
	for _, f := range c.cfg.Forms {
		forms = append(forms, f.Slug)
	}
	for _, t := range c.cfg.Teams {
		teams = append(teams, t.Slug)
	}
	c.cfg.eachCondition(func(rule, path string, w *routing.Condition) {
		for _, form := range w.Form {
			if !slices.Contains(forms, form) {
				c.fail(path+".form", "unknown", meant(form, forms), "rule %q: there is no form %q", rule, form)
			}
		}
	})
	for i, s := range c.cfg.Sets {
		for _, value := range s.Values {
			if s.Dimension == "form" && !slices.Contains(forms, value) {
				c.fail(fmt.Sprintf("sets[%d].values", i), "unknown", meant(value, forms), "set %q: there is no form %q", s.Slug, value)
			}
		}
	}
	for i, r := range c.cfg.Reps {
		if r.Team != "" && !slices.Contains(teams, r.Team) {
			c.fail(fmt.Sprintf("reps[%d].team", i), "unknown", meant(r.Team, teams), "rep %q: there is no team %q", r.Email, r.Team)
		}
	}
	c.clientForms(forms)
	c.repReferences()
}

// repReferences warns of people who are not in this text: they may be in the database, which Apply will ask.
func (c *checker) repReferences() {
	var known []string
	for _, r := range c.cfg.Reps {
		known = append(known, r.Email)
	}
	here := map[string]bool{}
	for _, email := range known {
		here[email] = true
	}
	for _, ref := range c.cfg.namedReps() {
		if here[ref.email] {
			continue
		}
		remedy := "add them to reps, unless they are in the database already"
		if near := routing.Nearest(ref.email, known); near != "" {
			remedy = "did you mean " + near + "?"
		}
		c.warn(ref.path, unknownRep, remedy, "%s: %s is not among the reps of this text", ref.what, ref.email)
	}
}

// namedRep is a place where the configuration names a rep.
type namedRep struct {
	email, what, path string
}

func (c *Config) namedReps() []namedRep {
	var all []namedRep
	for i, p := range c.Pools {
		what := fmt.Sprintf("pool %q", p.Slug)
		for j, m := range p.Members {
			all = append(all, namedRep{m.Rep, what, fmt.Sprintf("pools[%d].members[%d].rep", i, j)})
		}
		if p.LastResort != "" {
			all = append(all, namedRep{p.LastResort, what, fmt.Sprintf("pools[%d].last_resort", i)})
		}
		if p.Offer.Manager != "" {
			all = append(all, namedRep{p.Offer.Manager, what, fmt.Sprintf("pools[%d].offer.manager", i)})
		}
	}
	for i, l := range c.Lists {
		if l.Owner != "" {
			all = append(all, namedRep{l.Owner, fmt.Sprintf("list %q", l.Slug), fmt.Sprintf("lists[%d].owner", i)})
		}
	}
	for i, s := range c.doc.Owner.Substitutes {
		all = append(all, namedRep{s.Rep, "owner", fmt.Sprintf("owner.substitutes[%d].rep", i)}, namedRep{s.By, "owner", fmt.Sprintf("owner.substitutes[%d].by", i)})
	}
	for i, r := range c.Rules {
		if r.Then.Rep != "" {
			all = append(all, namedRep{r.Then.Rep, fmt.Sprintf("rule %q", r.Name), fmt.Sprintf("rules[%d].then.rep", i)})
		}
	}
	return all
}

func meant(name string, known []string) string { return routing.Closest(name, slices.Clone(known)) }
