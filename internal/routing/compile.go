package routing

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The offer terms of pools that do not name their own (contract section 8).
const (
	DefaultExclusive = 20 * time.Second
	DefaultPoolOffer = 60 * time.Second
	DefaultAttempts  = 5
	DefaultScreen    = time.Second
)

// maxPostal bounds the length of postal prefixes; no country has longer codes.
const maxPostal = 10

// maxRows bounds what rules, territories and sets multiply to.
const maxRows = 4_000_000

// Compile checks rules and makes a Table of them. When a problem is no warning the Table is nil. What is passed in is neither
// kept nor changed; the order of rules, pools, territories, lists and sets makes no difference to any decision.
func Compile(version int64, pools []*Pool, rules []Rule, territories []Territory, lists []List, sets ...Set) (*Table, []Problem) {
	c := &compiler{
		table: &Table{
			version: version, pools: map[string]*Pool{}, byRep: map[string][]string{},
			lists: map[string][]string{}, companies: map[string][]string{}, listOwners: map[string]string{},
		},
		knownLists: map[string]List{},
	}
	c.addPools(pools)
	c.addLists(lists)
	c.addSets(sets)
	c.addTerritories(territories)
	c.addRules(rules)
	if c.errors == 0 {
		c.plant()
	}
	if c.errors == 0 {
		c.refuseTies()
	}
	if c.errors > 0 {
		return nil, c.problems
	}
	c.rank()
	return c.table, c.problems
}

// At is the same table under another version number.
func (t *Table) At(version int64) *Table {
	copied := *t
	copied.version = version
	return &copied
}

// compiler is the state of one Compile.
type compiler struct {
	table       *Table
	knownLists  map[string]List
	sets        map[string]Set
	territories map[string]*territory
	variants    []*variant
	rows        int // what variants were filed under
	problems    []Problem
	errors      int // problems that are no warnings
}

func (c *compiler) report(warning bool, section, name, field, code, remedy, format string, args ...any) {
	c.problems = append(c.problems, Problem{Section: section, Name: name, Field: field, Code: code, Message: fmt.Sprintf(format, args...), Remedy: remedy, Warning: warning})
}

func (c *compiler) fail(section, name, field, code, remedy, format string, args ...any) {
	c.errors++
	c.report(false, section, name, field, code, remedy, format, args...)
}

func (c *compiler) warn(section, name, field, code, remedy, format string, args ...any) {
	c.report(true, section, name, field, code, remedy, format, args...)
}

func (c *compiler) addLists(lists []List) {
	for _, l := range lists {
		if _, twice := c.knownLists[l.Slug]; twice {
			c.fail("lists", l.Slug, "slug", "duplicate", "rename one of them", "there are two lists %q", l.Slug)
			continue
		}
		for _, text := range l.Domains {
			d, err := parseDomain(text)
			if err != nil {
				c.fail("lists", l.Slug, "domains", "domain", "write it like acme.example", "list %q: %v", l.Slug, err)
				continue
			}
			if on := c.table.lists[d]; len(on) == 0 || on[len(on)-1] != l.Slug {
				c.table.lists[d] = append(on, l.Slug)
			}
		}
		for _, text := range l.Companies {
			name := CompanyName(text)
			if name == "" {
				c.fail("lists", l.Slug, "companies", "company", "write the company's name", "list %q: %q is no name of a company", l.Slug, text)
				continue
			}
			c.table.companies[name] = append(c.table.companies[name], l.Slug)
		}
		if l.Owner != "" {
			c.table.listOwners[l.Slug] = strings.ToLower(l.Owner)
		}
		if len(l.Domains)+len(l.Companies) == 0 {
			c.warn("lists", l.Slug, "domains", "empty", "add domains or companies, or remove the list", "list %q is empty, so rules that ask for it match nothing", l.Slug)
		}
		c.knownLists[l.Slug] = l
	}
	for _, filed := range []map[string][]string{c.table.lists, c.table.companies} {
		for key, on := range filed {
			slices.Sort(on)
			filed[key] = slices.Compact(on)
		}
	}
}

func (c *compiler) addRules(rules []Rule) {
	names := make(map[string]bool, len(rules))
	var compiled []*compiledRule
	for _, r := range rules {
		if names[r.Name] {
			c.fail("rules", r.Name, "name", "duplicate", "rename one of them", "there are two rules %q", r.Name)
			continue
		}
		names[r.Name] = true
		compiled = append(compiled, c.addRule(r))
	}
	fallback := c.fallbackPool(compiled)
	for _, r := range compiled {
		if r.pool == "" {
			r.pool = fallback
		}
	}
	c.table.rules = compiled
}

// addRule checks a rule and makes its variants.
func (c *compiler) addRule(r Rule) *compiledRule {
	r.Then.Rep = strings.ToLower(r.Then.Rep)
	cr := &compiledRule{Rule: r, rank: r.Band.rank(), pool: r.Then.Pool}
	switch r.Band {
	case "", Override, Match, Default:
	default:
		c.fail("rules", r.Name, "band", "unknown", "use override, match or default", "rule %q: there is no band %q", r.Name, r.Band)
	}
	switch {
	case r.Then.Hold && (r.Then.Pool != "" || r.Then.Rep != ""):
		c.fail("rules", r.Name, "then", "hold", "remove pool and rep: once released, a lead goes by the other rules", "rule %q holds leads and sends them somewhere", r.Name)
	case r.Then.Hold && r.Band != Override:
		c.fail("rules", r.Name, "band", "hold", "add band: override", "rule %q holds leads, which only an override may", r.Name)
	case r.Then.Hold:
	case r.Then.Pool == "" && r.Then.Rep == "":
		c.fail("rules", r.Name, "then", "no_target", "add then: {pool: SLUG}", "rule %q does not say where leads go", r.Name)
	case r.Then.Pool != "" && c.table.pools[r.Then.Pool] == nil:
		c.fail("rules", r.Name, "then.pool", "unknown", Closest(r.Then.Pool, slices.Collect(maps.Keys(c.table.pools))), "rule %q: there is no pool %q", r.Name, r.Then.Pool)
	}
	for i, way := range c.ways(r) {
		field := "when"
		if len(r.Any) > 0 {
			field = fmt.Sprintf("any[%d]", i)
		}
		c.addVariants(cr, way, field)
	}
	c.leaveOut(cr)
	c.checkPeriod(r)
	if r.Priority != 0 {
		c.warn("rules", r.Name, "priority", "priority", "make the rule more specific instead, so that nobody has to know the number",
			"rule %q is ranked by hand, with priority %d", r.Name, r.Priority)
	}
	if r.Band != Default && !r.conditional() {
		c.warn("rules", r.Name, "when", "catches_all", "add a condition, or make it band: default", "rule %q has no condition, so rules of a weaker band are never reached", r.Name)
	}
	return cr
}

// addVariants makes the variants of one way to fulfil a rule.
func (c *compiler) addVariants(cr *compiledRule, way Condition, field string) {
	shared := c.row(cr.Name, field, &way)
	for _, g := range c.geographies(cr.Name, field, way) {
		if len(c.variants) == maxRows {
			c.tooLarge()
			return
		}
		v := &variant{rule: cr, row: shared, geo: g.place, vec: shared.vec}
		for dim, value := range g.vec {
			v.vec[dim] += value
		}
		c.variants = append(c.variants, v)
	}
}

// tooLarge says once that it is too much.
func (c *compiler) tooLarge() {
	if c.rows >= 0 {
		c.fail("rules", "", "", "too_large", "let rules share territories and pools, or split conditions over fewer dimensions", "rules, territories and sets multiply to more than %d rows", maxRows)
	}
	c.rows = -1
}

// row brings what is compared as it is into its compared form.
func (c *compiler) row(rule, field string, w *Condition) *row {
	out := &row{}
	for _, p := range w.parts() {
		if len(*p.values) == 0 || p.dim == noDim || p.dim == dimPostal || p.dim == dimRegion || p.dim == dimCountry {
			continue
		}
		values := make([]string, 0, len(*p.values))
		for _, text := range *p.values {
			values = append(values, c.compared(rule, field+"."+p.key, p.dim, text))
		}
		slices.Sort(values)
		out.values[p.dim] = slices.Compact(values)
		out.vec[p.dim] = 1
	}
	return out
}

// compared is one value as leads have it.
func (c *compiler) compared(rule, field string, dim int, text string) string {
	switch dim {
	case dimDomainList, dimAccountList:
		if _, known := c.knownLists[text]; !known {
			c.fail("rules", rule, field, "unknown", Closest(text, slices.Collect(maps.Keys(c.knownLists))), "rule %q: there is no list %q", rule, text)
		}
		return text
	case dimDomain:
		d, err := parseDomain(text)
		if err != nil {
			c.fail("rules", rule, field, "domain", "write it like acme.example", "rule %q: %v", rule, err)
		}
		return d
	case dimLanguage:
		return foldedTag(text)
	case dimPhoneCountry:
		if err := checkCountry(text); err != nil {
			c.fail("rules", rule, field, "place", "name a country like DE", "rule %q: %v", rule, err)
		}
		return folded(text)
	default:
		return folded(text)
	}
}

// leaveOut makes what a rule excepts comparable.
func (c *compiler) leaveOut(cr *compiledRule) {
	if cr.Except == nil {
		return
	}
	if cr.Except.empty() {
		c.fail("rules", cr.Name, "except", "empty", "remove it, or write what it leaves out", "rule %q leaves out every lead", cr.Name)
		return
	}
	except := c.expand(cr.Name, "except", *cr.Except)
	shared := c.row(cr.Name, "except", &except)
	cr.except = &tree{}
	anyTime := &compiledRule{}
	for _, g := range c.geographies(cr.Name, "except", except) {
		v := &variant{rule: anyTime, row: shared, geo: g.place, vec: shared.vec}
		for dim, value := range g.vec {
			v.vec[dim] += value
		}
		cr.except.add(v, nil, v.filed(), nil)
	}
}

// checkPeriod refuses a rule that ends before it begins.
func (c *compiler) checkPeriod(r Rule) {
	if !r.From.IsZero() && !r.Until.IsZero() && !r.From.Before(r.Until) {
		c.fail("rules", r.Name, "until", "period", "let it end after it begins", "rule %q ends before it begins", r.Name)
	}
}

// fallbackPool is the pool of the unconditional default rule, without which leads could be lost.
func (c *compiler) fallbackPool(rules []*compiledRule) string {
	for _, r := range rules {
		if r.Band != Default || r.conditional() || !r.always() {
			continue
		}
		if r.pool == "" && r.Then.Rep != "" {
			c.fail("rules", r.Name, "then", "no_pool", "name a pool beside the rep: then: {rep: E-MAIL, pool: SLUG}",
				"rule %q is the last rule and names only a person: nobody would get leads while that person is away", r.Name)
		}
		return r.pool
	}
	c.fail("rules", "", "", "no_default", "add {name: Everything else, band: default, then: {pool: SLUG}}",
		"no rule of band default without a condition, so leads that match nothing would be lost")
	return ""
}

// plant files every variant in the tree of its band.
func (c *compiler) plant() {
	for _, v := range c.variants {
		var leavesOut func([]hop) bool
		if except := v.rule.except; except != nil {
			leavesOut = func(way []hop) bool { return except.matches(c.table.on(way)) }
		}
		filed := c.table.bands[v.rule.rank].add(v, make([]hop, 0, dims), v.filed(), leavesOut)
		if c.rows += filed; c.rows > maxRows {
			c.tooLarge()
			return
		}
	}
	for i := range c.table.bands {
		c.table.bands[i].sort()
	}
}

// on is a lead of which nothing is known but what the way to a leaf asks for.
func (t *Table) on(way []hop) *probe {
	p := &probe{}
	for _, h := range way {
		switch h.dim {
		case dimDomain:
			p.domain(h.value, t.lists)
		case dimDomainList:
			p.onLists([]string{h.value}, dimDomainList)
			p.onLists([]string{h.value}, dimAccountList)
		case dimPostal:
			country, postal, _ := strings.Cut(h.value, ":")
			p.place(place{country: country, postal: postal})
		case dimRegion:
			if country, _, _ := strings.Cut(h.value, "-"); len(p.by[dimCountry]) == 0 {
				p.place(place{country: country, region: h.value})
			} else {
				p.by[dimRegion] = []string{h.value}
			}
		case dimLanguage:
			p.tongue(h.value)
		default:
			if !slices.Contains(p.by[h.dim], h.value) {
				p.by[h.dim] = append(p.by[h.dim], h.value)
			}
		}
	}
	return p
}

// rank sorts the rules by the order in which they take effect.
func (c *compiler) rank() {
	strongest := make(map[*compiledRule]*variant, len(c.table.rules))
	for _, v := range c.variants {
		if s := strongest[v.rule]; s == nil || stronger(v, s) < 0 {
			strongest[v.rule] = v
		}
	}
	slices.SortFunc(c.table.rules, func(a, b *compiledRule) int {
		va, vb := strongest[a], strongest[b]
		if va == nil || vb == nil { // a rule that can match nothing, such as one about two countries at once
			if va == vb {
				return strings.Compare(a.Name, b.Name)
			}
			if va == nil {
				return 1
			}
			return -1
		}
		return stronger(va, vb)
	})
}
