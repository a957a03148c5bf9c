package routing

import (
	"slices"
	"strings"
)

// Hole is a country that rules are about, and products of which its leads match no rule of their own.
type Hole struct {
	Country  string
	Products []string
}

// Holes finds countries that rules are about, and products which no rule covers there. products are those that forms offer; those that
// rules name count too. A rule about a country covers all products unless it names some, and the other way round; rules about neither
// cover nothing.
func (t *Table) Holes(products []string) []Hole {
	const all = ""
	covered := map[[2]string]bool{} // country, product
	countries, asked := map[string]bool{}, map[string]bool{}
	for _, product := range products {
		asked[folded(product)] = true
	}
	for i := range t.bands {
		t.bands[i].walk(nil, func(way []hop, leaf []*variant) {
			country, named := all, []string{all}
			for _, h := range way {
				switch h.dim {
				case dimPostal, dimRegion, dimCountry:
					country = h.value[:2]
				case dimProduct:
					named = []string{h.value}
				}
			}
			if rest := leaf[0].rest; rest.has(dimProduct) {
				named = leaf[0].row.values[dimProduct]
			}
			for _, product := range named {
				if country == all && product == all {
					continue
				}
				covered[[2]string{country, product}] = true
				countries[country], asked[product] = true, true
			}
		})
	}
	delete(countries, all)
	delete(asked, all)
	var holes []Hole
	for country := range countries {
		h := Hole{Country: country}
		for product := range asked {
			if !covered[[2]string{country, product}] && !covered[[2]string{country, all}] && !covered[[2]string{all, product}] {
				h.Products = append(h.Products, product)
			}
		}
		if len(h.Products) > 0 {
			slices.Sort(h.Products)
			holes = append(holes, h)
		}
	}
	slices.SortFunc(holes, func(a, b Hole) int { return strings.Compare(a.Country, b.Country) })
	return holes
}
