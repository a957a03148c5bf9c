package routing

import "slices"

// maxCells bounds how many combinations of values one variant is filed under; the dimensions with most values beyond that are compared
// when the variant has been found.
const maxCells = 4096

// tree finds the variants that a lead fulfils. Each edge asks for one value of one dimension, in the order of the dimensions, and
// dimensions that a variant does not ask for are not on its way. So a look-up costs as much as there are combinations of dimensions
// in use, however many rules there are.
type tree struct {
	leaf  []*variant // those that ask for nothing more
	edges []*edge    // at most one a dimension
}

type edge struct {
	dim int
	to  map[string]*tree
}

// hop is one edge on the way to a leaf.
type hop struct {
	dim   int
	value string
}

// edge gives the edge for a dimension, made if need be.
func (n *tree) edge(dim int) *edge {
	for _, e := range n.edges {
		if e.dim == dim {
			return e
		}
	}
	e := &edge{dim: dim, to: map[string]*tree{}}
	n.edges = append(n.edges, e)
	slices.SortFunc(n.edges, func(a, b *edge) int { return a.dim - b.dim })
	return e
}

// asked is what a variant asks for in one dimension.
type asked struct {
	dim    int
	values []string
}

// asks lists what a variant asks for, in the order of the dimensions.
func (v *variant) asks() []asked {
	var all []asked
	for dim := range dims {
		if v.vec[dim] == 0 || dim == dimNesting {
			continue
		}
		values := v.row.values[dim]
		switch dim {
		case dimPostal:
			values = []string{v.geo.country + ":" + v.geo.postal}
		case dimRegion:
			values = []string{v.geo.region}
		case dimCountry:
			values = []string{v.geo.country}
		}
		all = append(all, asked{dim, values})
	}
	return all
}

// filed is asks without the dimensions that would be too much for the tree, which are noted in v.rest.
func (v *variant) filed() []asked {
	all := v.asks()
	for cells(all) > maxCells {
		most := 0
		for i, a := range all {
			if len(a.values) > len(all[most].values) {
				most = i
			}
		}
		v.rest |= 1 << all[most].dim
		all = slices.Delete(all, most, most+1)
	}
	return all
}

func cells(all []asked) int {
	n := 1
	for _, a := range all {
		n = min(n*len(a.values), maxCells+1)
	}
	return n
}

// add files a variant under every combination of its values, but for those that its rule leaves out altogether. It tells how many
// there were.
func (n *tree) add(v *variant, way []hop, left []asked, leavesOut func([]hop) bool) int {
	if len(left) == 0 {
		if leavesOut != nil && leavesOut(way) {
			return 0
		}
		n.leaf = append(n.leaf, v)
		return 1
	}
	e, filed := n.edge(left[0].dim), 0
	for _, value := range left[0].values {
		next := e.to[value]
		if next == nil {
			next = &tree{}
			e.to[value] = next
		}
		filed += next.add(v, append(way, hop{e.dim, value}), left[1:], leavesOut)
	}
	return filed
}

// sort puts the strongest first in every leaf.
func (n *tree) sort() {
	n.walk(nil, func(_ []hop, leaf []*variant) { slices.SortStableFunc(leaf, stronger) })
}

// walk visits every leaf with the way to it. The way is reused: do not keep it.
func (n *tree) walk(way []hop, visit func(way []hop, leaf []*variant)) {
	if len(n.leaf) > 0 {
		visit(way, n.leaf)
	}
	for _, e := range n.edges {
		for value, next := range e.to {
			next.walk(append(way, hop{e.dim, value}), visit)
		}
	}
}

// collect appends the variants that a lead fulfils. Of those that are equally specific the strongest are enough: no trace keeps more.
func (n *tree) collect(p *probe, out []*variant) []*variant {
	for _, e := range n.edges {
		for _, value := range p.by[e.dim] {
			if next := e.to[value]; next != nil {
				out = next.collect(p, out)
			}
		}
	}
	rules := 0
	var last *compiledRule
	for _, v := range n.leaf {
		if rules > maxRunnersUp {
			break
		}
		if !v.holds(p) {
			continue
		}
		out = append(out, v)
		if v.rule != last {
			rules, last = rules+1, v.rule
		}
	}
	return out
}

// matches tells whether the lead fulfils any variant.
func (n *tree) matches(p *probe) bool {
	for _, v := range n.leaf {
		if v.holds(p) {
			return true
		}
	}
	for _, e := range n.edges {
		for _, value := range p.by[e.dim] {
			if next := e.to[value]; next != nil && next.matches(p) {
				return true
			}
		}
	}
	return false
}
