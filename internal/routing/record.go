package routing

import (
	"encoding/json"
	"fmt"
	"maps"
)

// Record is one decision with all that it was made from, so that it can be explained, and made again months later. It is stored with
// the lead as JSON: added fields of World, Case, Facts and Outcome come along by themselves. It holds no contact details;
// Facts is the one part that tells something about the person, and stands apart so that an erasure can reduce it.
type Record struct {
	Decision
	Facts      Facts        `json:"facts"`
	Candidates []Considered `json:"candidates"`
	Stages     []Line       `json:"stages,omitempty"`     // what each stage found; nil: stored before they were, or passed at the first decision
	Under      int64        `json:"under,omitempty"`      // the version whose table placed the lead; Decision keeps that of the rules
	UnderHash  string       `json:"under_hash,omitempty"` // of that version's content
	Case       *Case        `json:"case,omitempty"`       // nil, like World: stored before inputs were
	World      *World       `json:"world,omitempty"`      // the part that mattered, as it was before
	Outcome    Outcome      `json:"outcome,omitzero"`
	To         string       `json:"to,omitempty"` // e-mail address of the rep who got the offer
	Reduced    bool         `json:"facts_reduced,omitempty"`
}

// PlaceAndRecord is Place, and gives what must be stored of it.
func PlaceAndRecord(t *Table, hash string, w *World, c Case) (Outcome, *Record) {
	before := w.around(t, c)
	out := Place(t, w, c)
	return out, newRecord(t, hash, before, c, out)
}

func newRecord(t *Table, hash string, before *World, c Case, out Outcome) *Record {
	r := &Record{
		Decision: out.Decision, Facts: c.Facts, Candidates: out.Considered, Stages: out.Stages, Under: t.Version(), UnderHash: hash, Case: &c, World: before, Outcome: out,
		To: out.to(),
	}
	if r.Candidates == nil {
		r.Candidates = []Considered{}
	}
	return r
}

// ReadRecord reads what was stored.
func ReadRecord(stored []byte) (*Record, error) {
	r := &Record{}
	if err := json.Unmarshal(stored, r); err != nil {
		return nil, fmt.Errorf("read a stored decision: %w", err)
	}
	r.Outcome.Decision, r.Outcome.Considered, r.Outcome.Stages = r.Decision, r.Candidates, r.Stages
	if r.Under == 0 {
		r.Under = r.Version
	}
	if r.Case != nil {
		r.Case.Facts = r.Facts
	}
	if r.World != nil {
		for email, p := range r.World.People {
			if p == nil {
				return nil, fmt.Errorf("read a stored decision: it names %s without saying more", email)
			}
			p.Email = email // the address is the key alone
		}
	}
	return r, nil
}

// Again is the case as it was put to Place, so that it can be put to it again. Only a Record that has a Case.
func (r *Record) Again() Case {
	c := *r.Case
	c.Facts, c.Decided = r.Facts, nil
	if c.Routed {
		decided := r.Decision
		c.Decided = &decided
	}
	return c
}

// to is the e-mail address of the rep who gets an exclusive offer.
func (o *Outcome) to() string {
	if o.Place == nil || o.Place.Rep == nil {
		return ""
	}
	return o.Place.Rep.Email
}

// around copies the part of the world that a case can touch: turns of its pools, and everybody who could be asked.
func (w *World) around(t *Table, c Case) *World {
	part := &World{Now: w.Now, People: map[string]*Person{}, Turns: map[string]map[string]Turn{}, Pools: map[string]Load{}}
	d := c.Decided
	if d == nil {
		decided := t.Decide(c.Facts, c.Facts.AcceptedAt)
		d = &decided
	}
	for _, email := range t.Asks(*d, c) {
		part.Take(w.People, email)
	}
	for _, p := range t.Chain(t.Home(*d, c.Facts)) {
		part.Take(w.People, p.LastResort)
		part.Take(w.People, p.Offer.Manager)
		for _, m := range p.Members {
			part.Take(w.People, m.Rep)
		}
		if turns, ok := w.Turns[p.TurnsKey()]; ok {
			part.Turns[p.TurnsKey()] = maps.Clone(turns)
		}
		for _, key := range p.Quotas() {
			part.Pools[key] = w.Pools[key]
		}
	}
	return part
}

// Clone copies everything that Place changes.
func (w *World) Clone() *World {
	c := &World{Now: w.Now, People: make(map[string]*Person, len(w.People)), Turns: maps.Clone(w.Turns), Pools: maps.Clone(w.Pools)}
	for email, p := range w.People {
		c.People[email] = p.clone()
	}
	for key, turns := range c.Turns {
		c.Turns[key] = maps.Clone(turns)
	}
	return c
}

func (p *Person) clone() *Person {
	c := *p
	return &c
}
