package simulate

import (
	"maps"

	"leadline/internal/rep"
	"leadline/internal/routing"
)

// past is the world as decisions saw it go by, and the turns that another table would have given in it.
type past struct {
	table  *routing.Table
	roster *rep.Roster
	people map[string]*routing.Person
	unseen map[string]bool                    // people whom no decision has looked at yet
	turns  map[string]map[string]routing.Turn // by TurnsKey of a pool, then member
	pools  map[string]routing.Load            // of pools and groups with limits of their own
}

// learn takes over what a decision knew of people and turns.
func (p *past) learn(r *routing.Record) {
	for email, who := range r.World.People {
		p.people[email] = who
		delete(p.unseen, email)
	}
	maps.Copy(p.pools, r.World.Pools)
	for key, turns := range r.World.Turns {
		p.keep(key, turns)
	}
}

func (p *past) keep(key string, turns map[string]routing.Turn) {
	if p.turns[key] == nil {
		p.turns[key] = map[string]routing.Turn{}
	}
	maps.Copy(p.turns[key], turns)
}

// place gives a lead of the past its place under the table.
func (p *past) place(r *routing.Record) routing.Outcome {
	c := r.Again()
	bare := routing.Place(p.table, &routing.World{Now: r.World.Now}, c) // only to learn which pools it is about
	w := &routing.World{Now: r.World.Now, People: map[string]*routing.Person{}, Turns: map[string]map[string]routing.Turn{}, Pools: maps.Clone(p.pools)}
	chain := p.table.Chain(p.table.Pool(bare.Home))
	for _, email := range p.table.Asks(bare.Decision, c) {
		w.Take(p.people, email)
	}
	for _, pool := range chain {
		w.Take(p.people, pool.LastResort)
		w.Take(p.people, pool.Offer.Manager)
		for _, m := range pool.Members {
			w.Take(p.people, m.Rep)
		}
		w.Turns[pool.TurnsKey()] = maps.Clone(p.turns[pool.TurnsKey()])
	}
	for email, who := range w.People {
		if p.unseen[email] {
			who.Status = p.roster.At(who.Rep, w.Now)
		}
	}
	out := routing.Place(p.table, w, c)
	for _, pool := range chain {
		p.keep(pool.TurnsKey(), w.Turns[pool.TurnsKey()])
	}
	return out
}
