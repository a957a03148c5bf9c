package simulate

import (
	"context"
	"fmt"
	"maps"
	"time"

	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

// Backtest compares what was decided with what a draft would have decided. One lead can count under several kinds.
type Backtest struct {
	Leads    int            `json:"leads"`    // compared
	Left     int            `json:"left_out"` // erased, or from before inputs were stored
	Moved    int            `json:"moved"`    // to another pool or person
	Slower   int            `json:"slower"`   // offered, but further down the ladder
	Faster   int            `json:"faster"`   // offered further up
	Unrouted int            `json:"unrouted"` // nobody could be offered it at once, as somebody was
	CapHit   int            `json:"cap_hit"`  // somebody was at a limit who was not
	Moves    map[string]int `json:"moves"`    // "from > to", by pool or person
}

// History takes the first decisions of the time before now again under a draft, in the order in which the leads came, and counts what would
// have been otherwise. People are as they were at each decision; turns likewise where the draft asks the same pools, and as
// the draft itself would have given them elsewhere. Somebody whom no decision had looked at yet counts as available in their hours. progress
// is called now and then with how many leads of how many are done; the context cancels.
func History(ctx context.Context, db *postgres.DB, draft *playbook.Config, within time.Duration, progress func(done, of int)) (Backtest, error) {
	sum := Backtest{Moves: map[string]int{}}
	table, err := Compiled(draft, 0)
	if err != nil {
		return sum, err
	}
	past := &past{table: table, people: map[string]*routing.Person{}, turns: map[string]map[string]routing.Turn{}, pools: map[string]routing.Load{}, unseen: map[string]bool{}}
	all, err := rep.NewStore(db.Gorm).All(ctx)
	if err != nil {
		return sum, err
	}
	var now time.Time
	if err := db.Console.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return sum, fmt.Errorf("ask the database for its time: %w", err)
	}
	if past.roster, err = playbook.RosterOf(ctx, rep.NewStore(db.Gorm), draft, now); err != nil {
		return sum, err
	}
	for _, r := range all {
		r.Presence, r.PresenceBy, r.PresenceReason = rep.Available, rep.ByAPI, ""
		past.people[r.Email], past.unseen[r.Email] = &routing.Person{Rep: r}, true
	}
	err = eachFirst(ctx, db, within, func(s stored, r *routing.Record, done, of int) error {
		if done%1000 == 0 {
			progress(done, of)
		}
		if s.erased || r.World == nil || r.Outcome.Place == nil {
			sum.Left++
			return nil
		}
		past.learn(r)
		sum.add(r, past.place(r))
		return nil
	})
	return sum, err
}

// past is the world as it goes by.
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

// place gives a lead of the past its place under the draft.
func (p *past) place(r *routing.Record) routing.Outcome {
	c := routing.Case{Facts: r.Facts, New: true}
	bare := routing.Place(p.table, &routing.World{Now: r.World.Now}, c) // only to learn which pools it is about
	w := &routing.World{Now: r.World.Now, People: map[string]*routing.Person{}, Turns: map[string]map[string]routing.Turn{}, Pools: maps.Clone(p.pools)}
	chain := p.table.Chain(p.table.Pool(bare.Home))
	w.Take(p.people, bare.Decision.Rep)
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

// add compares what was with what would be.
func (b *Backtest) add(r *routing.Record, would routing.Outcome) {
	b.Leads++
	if r.Pool != would.Decision.Pool || r.Rep != would.Decision.Rep {
		b.Moved++
		b.Moves[target(r.Decision)+" > "+target(would.Decision)]++
	}
	before, after := depth(r.Outcome), depth(would)
	switch {
	case after == nowhere && before < nowhere:
		b.Unrouted++
	case after > before:
		b.Slower++
	case after < before:
		b.Faster++
	}
	if capped(would.Considered) && !capped(r.Candidates) {
		b.CapHit++
	}
}

func target(d routing.Decision) string {
	if d.Rep != "" {
		return d.Rep
	}
	return d.Pool
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
	case p == nil || p.Waiting:
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
