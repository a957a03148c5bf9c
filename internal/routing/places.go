package routing

// placeSet is places of which can be asked quickly whether they contain another.
type placeSet struct {
	all     []place // each once, in the order in which they were added
	at      map[place]bool
	regions map[string]bool // countries of which it holds regions
	postal  map[string]bool // countries of which it holds postal codes
}

func (s *placeSet) add(p place) {
	if s.at[p] {
		return
	}
	s.at[p] = true
	s.all = append(s.all, p)
	switch {
	case p.region != "":
		s.regions = marked(s.regions, p.country)
	case p.postal != "":
		s.postal = marked(s.postal, p.country)
	}
}

func marked(m map[string]bool, country string) map[string]bool {
	if m == nil {
		m = map[string]bool{}
	}
	m[country] = true
	return m
}

// covers tells whether every lead in q is surely in one of the places.
func (s *placeSet) covers(q place) bool {
	if s.at[place{country: q.country}] || s.at[q] {
		return true
	}
	for n := 1; n < len(q.postal); n++ {
		if s.at[place{country: q.country, postal: q.postal[:n]}] {
			return true
		}
	}
	return false
}

// unsure tells that covers cannot know, because regions and postal codes cannot be compared.
func (s *placeSet) unsure(q place) bool {
	return q.region != "" && s.postal[q.country] || q.postal != "" && s.regions[q.country]
}
