package routing

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// refuseTies finds rules that rank equally, can match the same lead and send it to different places. Equal specificity means that both
// ask in the same dimensions, so two variants can tie only in the same leaf, or in two whose ways differ by related values: a domain
// and one below it, a language with and without its country, two lists that share a domain. Those with too many values to be filed
// under all of them are compared with whatever they agree with.
func (c *compiler) refuseTies() {
	t := &ties{compiler: c, told: map[[2]*compiledRule]bool{}, kin: c.kinships()}
	for i := range c.table.bands {
		root := &c.table.bands[i]
		root.walk(nil, func(way []hop, leaf []*variant) {
			t.within(way, leaf)
			if t.related(way) {
				t.across(root, nil, way, way, leaf)
			}
		})
	}
	for _, v := range c.variants {
		if v.rest != 0 {
			t.wide(&c.table.bands[v.rule.rank], nil, v.asks(), v)
		}
	}
	slices.SortFunc(t.found, func(a, b tie) int {
		return cmp.Or(strings.Compare(a.a.Name, b.a.Name), strings.Compare(a.b.Name, b.b.Name))
	})
	for _, f := range t.found {
		c.fail("rules", f.b.Name, "", "tie", "make one of them more specific, or give one a higher priority",
			"rules %q and %q are equally strong and disagree about %s", f.a.Name, f.b.Name, f.sample)
	}
}

// tie is two rules that disagree about a lead.
type tie struct {
	a, b   *compiledRule
	sample string // the lead, in words
}

// ties is the state of one refuseTies.
type ties struct {
	*compiler
	found []tie
	told  map[[2]*compiledRule]bool
	kin   [dims]map[string][]string // values that a lead may have together with this one, both directions
}

// within compares the variants of one leaf, which are sorted by strength. Of those that always apply one for each target is enough to
// compare the others with.
func (t *ties) within(way []hop, leaf []*variant) {
	for from := 0; from < len(leaf); {
		to := from + 1
		for to < len(leaf) && leaf[to].ranksWith(leaf[from]) {
			to++
		}
		t.run(way, leaf[from:to])
		from = to
	}
}

func (t *ties) run(way []hop, equal []*variant) {
	var seen []*variant
	for _, v := range equal {
		plain := v.rest == 0 && v.rule.always()
		for _, w := range seen {
			if t.disagree(w, v) {
				t.tell(w, v, way, way)
				break
			}
			if plain && w.rest == 0 && w.rule.always() && w.rule.sameTarget(v.rule) {
				plain = false // w stands for it
			}
		}
		if plain || v.rest != 0 || !v.rule.always() {
			seen = append(seen, v)
		}
	}
}

// ranksWith tells whether nothing but their conditions can tell two variants of a band apart.
func (v *variant) ranksWith(w *variant) bool {
	return v.vec == w.vec && v.rule.Priority == w.rule.Priority
}

// disagree tells whether a lead can fulfil two variants that rank alike, whose ways agree, and would be sent to two places.
func (t *ties) disagree(a, b *variant) bool {
	if a.rule == b.rule || a.rule.sameTarget(b.rule) || !a.rule.meets(b.rule) {
		return false
	}
	for dim := range dims {
		if (a.rest | b.rest).has(dim) && !t.meet(dim, a.row.values[dim], b.row.values[dim]) {
			return false
		}
	}
	return true
}

func (t *ties) meet(dim int, a, b []string) bool {
	for _, x := range a {
		if _, ok := slices.BinarySearch(b, x); ok {
			return true
		}
		for _, y := range t.kin[dim][x] {
			if _, ok := slices.BinarySearch(b, y); ok {
				return true
			}
		}
	}
	return false
}

func (t *ties) related(way []hop) bool {
	return slices.ContainsFunc(way, func(h hop) bool { return len(t.kin[h.dim][h.value]) > 0 })
}

// across compares a leaf with those whose ways differ from its own by related values.
func (t *ties) across(n *tree, taken, left, way []hop, leaf []*variant) {
	if len(left) == 0 {
		if slices.Equal(taken, way) {
			return
		}
		for _, v := range leaf {
			for _, w := range n.leaf {
				if v.ranksWith(w) && t.disagree(w, v) {
					t.tell(w, v, taken, way)
				}
			}
		}
		return
	}
	h := left[0]
	i := slices.IndexFunc(n.edges, func(e *edge) bool { return e.dim == h.dim })
	if i < 0 {
		return
	}
	for _, value := range append([]string{h.value}, t.kin[h.dim][h.value]...) {
		if next := n.edges[i].to[value]; next != nil {
			t.across(next, append(slices.Clip(taken), hop{h.dim, value}), left[1:], way, leaf)
		}
	}
}

// wide compares a variant that is not filed under all that it asks for with those on every way that agrees with it.
func (t *ties) wide(n *tree, way []hop, left []asked, v *variant) {
	if len(left) == 0 {
		for _, w := range n.leaf {
			if v.ranksWith(w) && t.disagree(v, w) {
				t.tell(v, w, way, way)
			}
		}
		return
	}
	t.wide(n, way, left[1:], v) // others may be filed without this dimension too
	for _, e := range n.edges {
		if e.dim != left[0].dim {
			continue
		}
		for value, next := range e.to {
			if t.meet(e.dim, []string{value}, left[0].values) {
				t.wide(next, append(slices.Clip(way), hop{e.dim, value}), left[1:], v)
			}
		}
	}
}

func (t *ties) tell(a, b *variant, wayA, wayB []hop) {
	if a.rule.Name > b.rule.Name {
		a, b, wayA, wayB = b, a, wayB, wayA
	}
	pair := [2]*compiledRule{a.rule, b.rule}
	if t.told[pair] {
		return
	}
	t.told[pair] = true
	t.found = append(t.found, tie{a.rule, b.rule, sample(wayA, wayB)})
}

// sample describes a lead that goes both ways.
func sample(a, b []hop) string {
	var words []string
	for i, h := range a {
		value := h.value
		if len(b[i].value) > len(value) && h.dim != dimDomainList && h.dim != dimAccountList {
			value = b[i].value // of a domain and one below it the lower one is in both
		}
		switch h.dim {
		case dimPostal:
			country, postal, _ := strings.Cut(value, ":")
			words = append(words, "from "+country+", postal code "+postal)
		case dimRegion:
			words = append(words, "from "+value)
		case dimCountry:
			if i == 0 || a[i-1].dim != dimPostal && a[i-1].dim != dimRegion {
				words = append(words, "from "+value)
			}
		case dimDomain:
			words = append(words, "with e-mail domain "+value)
		case dimDomainList:
			if b[i].value != value {
				value += " and " + b[i].value
			}
			words = append(words, "with an e-mail domain on list "+value)
		case dimAccountList:
			if b[i].value != value {
				value += " and " + b[i].value
			}
			words = append(words, "of a company on list "+value)
		default:
			words = append(words, "with "+dimNames[h.dim]+" "+value)
		}
	}
	if len(words) == 0 {
		return "every lead"
	}
	return "a lead " + strings.Join(words, ", ")
}

// kinships finds, of the dimensions in which a lead can have several values, those that go together.
func (c *compiler) kinships() (kin [dims]map[string][]string) {
	used := [dims]map[string]bool{dimDomain: {}, dimLanguage: {}}
	rows := map[*row]bool{}
	for _, v := range c.variants {
		if rows[v.row] {
			continue
		}
		rows[v.row] = true
		for _, dim := range []int{dimDomain, dimLanguage} {
			for _, value := range v.row.values[dim] {
				used[dim][value] = true
			}
		}
	}
	pair := func(dim int, a, b string) {
		if kin[dim] == nil {
			kin[dim] = map[string][]string{}
		}
		kin[dim][a] = append(kin[dim][a], b)
		kin[dim][b] = append(kin[dim][b], a)
	}
	for domain := range used[dimDomain] {
		for _, above := range suffixes(domain)[1:] {
			if used[dimDomain][above] {
				pair(dimDomain, domain, above)
			}
		}
	}
	for tag := range used[dimLanguage] {
		if base, _, found := strings.Cut(tag, "-"); found && used[dimLanguage][base] {
			pair(dimLanguage, tag, base)
		}
	}
	c.listKin(pair)
	c.accountKin(pair)
	return kin
}

// accountKin pairs lists that a company can be on together: by a name or a domain on both, or by its name on one and its domain on the
// other, since the compiler cannot know which name goes with which domain.
func (c *compiler) accountKin(pair func(dim int, a, b string)) {
	used := map[string]bool{}
	for _, v := range c.variants {
		for _, list := range v.row.values[dimAccountList] {
			used[list] = true
		}
	}
	lists := slices.Sorted(maps.Keys(used))
	shared := map[[2]string]bool{}
	c.listKin(func(_ int, a, b string) { shared[[2]string{a, b}] = true })
	for _, on := range c.table.companies {
		for i, a := range on {
			for _, b := range on[i+1:] {
				shared[[2]string{min(a, b), max(a, b)}] = true
			}
		}
	}
	for i, a := range lists {
		la := c.knownLists[a]
		for _, b := range lists[i+1:] {
			lb := c.knownLists[b]
			if shared[[2]string{a, b}] || len(la.Companies) > 0 && len(lb.Domains) > 0 || len(la.Domains) > 0 && len(lb.Companies) > 0 {
				pair(dimAccountList, a, b)
			}
		}
	}
}

// listKin pairs lists that a domain can be on together.
func (c *compiler) listKin(pair func(dim int, a, b string)) {
	paired := map[[2]string]bool{}
	for domain := range c.table.lists {
		var on []string
		for _, d := range suffixes(domain) {
			on = append(on, c.table.lists[d]...)
		}
		for i, a := range on {
			for _, b := range on[i+1:] {
				both := [2]string{min(a, b), max(a, b)}
				if a != b && !paired[both] {
					paired[both] = true
					pair(dimDomainList, both[0], both[1])
				}
			}
		}
	}
}
