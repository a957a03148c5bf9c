package routing

import (
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"

	"leadline/internal/rep"
)

// Case is one lead that needs a place: what it is, and how far it has come.
type Case struct {
	Facts     Facts     `json:"-"`                   // a Record keeps them beside the case, where an erasure finds them
	Decided   *Decision `json:"-"`                   // where it belongs, if that is known already; nil: the rules say
	Routed    bool      `json:"routed,omitempty"`    // Decided is from before; otherwise it was taken just now, from these facts
	New       bool      `json:"new,omitempty"`       // it had no place yet
	Waits     bool      `json:"waits,omitempty"`     // it is in the waiting queue of Pool
	Withdrawn bool      `json:"withdrawn,omitempty"` // its offer was taken back, through no fault of the rep's answer
	Pool      string    `json:"pool,omitempty"`      // where it is now
	Past      []Past    `json:"past,omitempty"`      // earlier offers, oldest first
	Attempt   int       `json:"attempt,omitempty"`   // the number of the newest of them
	Company   []string  `json:"company,omitempty"`   // e-mail addresses of reps who have open leads of the same company
	From      uuid.UUID `json:"from,omitzero"`       // the rep in whose hands its time ran out: it goes to somebody else, or stays
	Escalated bool      `json:"escalated,omitempty"` // far more than its time is over: it goes to a manager, or stays
	Known     *Known    `json:"known,omitempty"`     // what else we have of who sent it; nil: nothing, or it was routed before
	Held      string    `json:"held,omitempty"`      // why it was held for review before, by names joined by commas
}

// Past is an earlier offer of a lead.
type Past struct {
	Attempt int       `json:"attempt"`
	Rung    Rung      `json:"rung"`
	Pool    string    `json:"pool"`
	Rep     uuid.UUID `json:"rep,omitzero"` // zero: to a whole pool
	State   string    `json:"state"`
}

func (c Case) last() (Past, bool) {
	if len(c.Past) == 0 {
		return Past{}, false
	}
	return c.Past[len(c.Past)-1], true
}

// counts tells whether an earlier offer was anybody's answer: one that was taken back was not.
func (c Case) counts(i int) bool {
	return c.Past[i].State != "withdrawn" && (!c.Withdrawn || i != len(c.Past)-1)
}

// answered is how many offers were answered or ran out.
func (c Case) answered() (n int) {
	for i := range c.Past {
		if c.counts(i) {
			n++
		}
	}
	return n
}

// turnsHad is how many members of a pool were asked one by one since the lead came to that.
func (c Case) turnsHad(pool string) (n int) {
	for i := len(c.Past) - 1; i >= 0 && c.Past[i].Rung == RungTurn && c.Past[i].Pool == pool; i-- {
		if c.counts(i) {
			n++
		}
	}
	return n
}

// spent tells whether a lead has had its attempts or its time, so that only the end of the ladder is left. A lead that waits climbs from the
// start whenever somebody is free, however long it takes.
func (c Case) spent(home *Pool, now time.Time) bool {
	if c.Waits || c.stays() {
		return false
	}
	return c.answered() >= home.Offer.Attempts || home.Offer.Total > 0 && now.Sub(c.Facts.AcceptedAt) >= home.Offer.Total
}

// stays tells leads that move only if somebody else can take them: their time ran out where they are.
func (c Case) stays() bool { return c.From != uuid.Nil || c.Escalated }

// lost tells the rep in whose hands the lead's time ran out.
func (c Case) lost(id uuid.UUID) bool { return id == c.From && id != uuid.Nil }

// had tells whether the lead was offered to a rep before, or is in their hands.
func (c Case) had(id uuid.UUID) bool {
	if c.lost(id) {
		return true
	}
	for _, p := range c.Past {
		if p.Rep == id {
			return true
		}
	}
	return false
}

// Placement is where a lead goes: an offer, or the waiting queue of a pool.
type Placement struct {
	Waiting bool          `json:"waiting,omitempty"`
	Pool    string        `json:"pool,omitempty"`   // empty: no pool is known for it, which is an alarm
	Rung    Rung          `json:"rung,omitempty"`   // of an offer
	Rep     *Person       `json:"-"`                // nil: of an offer to a whole pool
	Terms   time.Duration `json:"terms,omitempty"`  // how long an offer stands; 0: until somebody takes it
	Screen  time.Duration `json:"screen,omitempty"` // within which a console must show it; 0: nobody asks
	Kept    bool          `json:"kept,omitempty"`   // for a rep who cannot take it now: their absence does not end the offer
	Held    bool          `json:"held,omitempty"`   // it is kept for review: no offer, and no waiting
	Joins   uuid.UUID     `json:"joins,omitzero"`   // the open lead that it is attached to: no offer, and no waiting
}

// AlarmUnrouted says that the ladder has ended and nobody took the lead.
const AlarmUnrouted = "unrouted"

// Outcome is what Place found.
type Outcome struct {
	Decision   Decision     `json:"-"`
	Home       string       `json:"home,omitempty"`       // slug of the pool the lead belongs to; empty: none
	Place      *Placement   `json:"place,omitempty"`      // nil: it stays where it is
	Considered []Considered `json:"-"`                    // everybody who was looked at, in order
	Stages     []Line       `json:"-"`                    // what each stage found; nil: they were passed before
	Overflowed bool         `json:"overflowed,omitempty"` // the place is in another pool than the lead's own and than where it was
	Alarm      string       `json:"alarm,omitempty"`      // AlarmUnrouted, or empty
}

// Place is the whole decision for one lead: through the stages unless that was decided before, then up the ladder to the first step that
// somebody can take. It reads nothing but its arguments and gives the same answer for the same ones. w is changed by what
// is given away, so that the next lead sees it.
//
// Live dispatch, simulation, comparison with history and replay all call this; there is no second implementation.
func Place(t *Table, w *World, c Case) Outcome {
	out := Outcome{}
	var joins *Earlier
	out.Decision, out.Stages, joins = t.pass(w, c)
	c.Decided = &out.Decision
	home := t.Home(out.Decision, c.Facts)
	if home == nil {
		out.wait(c, "")
		return out
	}
	out.Home = home.Slug
	if out.Decision.Hold {
		out.Place = &Placement{Held: true}
		return out
	}
	if joins != nil {
		out.Place = &Placement{Pool: cmp.Or(joins.Pool, home.Slug), Joins: joins.Lead}
		return out
	}
	spent := c.spent(home, w.Now)
	steps := t.ladder(home, out.Decision.Rep)
	var empty *Pool // in which nobody can take a turn: the further turns need not be tried
	for _, s := range remaining(steps, c) {
		if spent && !s.rung.final() || s.rung == RungTurn && s.pool == empty {
			continue
		}
		if out.Place = out.try(t, w, c, s); out.Place != nil {
			w.offered(s.pool, c.ask().weight())
			out.Overflowed = out.Place.Pool != home.Slug && out.Place.Pool != c.Pool
			return out
		}
		if s.rung == RungTurn {
			empty = s.pool
		}
	}
	if c.stays() {
		return out
	}
	if spent || steps[len(steps)-1].rung == RungManager {
		out.Alarm = AlarmUnrouted
	}
	out.wait(c, home.Slug)
	return out
}

// Home is the pool that a lead belongs to: the one decided on, or what the rules say today if that pool is no more.
func (t *Table) Home(d Decision, f Facts) *Pool {
	if p := t.Pool(d.Pool); p != nil {
		return p
	}
	return t.Pool(t.Decide(f, f.AcceptedAt).Pool)
}

func (o *Outcome) wait(c Case, pool string) {
	if !c.Waits || c.Pool != pool {
		o.Place = &Placement{Waiting: true, Pool: pool}
	}
}

// try gives the offer of one step, or nil when nobody can take it now.
func (o *Outcome) try(t *Table, w *World, c Case, s step) *Placement {
	switch s.rung {
	case RungPerson:
		if o.Decision.Band == string(BandOwner) {
			return o.tryOwner(t, w, c, s)
		}
		return o.tryOne(w, c, s, w.offersTo)
	case RungLastResort, RungManager:
		return o.tryOne(w, c, s, w.callsUpon)
	case RungTurn:
		return o.tryTurn(w, c, s)
	case RungPool:
		return o.tryPool(t, w, c, s)
	}
	return nil
}

func (o *Outcome) tryOne(w *World, c Case, s step, able func(*Pool, *Person, ask) Verdict) *Placement {
	who := w.People[s.rep]
	if who == nil {
		o.explain(s, []Verdict{obstacle{code: rep.Unknown, words: "no such rep"}.verdict(s.rep)})
		return nil
	}
	if c.lost(who.ID) {
		o.explain(s, []Verdict{obstacle{code: CodeOffered, words: "has it, and their time ran out"}.verdict(s.rep)})
		return nil
	}
	if why := able(s.pool, who, c.ask()); why.Code != rep.Able {
		o.explain(s, []Verdict{why})
		return nil
	}
	o.explain(s, []Verdict{{Rep: s.rep, Outcome: Chosen, Reason: o.named(s)}})
	return who.take(c, s)
}

func (o *Outcome) tryTurn(w *World, c Case, s step) *Placement {
	cands := w.candidates(s.pool, c.ask())
	winner, verdicts := Allocate(s.pool, cands, w.Now)
	if winner < 0 && c.Waits {
		cands = w.candidates(s.pool, c.ask().again()) // everybody here has had it: whoever is back may have it again
		winner, verdicts = Allocate(s.pool, cands, w.Now)
	}
	o.explain(s, verdicts)
	if winner < 0 {
		return nil
	}
	w.keep(s.pool, cands)
	return w.People[s.pool.Members[winner].Rep].take(c, s)
}

// take gives a rep an exclusive offer.
func (p *Person) take(c Case, s step) *Placement {
	p.Load.offer(c.ask().weight())
	place := &Placement{Pool: s.pool.Slug, Rung: s.rung, Rep: p, Terms: s.pool.Offer.toOne(c.Facts)}
	if p.PresenceBy == rep.ByConsole {
		place.Screen = max(0, s.pool.Offer.Screen)
	}
	return place
}

// tryPool opens a lead to everybody in a pool. In a pool without turns it may stay open for good if there is nowhere else to go.
func (o *Outcome) tryPool(t *Table, w *World, c Case, s step) *Placement {
	offer := &Placement{Pool: s.pool.Slug, Rung: s.rung, Terms: s.pool.Offer.Pool}
	open := s.pool.Hours.Open(w.Now) && w.full(s.pool, c.ask()).code == rep.Able
	if !s.pool.TakesTurns() {
		_, verdicts := Allocate(s.pool, w.candidates(s.pool, c.ask()), w.Now)
		o.explain(s, verdicts)
		if open && t.Pool(s.pool.Overflow) == nil && w.anyoneCan(s.pool, c.ask().needs) && (c.From == uuid.Nil || w.someoneIn(s.pool, c)) {
			offer.Terms = 0
			return offer
		}
	}
	if !open || !w.someoneIn(s.pool, c) {
		return nil
	}
	return offer
}

// anyoneCan tells whether any member has the tags that a lead asks for, at work or not.
func (w *World) anyoneCan(p *Pool, needs []string) bool {
	return len(needs) == 0 || slices.ContainsFunc(p.Members, func(m Member) bool {
		who := w.People[m.Rep]
		return who != nil && len(lacks(who.Rep, needs)) == 0
	})
}

// someoneIn tells whether any member who did not let the case's time run out would see an offer to the whole pool and may take it. What is
// kept for hot leads may be taken from a pool by hand.
func (w *World) someoneIn(p *Pool, c Case) bool {
	asked, open := c.ask(), anyLead
	open.needs, open.points = asked.needs, asked.points
	for _, cand := range w.candidates(p, open) {
		if ok, _ := EligibleInPool(p, cand, w.Now); ok && !c.lost(cand.ID) {
			return true
		}
	}
	return false
}

// Able says why a person cannot get an offer by name from a pool; one without a Code: can. p may be nil, which knows no limits.
func (w *World) Able(p *Pool, email string) Verdict {
	who := w.People[email]
	if who == nil {
		return obstacle{code: rep.Unknown, words: "no such rep"}.verdict(email)
	}
	return w.offersTo(p, who, anyLead)
}

func (w *World) offersTo(in *Pool, p *Person, a ask) Verdict {
	_, why := Eligible(in, Candidate{Person: *p, Hot: true, Needs: a.needs, Points: a.points, full: w.full(in, a)}, w.Now)
	return why
}

// callsUpon is offersTo for the last resort and the manager, whose working hours, holidays and limits do not count. What the rule needs
// does: a licence is not made up for by rank.
func (w *World) callsUpon(_ *Pool, p *Person, a ask) Verdict {
	var o obstacle
	missing := lacks(p.Rep, a.needs)
	switch {
	case !p.Active:
		o = obstacle{code: rep.Deactivated, words: "not active"}
	case p.Status.Absent():
		o = obstacle{code: p.Status.Code, words: p.Status.Words()}
	case !p.TakesFromPool():
		o = obstacle{code: rep.NotPresent, words: "presence is " + string(p.Presence)}
	case !p.Reachable(w.Now):
		o = obstacle{code: rep.Unreachable, words: "not reachable"}
	case len(missing) > 0:
		o = lacksNeed(missing[0])
	}
	return o.verdict(p.Email)
}

// explain adds to the trace; the pool is named where it is not the one that the rule names.
func (o *Outcome) explain(s step, verdicts []Verdict) {
	elsewhere := ""
	if s.pool.Slug != o.Decision.Pool {
		elsewhere = s.pool.Slug
	}
	for _, v := range verdicts {
		o.Considered = append(o.Considered, Considered{Verdict: v, Pool: elsewhere})
	}
}

// Ready tells whether leads that wait in a pool could be offered to somebody now. That only some rep in focus is there counts
// for nothing: the queue is open to them already.
func Ready(t *Table, w *World, first *Pool) bool {
	for _, s := range t.ladder(first, "") {
		switch {
		case s.rung.final():
			if who := w.People[s.rep]; who != nil && w.callsUpon(s.pool, who, anyLead).Code == rep.Able {
				return true
			}
		case !s.pool.Hours.Open(w.Now) || w.full(s.pool, anyLead).code != rep.Able:
		case s.rung == RungTurn:
			if w.anyTurn(s.pool) {
				return true
			}
		case !s.pool.TakesTurns():
			if t.Pool(s.pool.Overflow) == nil || w.someoneIn(s.pool, Case{}) {
				return true
			}
		}
	}
	return false
}

func (w *World) anyTurn(p *Pool) bool {
	for _, c := range w.candidates(p, anyLead) {
		if ok, _ := Eligible(p, c, w.Now); ok {
			return true
		}
	}
	return false
}
