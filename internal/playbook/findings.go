package playbook

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"leadline/internal/fault"
	"leadline/internal/postgres"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

// offered lists the products among which forms let people choose, in small letters.
func (c *Config) offered() []string {
	var all []string
	for _, f := range c.Forms {
		for _, field := range f.Fields {
			if field.Name == "product" {
				for _, option := range field.Options {
					all = append(all, strings.ToLower(option))
				}
			}
		}
	}
	return all
}

// products warns of rules about products that no form offers.
func (c *checker) products() {
	offered := c.cfg.offered()
	if len(offered) == 0 {
		return // everywhere people write what they like
	}
	known := map[string]bool{}
	for _, product := range offered {
		known[product] = true
	}
	c.cfg.eachCondition(func(rule, path string, w *routing.Condition) {
		for _, product := range w.Product {
			if !known[strings.ToLower(product)] {
				c.warn(path+".product", "unknown_product", meant(strings.ToLower(product), offered), "rule %q: no form offers the product %q", rule, product)
			}
		}
	})
}

// eachCondition visits everything that rules ask for.
func (c *Config) eachCondition(visit func(rule, path string, w *routing.Condition)) {
	for i := range c.Rules {
		r := &c.Rules[i]
		path := fmt.Sprintf("rules[%d]", i)
		visit(r.Name, path+".when", &r.When)
		for j := range r.Any {
			visit(r.Name, fmt.Sprintf("%s.any[%d]", path, j), &r.Any[j])
		}
		if r.Except != nil {
			visit(r.Name, path+".except", r.Except)
		}
	}
}

// inactive warns of pools, rules and lists that nobody can work for, because everybody whom they name has left.
func (c *checker) inactive() {
	left := map[string]bool{}
	for _, r := range c.cfg.Reps {
		left[r.Email] = !r.Active
	}
	for i, p := range c.cfg.Pools {
		if len(p.Members) > 0 && !slices.ContainsFunc(p.Members, func(m routing.Member) bool { return !left[m.Rep] }) {
			c.warn(fmt.Sprintf("pools[%d].members", i), "all_inactive", "add somebody who is active", "pool %q: all of its members are inactive", p.Slug)
		}
	}
	for i, r := range c.cfg.Rules {
		if left[r.Then.Rep] {
			c.warn(fmt.Sprintf("rules[%d].then.rep", i), "inactive_rep", "name somebody else", "rule %q names %s, who is inactive", r.Name, r.Then.Rep)
		}
	}
	for i, l := range c.cfg.Lists {
		if left[l.Owner] {
			c.warn(fmt.Sprintf("lists[%d].owner", i), "inactive_rep", "name somebody else", "list %q belongs to %s, who is inactive", l.Slug, l.Owner)
		}
	}
}

// holes warns of countries that rules are about and products of which nothing is said there.
func (c *checker) holes(table *routing.Table) {
	last := table.Decide(routing.Facts{}, aWeek).Rule
	byProducts := map[string][]string{}
	var order []string
	for _, h := range table.Holes(c.cfg.offered()) {
		products := strings.Join(h.Products, ", ")
		if byProducts[products] == nil {
			order = append(order, products)
		}
		byProducts[products] = append(byProducts[products], h.Country)
	}
	for _, products := range order {
		c.warn("rules", "uncovered", "add rules for them, or acknowledge that they go there",
			"no rule covers leads from %s about %s; they go by %q", strings.Join(byProducts[products], ", "), products, last)
	}
}

// CheckDates warns of rules that have ended by a moment, which do nothing any more, and of open hours of the days after it in which nobody of
// this text works.
func CheckDates(cfg *Config, now time.Time) []Problem {
	c := &checker{cfg: cfg}
	for i, r := range cfg.Rules {
		if !r.Until.IsZero() && !now.Before(r.Until) {
			c.warn(fmt.Sprintf("rules[%d].until", i), "expired", "remove it, or let it end later", "rule %q ended at %s", r.Name, r.Until.UTC().Format("2006-01-02 15:04 MST"))
		}
	}
	c.coverSoon(staffOf(cfg.Reps), rep.BuildRoster(nil, nil, cfg.Calendars, now), now)
	return c.problems
}

// unknownRep is the code of a person who is not in the text.
const unknownRep = "unknown_rep"

// demand refuses a configuration with errors, or with warnings that nobody has acknowledged; those among them that only the database can tell.
func demand(ctx context.Context, db *postgres.DB, cfg *Config, acks []string) error {
	problems := Check(cfg)
	if Failed(problems) {
		return Refusal(problems)
	}
	more, err := CheckStored(ctx, db, cfg, problems)
	if err != nil {
		return err
	}
	if Failed(more) {
		return Refusal(more)
	}
	open := Unacknowledged(slices.Concat(problems, more), acks)
	if len(open) == 0 {
		return nil
	}
	return &fault.Error{
		Kind: fault.Invalid, Code: "warnings", Message: "The configuration has warnings. Change the text, or name their codes in acknowledge.",
		Extra: map[string]any{"warnings": Findings(open)},
	}
}

// Unacknowledged gives the warnings that nobody has acknowledged. An acknowledgement is a code, which covers all warnings of that code,
// or CODE:PATH, which covers one of them. Errors cannot be acknowledged and are not among the answer; nor are people whom the text leaves out:
// whether they exist is asked of the database, which refuses if not.
func Unacknowledged(problems []Problem, acks []string) []Problem {
	var open []Problem
	for _, p := range problems {
		if p.Warning && p.Code != unknownRep && !slices.Contains(acks, p.Code) && !slices.Contains(acks, p.Code+":"+p.Path) {
			open = append(open, p)
		}
	}
	return open
}
