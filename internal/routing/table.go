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
	bands   [3]tree             // by rank
	lists   map[string][]string // e-mail domain -> slugs of lists that hold it
	stages  Stages

	companies  map[string][]string // compared name of a company -> slugs of lists that hold it
	listOwners map[string]string   // slug of a list -> e-mail of the rep whose accounts they are
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
// Table without rules gives an empty Decision. now is the moment for which the question is asked: rules may begin and end.
func (t *Table) Decide(f Facts, now time.Time) Decision {
	if t == nil || len(t.rules) == 0 {
		return Decision{}
	}
	var buf [32]*variant
	return t.decision(t.matching(t.probe(f, now), buf[:0]))
}

// Without is Decide as if one rule were not there. Where no rule is left the Decision is empty.
func (t *Table) Without(rule string, f Facts, now time.Time) Decision {
	return t.decision(slices.DeleteFunc(t.matching(t.probe(f, now), nil), func(v *variant) bool { return v.rule.Name == rule }))
}

// matching appends the variants that a lead fulfils.
func (t *Table) matching(p *probe, out []*variant) []*variant {
	for rank := len(t.bands) - 1; rank >= 0; rank-- {
		out = t.bands[rank].collect(p, out)
	}
	return out
}

func (t *Table) decision(matched []*variant) Decision {
	if len(matched) == 0 {
		return Decision{}
	}
	best := matched[0]
	for _, v := range matched[1:] {
		if stronger(v, best) < 0 {
			best = v
		}
	}
	return Decision{
		Version: t.version, Rule: best.rule.Name, Band: best.rule.Band.name(),
		Pool: best.rule.pool, Rep: best.rule.Then.Rep, Hold: best.rule.Then.Hold, Needs: best.rule.Then.Needs, Points: best.rule.Then.Points,
		RunnersUp: runnersUp(best, matched),
	}
}

// runnersUp gives the rules that matched too, strongest first, each once and with what decided against it.
func runnersUp(best *variant, matched []*variant) []RunnerUp {
	if len(matched) == 1 {
		return nil
	}
	slices.SortFunc(matched, stronger)
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
