package routing

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Explanation answers a rep who asks: why not me?
type Explanation struct {
	Got     bool     `json:"got"`               // it was offered to them, or open to a pool of theirs while they could take it
	Reason  string   `json:"reason"`            // what was found about them, in words
	Changes []Change `json:"changes,omitempty"` // the least that would have given it to them, all together; none: nothing that we know of
}

// Change is something that could have been otherwise.
type Change struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// Why explains a stored decision to one rep, with the table of the version that it was made under. now is that rep as they are today: it
// stands in where the decision did not look at them, and may be nil. The changes were tried: Place gives the lead to the
// rep with all of them, and no longer when any one is left out.
func (r *Record) Why(t *Table, email string, now *Person) Explanation {
	email = strings.ToLower(email)
	e := Explanation{Reason: r.reasonFor(email)}
	if r.Case == nil || r.World == nil || r.held() || r.joined() {
		e.Got = r.To == email
		return e
	}
	asked := r.situation(t, email, now)
	if e.Got = asked.gives(email); e.Got {
		return e
	}
	if asked.w.People[email] == nil {
		return e
	}
	for _, c := range least(asked, email) {
		e.Changes = append(e.Changes, c.Change)
	}
	return e
}

// reasonFor finds what the decision said about a rep.
func (r *Record) reasonFor(email string) string {
	reason := ""
	for _, c := range r.Candidates {
		if c.Rep == email {
			reason = c.Reason
		}
	}
	switch {
	case r.To == email:
		return "it was offered to them"
	case r.held():
		return "nobody was asked: it was held until somebody has looked at it"
	case r.joined():
		return "nobody was asked: it was attached to an open lead of the same person"
	case reason != "":
		return reason
	case r.To != "":
		return "they were not asked: the lead went to " + r.To + " first"
	case r.Outcome.Place != nil && !r.Outcome.Place.Waiting:
		return fmt.Sprintf("they were not asked by name: the lead was open to the pool %q", r.Outcome.Place.Pool)
	default:
		return fmt.Sprintf("they were not asked: the lead belongs to the pool %q", r.Pool)
	}
}

// joined tells leads that were attached to another.
func (r *Record) joined() bool { return r.Outcome.Place != nil && r.Outcome.Place.Joins != uuid.Nil }

// held tells leads that a rule keeps from routing.
func (r *Record) held() bool { return r.Outcome.Place != nil && r.Outcome.Place.Held }

// situation is everything that Place is asked with.
type situation struct {
	t *Table
	w *World
	c Case
}

func (r *Record) situation(t *Table, email string, now *Person) situation {
	s := situation{t: t, w: r.World, c: *r.Case}
	decided := r.Decision                                        // of an erased lead the facts would not lead here again in every version
	s.c.Facts, s.c.Decided, s.c.Routed = r.Facts, &decided, true // the stages have been passed: what they found is in the decision
	if s.w.People[email] == nil && now != nil {
		s.w = s.w.Clone()
		s.w.People[email] = now.clone()
	}
	return s
}

// with applies changes to a copy.
func (s situation) with(changes []change) situation {
	s.w, s.c.Past = s.w.Clone(), slices.Clone(s.c.Past)
	decided := *s.c.Decided
	s.c.Decided = &decided
	for _, c := range changes {
		c.apply(&s)
	}
	return s
}

// gives tells whether the rep gets the lead: by name, or as one of a pool while they may take it.
func (s situation) gives(email string) bool {
	w := s.w.Clone()
	place := Place(s.t, w, s.c).Place
	switch {
	case place == nil || place.Waiting:
		return false
	case place.Rep != nil:
		return place.Rep.Email == email
	}
	p := s.t.Pool(place.Pool)
	i := slices.IndexFunc(p.Members, func(m Member) bool { return m.Rep == email })
	if i < 0 {
		return false
	}
	ok, _ := EligibleInPool(p, w.candidates(p, s.c.ask().again())[i], w.Now)
	return ok
}

// least looks for the fewest changes that give the lead to the rep: whatever stands in the way of the person themselves is taken away,
// and up to three things about rules, pools and turns are changed; then all that was not needed is put back.
func least(s situation, email string) []change {
	person, rest := obstacles(s, email), circumstances(s, email)
	var best []change
	for size := 0; size <= 3 && best == nil; size++ {
		choose(rest, size, func(some []change) {
			set := slices.Concat(person, some)
			if best != nil && len(some) >= len(best) || !s.with(set).gives(email) {
				return
			}
			if set = needed(s, email, set); best == nil || len(set) < len(best) {
				best = set
			}
		})
	}
	return best
}

// needed drops every change without which the rep would have got the lead all the same. What was needed may not be any more once others
// are gone, so it looks again until nothing is dropped.
func needed(s situation, email string, set []change) []change {
	for before := len(set) + 1; len(set) < before; {
		before = len(set)
		for i := len(set) - 1; i >= 0; i-- {
			if fewer := slices.Delete(slices.Clone(set), i, i+1); s.with(fewer).gives(email) {
				set = fewer
			}
		}
	}
	return set
}

// choose calls f with every selection of so many changes of which no two exclude each other.
func choose(from []change, size int, f func([]change)) {
	var chosen []change
	var pick func(at int)
	pick = func(at int) {
		if len(chosen) == size {
			f(chosen)
			return
		}
		for i := at; i < len(from); i++ {
			if slices.ContainsFunc(chosen, func(c change) bool { return c.instead == from[i].instead }) {
				continue
			}
			chosen = append(chosen, from[i])
			pick(i + 1)
			chosen = chosen[:len(chosen)-1]
		}
	}
	pick(0)
}

// Capped tells whether somebody was passed over because of a limit.
func (v Verdict) Capped() bool {
	return v.Outcome == Skipped && (strings.Contains(string(v.Code), "cap_") || strings.HasPrefix(v.Reason, "at limit"))
}
