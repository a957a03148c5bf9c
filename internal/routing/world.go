package routing

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"leadline/internal/lead"
	"leadline/internal/rep"
)

// World is everything that a placement reads beside the rules and the lead: the clock, people with what they hold, and turns.
// It is plain data, so that it can be stored with a decision and the decision taken again from it. Place changes it as it gives
// leads away; one goroutine uses it.
type World struct {
	Now    time.Time                  `json:"now"`
	People map[string]*Person         `json:"people,omitempty"` // by e-mail address
	Turns  map[string]map[string]Turn `json:"turns,omitempty"`  // by TurnsKey of a pool, then e-mail address; who is missing had no turn yet
	Pools  map[string]Load            `json:"pools,omitempty"`  // of pools with a Quota, by slug, and of groups with one, by group:NAME
}

// Person is a rep with whether they work and what counts towards limits.
type Person struct {
	rep.Rep
	Status rep.Status `json:"status,omitzero"`
	Load   Load       `json:"load,omitzero"`
}

// Load is what somebody, or a pool, has in hand and had lately. What a person has is that of all pools together.
type Load struct {
	Tally
	Points Tally `json:"points,omitzero"` // counted where a limit looks at points
}

// Tally counts leads, or their points.
type Tally struct {
	Offers      int `json:"offers,omitempty"`      // live offers: of a person exclusive ones
	Uncontacted int `json:"uncontacted,omitempty"` // leads claimed and not yet contacted
	Hour        int `json:"hour,omitempty"`        // leads claimed within the last hour
	Day         int `json:"day,omitempty"`         // since midnight in their zone
	Week        int `json:"week,omitempty"`        // since Monday in their zone
}

// Open is what has to be answered or called.
func (t Tally) Open() int { return t.Offers + t.Uncontacted }

// Plus adds two tallies.
func (t Tally) Plus(u Tally) Tally {
	return Tally{t.Offers + u.Offers, t.Uncontacted + u.Uncontacted, t.Hour + u.Hour, t.Day + u.Day, t.Week + u.Week}
}

// offer counts one more live offer.
func (l *Load) offer(points int) {
	l.Offers++
	l.Points.Offers += points
}

// Turn is where one member of a pool stands in its rotation.
type Turn struct {
	Credit float64   `json:"credit,omitempty"`
	Joined bool      `json:"joined,omitempty"` // had part in a turn before; who had not begins at the mean of the others
	LastAt time.Time `json:"last_at,omitzero"` // when they last got a lead by a turn
	SeenAt time.Time `json:"seen_at,omitzero"` // when they last had part in one, whoever got it
	Missed float64   `json:"missed,omitempty"` // turns that passed them by and may be caught up
	NextAt time.Time `json:"next_at,omitzero"` // when the next of these may be; zero: they have not come back yet
}

// TurnsKey says under which name a pool's turns are kept: its own, or that of its group.
func (p *Pool) TurnsKey() string {
	if p.Group != "" {
		return groupKey(p.Group)
	}
	return p.Slug
}

// ask is what a lead wants of whoever gets it.
type ask struct {
	hot     bool
	had     func(uuid.UUID) bool // to whom it was offered before; nil: to nobody
	company []string             // e-mail addresses of reps who have open leads of the same company
	needs   []string             // tags
	points  int                  // 0: one
}

// weight is what the lead counts in limits on points.
func (a ask) weight() int { return max(a.points, 1) }

// anyLead asks as little as a lead can: who cannot take it can take none.
var anyLead = ask{hot: true}

// ask is what a case that was decided on wants.
func (c Case) ask() ask {
	a := ask{hot: c.Facts.Intent == lead.IntentHigh, had: c.had, company: c.Company}
	if c.Decided != nil {
		a.needs, a.points = c.Decided.Needs, c.Decided.Points
	}
	return a
}

// again asks once more, of those too who had it before.
func (a ask) again() ask {
	a.had = nil
	return a
}

// candidates are the members of a pool as Allocate wants them, for one lead.
func (w *World) candidates(p *Pool, a ask) []Candidate {
	turns, full := w.Turns[p.TurnsKey()], w.full(p, a)
	cands := make([]Candidate, len(p.Members))
	for i, m := range p.Members {
		who := w.People[m.Rep]
		if who == nil { // in the configuration but not among the reps: never eligible
			cands[i].Email = m.Rep
			cands[i].Status.Code = rep.Unknown
			continue
		}
		cands[i] = Candidate{Person: *who, Turn: turns[m.Rep], full: full}
		cands[i].ask(a)
	}
	return cands
}

// ask notes what a lead has to do with a candidate.
func (c *Candidate) ask(a ask) {
	c.Hot, c.Needs, c.Points = a.hot, a.needs, a.points
	c.Offered = a.had != nil && a.had(c.ID)
	c.SameCompany = slices.Contains(a.company, c.Email)
}

// keep writes back what Allocate changed.
func (w *World) keep(p *Pool, cands []Candidate) {
	key := p.TurnsKey()
	if w.Turns == nil {
		w.Turns = map[string]map[string]Turn{}
	}
	if w.Turns[key] == nil {
		w.Turns[key] = map[string]Turn{}
	}
	for i, m := range p.Members {
		if cands[i].Turn != (Turn{}) {
			w.Turns[key][m.Rep] = cands[i].Turn
		}
	}
}

// Take copies one person from others into the world, if they are there and it has them not. An empty address is nobody.
func (w *World) Take(from map[string]*Person, email string) {
	if who := from[email]; who != nil && w.People[email] == nil {
		w.People[email] = who.clone()
	}
}
