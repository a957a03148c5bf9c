package routing

import (
	"fmt"
	"slices"
	"strings"
)

// Shadowed finds rules that can never win, because wherever they match another rule is stronger: one that asks for no more and belongs
// to a stronger band, is ranked higher by hand or names a deeper territory. Several rules that are stronger only together are not seen,
// nor is what begins, ends, has exceptions or only holds leads back taken for stronger.
func (t *Table) Shadowed() []Problem {
	s := &shadows{table: t, wins: map[*compiledRule]bool{}, beaten: map[*compiledRule]*compiledRule{}}
	for i := range t.bands {
		t.bands[i].walk(nil, s.leaf)
	}
	var found []Problem
	for _, r := range t.rules {
		by := s.beaten[r]
		switch {
		case s.wins[r]:
		case by == nil:
			found = append(found, Problem{
				Section: "rules", Name: r.Name, Code: "matches_nothing", Warning: true, Remedy: "correct or remove it",
				Message: fmt.Sprintf("rule %q matches no lead at all", r.Name),
			})
		case by.Band != Default && !by.conditional():
			// What catches everything is told of once, at that rule.
		default:
			found = append(found, Problem{
				Section: "rules", Name: r.Name, Code: "shadowed", Warning: true, Remedy: "make it more specific, or remove it",
				Message: fmt.Sprintf("rule %q can never win: where it matches, rule %q is stronger", r.Name, by.Name),
			})
		}
	}
	slices.SortFunc(found, func(a, b Problem) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// shadows is the state of one Shadowed.
type shadows struct {
	table  *Table
	wins   map[*compiledRule]bool          // somewhere
	beaten map[*compiledRule]*compiledRule // by whom, of rules that do not win everywhere
	buf    []*variant
}

// leaf finds out which variants of a leaf can win there: for a lead of which no more is known than they ask for.
func (s *shadows) leaf(way []hop, leaf []*variant) {
	p := s.table.on(way)
	s.buf = s.table.matching(p, s.buf[:0])
	sure := slices.DeleteFunc(s.buf, func(v *variant) bool { return !v.rule.always() || v.rule.except != nil || v.rule.Then.Hold })
	for _, v := range leaf {
		i := slices.IndexFunc(sure, func(w *variant) bool { return w.rule != v.rule && stronger(w, v) < 0 })
		switch {
		case i < 0:
			s.wins[v.rule] = true
		case s.beaten[v.rule] == nil || sure[i].rule.Name < s.beaten[v.rule].Name:
			s.beaten[v.rule] = sure[i].rule
		}
	}
}
