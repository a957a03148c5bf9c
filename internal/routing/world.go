package routing

import (
	"math"
	"time"

	"github.com/google/uuid"

	"leadline/internal/rep"
)

// World is everything that a placement reads beside the rules and the lead: the clock, people with what they hold, and turns.
// It is plain data, so that it can be stored with a decision and the decision taken again from it. Place changes it as it gives
// leads away; one goroutine uses it.
type World struct {
	Now    time.Time          `json:"now"`
	People map[string]*Person `json:"people,omitempty"` // by e-mail address
	Turns  map[string][]Turn  `json:"turns,omitempty"`  // by pool, in the order of its members; a pool that is missing has given no turns yet
}

// Person is a rep with what counts towards limits.
type Person struct {
	rep.Rep
	Open  int `json:"open,omitempty"`  // live exclusive offers plus leads claimed and not yet contacted
	Today int `json:"today,omitempty"` // leads claimed since midnight in the rep's zone, plus live exclusive offers
}

// Turn is where one member of a pool stands in its rotation.
type Turn struct {
	Credit float64   `json:"credit,omitempty"`
	Joined bool      `json:"joined,omitempty"` // had part in a turn before; who had not begins at the mean of the others
	LastAt time.Time `json:"last_at,omitzero"`
}

// candidates are the members of a pool as Allocate wants them. had tells to whom the lead was offered before; nil: to nobody.
func (w *World) candidates(p *Pool, had func(uuid.UUID) bool) []Candidate {
	turns := w.Turns[p.Slug]
	cands := make([]Candidate, len(p.Members))
	for i, m := range p.Members {
		who := w.People[m.Rep]
		if who == nil { // in the configuration but not among the reps: never eligible
			cands[i].Rep.Email = m.Rep
			continue
		}
		c := Candidate{RepID: who.ID, Rep: who.Rep, Open: who.Open, Today: who.Today, Credit: math.NaN()}
		if i < len(turns) {
			c.LastAt = turns[i].LastAt
			if turns[i].Joined {
				c.Credit = turns[i].Credit
			}
		}
		c.Offered = had != nil && had(who.ID)
		cands[i] = c
	}
	return cands
}

// keep writes back what Allocate changed.
func (w *World) keep(p *Pool, cands []Candidate) {
	turns := make([]Turn, len(cands))
	for i, c := range cands {
		turns[i] = Turn{Joined: !math.IsNaN(c.Credit), LastAt: c.LastAt}
		if turns[i].Joined {
			turns[i].Credit = c.Credit
		}
	}
	if w.Turns == nil {
		w.Turns = map[string][]Turn{}
	}
	w.Turns[p.Slug] = turns
}

// Take copies one person from others into the world, if they are there and it has them not. An empty address is nobody.
func (w *World) Take(from map[string]*Person, email string) {
	if who := from[email]; who != nil && w.People[email] == nil {
		w.People[email] = who.clone()
	}
}
