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

// Compile checks rules and makes a Table of them. When a problem is no warning the Table is nil. What is passed in is neither
// kept nor changed; the order of rules, pools, territories and lists makes no difference to any decision.
func Compile(version int64, pools []*Pool, rules []Rule, territories []Territory, lists []List) (*Table, []Problem) {
	c := &compiler{
		table: &Table{version: version, pools: map[string]*Pool{}, byRep: map[string][]string{}, index: map[indexKey][]*variant{}},
		lists: map[string]domainSet{},
	}
	c.addPools(pools)
	c.addLists(lists)
	c.addTerritories(territories)
	c.addRules(rules)
	if c.failed() {
		return nil, c.problems
	}
	c.refuseTies()
	if c.failed() {
		return nil, c.problems
	}
	c.finish()
	return c.table, c.problems
}

// compiler is the state of one Compile.
type compiler struct {
	table       *Table
	lists       map[string]domainSet
	territories map[string]*territory
	variants    []*variant
	problems    []Problem
}

func (c *compiler) fail(section, name, field, code, remedy, format string, args ...any) {
	c.problems = append(c.problems, Problem{Section: section, Name: name, Field: field, Code: code, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (c *compiler) warn(section, name, field, code, remedy, format string, args ...any) {
	c.fail(section, name, field, code, remedy, format, args...)
	c.problems[len(c.problems)-1].Warning = true
}

func (c *compiler) failed() bool {
	return slices.ContainsFunc(c.problems, func(p Problem) bool { return !p.Warning })
}

func (c *compiler) addLists(lists []List) {
	for _, l := range lists {
		if _, twice := c.lists[l.Slug]; twice {
			c.fail("lists", l.Slug, "slug", "duplicate", "rename one of them", "there are two lists %q", l.Slug)
			continue
		}
		set := domainSet{}
		for _, text := range l.Domains {
			d, err := parseDomain(text)
			if err != nil {
				c.fail("lists", l.Slug, "domains", "domain", "", "list %q: %v", l.Slug, err)
				continue
			}
			set[d] = struct{}{}
		}
		if len(l.Domains) == 0 {
			c.warn("lists", l.Slug, "domains", "empty", "add domains or remove the list", "list %q is empty, so rules that ask for it match nothing", l.Slug)
		}
		c.lists[l.Slug] = set
	}
}

func (c *compiler) addRules(rules []Rule) {
	names := map[string]bool{}
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
	case r.Then.Pool == "" && r.Then.Rep == "":
		c.fail("rules", r.Name, "then", "no_target", "add then: {pool: SLUG}", "rule %q does not say where leads go", r.Name)
	case r.Then.Pool != "" && c.table.pools[r.Then.Pool] == nil:
		c.fail("rules", r.Name, "then.pool", "unknown", closest(r.Then.Pool, slices.Collect(maps.Keys(c.table.pools))), "rule %q: there is no pool %q", r.Name, r.Then.Pool)
	}
	v := variant{rule: cr}
	c.exactSets(&v, r)
	c.domainSets(&v, r)
	for _, g := range c.geographies(r) {
		expanded := v
		expanded.geo = g.place
		for dim, value := range g.vec {
			expanded.vec[dim] += value
		}
		c.variants = append(c.variants, &expanded)
	}
	if (r.Band == Override || r.Band == Match || r.Band == "") && r.When.empty() {
		c.warn("rules", r.Name, "when", "catches_all", "add a condition, or make it band: default", "rule %q has no condition, so rules of a weaker band are never reached", r.Name)
	}
	return cr
}

// empty tells whether the condition asks for nothing, so that every lead fulfils it.
func (w Condition) empty() bool {
	for _, values := range [][]string{
		w.DomainList, w.Domain, w.Territory, w.Postal, w.Region, w.Country, w.Product, w.Intent, w.DomainClass, w.Form, w.Source, w.Language,
	} {
		if len(values) > 0 {
			return false
		}
	}
	return true
}

// exactSets fills in what is compared as it is.
func (c *compiler) exactSets(v *variant, r Rule) {
	w := r.When
	for fact, values := range [facts][]string{
		factProduct: w.Product, factIntent: w.Intent, factDomainClass: w.DomainClass, factForm: w.Form, factSource: w.Source, factLanguage: w.Language,
	} {
		for _, value := range values {
			if value = folded(value); fact == factLanguage {
				value = strings.ReplaceAll(value, "_", "-")
			}
			v.sets[fact] = append(v.sets[fact], value)
		}
		if len(values) > 0 {
			v.vec[factDims[fact]] = 1
		}
	}
}

// domainSets fills in the e-mail domains.
func (c *compiler) domainSets(v *variant, r Rule) {
	if len(r.When.DomainList) > 0 {
		union := domainSet{}
		for _, slug := range r.When.DomainList {
			list, ok := c.lists[slug]
			if !ok {
				c.fail("rules", r.Name, "when.domain_list", "unknown", closest(slug, slices.Collect(maps.Keys(c.lists))), "rule %q: there is no list %q", r.Name, slug)
			}
			maps.Copy(union, list)
		}
		v.domains = append(v.domains, union)
		v.vec[dimDomainList] = 1
	}
	if len(r.When.Domain) > 0 {
		set := domainSet{}
		for _, text := range r.When.Domain {
			d, err := parseDomain(text)
			if err != nil {
				c.fail("rules", r.Name, "when.domain", "domain", "", "rule %q: %v", r.Name, err)
				continue
			}
			set[d] = struct{}{}
		}
		v.domains = append(v.domains, set)
		v.vec[dimDomain] = 1
	}
}

// fallbackPool is the pool of the unconditional default rule, without which leads could be lost.
func (c *compiler) fallbackPool(rules []*compiledRule) string {
	for _, r := range rules {
		if r.Band != Default || !r.When.empty() {
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

// finish sorts and indexes what has been checked.
func (c *compiler) finish() {
	strongest := map[*compiledRule]*variant{}
	for _, v := range c.variants {
		c.index(v)
		if s := strongest[v.rule]; s == nil {
			strongest[v.rule] = v
		} else if order, _ := v.vec.compare(s.vec); order > 0 {
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
		order, _ := vb.beats(va)
		return order
	})
}

// index files a variant under the most selective of the facts it asks for.
func (c *compiler) index(v *variant) {
	file := func(dim int, values ...string) {
		for _, value := range values {
			key := indexKey{dim, value}
			c.table.index[key] = append(c.table.index[key], v)
		}
	}
	switch {
	case len(v.domains) > 0:
		file(dimDomain, slices.Collect(maps.Keys(v.domains[0]))...)
	case v.geo.postal != "":
		file(dimPostal, v.geo.postal)
	case v.geo.region != "":
		file(dimRegion, v.geo.region)
	case v.geo.country != "":
		file(dimCountry, v.geo.country)
	default:
		for fact, set := range v.sets {
			if len(set) > 0 {
				file(factDims[fact], set...)
				return
			}
		}
		c.table.rest = append(c.table.rest, v)
	}
}
