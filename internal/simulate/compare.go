package simulate

import "leadline/internal/routing"

// Comparison counts what another configuration would have done otherwise with leads that were decided. One lead can count under several
// kinds.
type Comparison struct {
	Leads    int            `json:"leads"`      // compared
	Left     int            `json:"left_out"`   // erased, or from before inputs were stored
	Moved    int            `json:"moved"`      // to another pool or person, by the rules
	Rule     int            `json:"other_rule"` // decided by a rule of another name, wherever it leads
	Rep      int            `json:"other_rep"`  // would have been offered first to somebody else, whoever the rules name
	Slower   int            `json:"slower"`     // offered, but further down the ladder
	Faster   int            `json:"faster"`     // offered further up
	Unrouted int            `json:"unrouted"`   // nobody could be offered it at once, as somebody was
	CapHit   int            `json:"cap_hit"`    // somebody was at a limit who was not
	Moves    map[string]int `json:"moves"`      // "from > to", by pool or person
}

// otherMoves stands in Moves for those that there is no more room for.
const (
	mostMoves  = 500
	otherMoves = "others"
)

// The kinds of change, as reports and metrics name them.
const (
	Moved     = "moved"
	OtherRule = "other_rule"
	OtherRep  = "other_rep"
	Slower    = "slower"
	Faster    = "faster"
	Unrouted  = "unrouted"
	CapHit    = "cap_hit"
)

// changes lists in which ways a decision would have been another.
func changes(r *routing.Record, would routing.Outcome) (kinds []string) {
	note := func(kind string, is bool) {
		if is {
			kinds = append(kinds, kind)
		}
	}
	before, after := depth(r.Outcome), depth(would)
	note(Moved, r.Pool != would.Decision.Pool || r.Rep != would.Decision.Rep)
	note(OtherRule, r.Rule != would.Decision.Rule)
	note(OtherRep, r.To != offeredTo(would))
	note(Unrouted, after == nowhere && before < nowhere)
	note(Slower, after > before && after != nowhere)
	note(Faster, after < before)
	note(CapHit, capped(would.Considered) && !capped(r.Candidates))
	return kinds
}

// add counts one decision with what would have become of it, and gives the kinds of change.
func (c *Comparison) add(r *routing.Record, would routing.Outcome) []string {
	c.Leads++
	kinds := changes(r, would)
	for _, kind := range kinds {
		switch kind {
		case Moved:
			c.move(target(r.Decision) + " > " + target(would.Decision))
		case OtherRule:
			c.Rule++
		case OtherRep:
			c.Rep++
		case Slower:
			c.Slower++
		case Faster:
			c.Faster++
		case Unrouted:
			c.Unrouted++
		case CapHit:
			c.CapHit++
		}
	}
	return kinds
}

func (c *Comparison) move(way string) {
	c.Moved++
	if c.Moves == nil {
		c.Moves = map[string]int{}
	}
	if _, known := c.Moves[way]; !known && len(c.Moves) >= mostMoves {
		way = otherMoves
	}
	c.Moves[way]++
}

func target(d routing.Decision) string {
	if d.Rep != "" {
		return d.Rep
	}
	return d.Pool
}

// offeredTo is the e-mail address of who would get an exclusive offer; empty: nobody by name.
func offeredTo(o routing.Outcome) string {
	if o.Place == nil || o.Place.Rep == nil {
		return ""
	}
	return o.Place.Rep.Email
}

func capped(all []routing.Considered) bool {
	for _, c := range all {
		if c.Capped() {
			return true
		}
	}
	return false
}

// nowhere is the depth of a lead that nobody was offered.
const nowhere = 4

// depth is how far down its ladder a lead came before somebody could be offered it.
func depth(o routing.Outcome) int {
	switch p := o.Place; {
	case p == nil || p.Rung == "":
		return nowhere
	case p.Rung == routing.RungLastResort:
		return 3
	case p.Pool != o.Home:
		return 2
	case p.Rung == routing.RungPool:
		return 1
	}
	return 0
}
