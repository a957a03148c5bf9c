package routing

import (
	"slices"
	"strings"
	"time"
)

// maxRunnersUp bounds what a trace keeps; with more rules matching, the strongest losers explain the most.
const maxRunnersUp = 8

// Table is one compiled version of the rules. It is immutable and safe for use by many goroutines. The zero Table and a nil
// *Table hold no rules.
type Table struct {
	version int64
	pools   map[string]*Pool
	byRep   map[string][]string // e-mail -> slugs of pools
	rules   []*compiledRule     // in effective order
	index   map[indexKey][]*variant
	rest    []*variant // variants without any dimension that could be looked up
}

// indexKey finds variants by the most selective fact they ask for.
type indexKey struct {
	dim   int
	value string
}

// Version is the number of the configuration that the table was compiled from.
func (t *Table) Version() int64 {
	if t == nil {
		return 0
	}
	return t.version
}

// Pool finds a pool; nil: there is none.
func (t *Table) Pool(slug string) *Pool {
	if t == nil {
		return nil
	}
	return t.pools[slug]
}

// Pools gives every pool, by slug.
func (t *Table) Pools() []*Pool {
	if t == nil {
		return nil
	}
	pools := make([]*Pool, 0, len(t.pools))
	for _, p := range t.pools {
		pools = append(pools, p)
	}
	slices.SortFunc(pools, func(a, b *Pool) int { return strings.Compare(a.Slug, b.Slug) })
	return pools
}

// PoolsOf gives the slugs of the pools that a rep is a member, the last resort or the manager of, sorted. Do not change the slice.
func (t *Table) PoolsOf(repEmail string) []string {
	if t == nil {
		return nil
	}
	return t.byRep[strings.ToLower(repEmail)]
}

// Rules gives the rules in the order in which they take effect for a lead that all of them match.
func (t *Table) Rules() []Rule {
	if t == nil {
		return nil
	}
	rules := make([]Rule, len(t.rules))
	for i, r := range t.rules {
		rules[i] = r.Rule
	}
	return rules
}

// Decide says where a lead goes and why. It always finds a rule, since a Table always ends in an unconditional one; only a
// Table without rules gives an empty Decision. now is the moment for which the question is asked.
func (t *Table) Decide(f Facts, _ time.Time) Decision {
	if t == nil || len(t.rules) == 0 {
		return Decision{}
	}
	var buf [32]*variant
	matched := t.matching(newProbe(f), buf[:0])
	best := matched[0]
	for _, v := range matched[1:] {
		if order, _ := v.beats(best); order > 0 {
			best = v
		}
	}
	d := Decision{
		Version: t.version, Rule: best.rule.Name, Band: best.rule.Band.name(),
		Pool: best.rule.pool, Rep: best.rule.Then.Rep,
	}
	d.RunnersUp = runnersUp(best, matched)
	return d
}

// matching appends every variant that the lead fulfils.
func (t *Table) matching(p *probe, out []*variant) []*variant {
	for _, domain := range p.suffixes {
		out = t.probe(out, p, dimDomain, domain)
	}
	if p.country != "" {
		for n := 1; n <= min(len(p.postal), maxPostal); n++ {
			out = t.probe(out, p, dimPostal, p.postal[:n])
		}
		out = t.probe(out, p, dimRegion, p.region)
		out = t.probe(out, p, dimCountry, p.country)
	}
	for i, value := range p.values {
		out = t.probe(out, p, factDims[i], value)
	}
	if p.language != p.values[factLanguage] {
		out = t.probe(out, p, dimLanguage, p.language)
	}
	for _, v := range t.rest {
		if v.matches(p) {
			out = append(out, v)
		}
	}
	return out
}

func (t *Table) probe(out []*variant, p *probe, dim int, value string) []*variant {
	if value == "" {
		return out
	}
	for _, v := range t.index[indexKey{dim, value}] {
		if v.matches(p) {
			out = append(out, v)
		}
	}
	return out
}

// runnersUp gives the rules that matched too, strongest first, each once and with what decided against it.
func runnersUp(best *variant, matched []*variant) []RunnerUp {
	if len(matched) == 1 {
		return nil
	}
	slices.SortFunc(matched, func(a, b *variant) int {
		if a.rule == b.rule {
			order, _ := b.vec.compare(a.vec)
			return order
		}
		order, _ := b.beats(a)
		return order
	})
	seen := []*compiledRule{best.rule}
	var out []RunnerUp
	for _, v := range matched {
		if len(out) == maxRunnersUp {
			break
		}
		if slices.Contains(seen, v.rule) {
			continue
		}
		seen = append(seen, v.rule)
		_, lost := best.beats(v)
		out = append(out, RunnerUp{Rule: v.rule.Name, Lost: lost})
	}
	return out
}
