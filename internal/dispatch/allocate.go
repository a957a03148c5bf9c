package dispatch

import (
	"fmt"

	"leadline/internal/lead"
	"leadline/internal/routing"
)

// allocate finds a place for every task, in order: each sees what those before it took.
//
// It is the one part that runs rules on what a visitor sent. A panic there is a bug, but it must cost one lead a detour and
// not stop everybody's: it comes back as an error, and the batch is taken apart.
func (w *world) allocate(batch []*task) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &poisonError{fmt.Errorf("allocate: %v", r)}
		}
	}()
	for _, t := range batch {
		w.place(t)
	}
	return nil
}

// place climbs the ladder to the first step that somebody can take. It leaves t.to nil when a waiting lead must go on waiting.
func (w *world) place(t *task) {
	first := t.first
	if first == nil {
		t.wait("")
		return
	}
	if t.attempt < first.Offer.Attempts {
		for _, s := range remaining(ladder(w.table, first, t.decision.Rep), t) {
			if t.to = w.try(t, s); t.to != nil {
				if t.to.pool != first.Slug && t.to.pool != t.pool {
					t.cause = causeOverflow
				}
				return
			}
		}
	}
	t.wait(first.Slug)
}

func (t *task) wait(pool string) {
	if t.stage != lead.StageWaiting || t.pool != pool {
		t.to = &placement{stage: lead.StageWaiting, pool: pool}
	}
}

// try gives the offer of one step, or nil when nobody can take it now.
func (w *world) try(t *task, s step) *placement {
	switch s.rung {
	case rungPerson:
		return w.tryOne(t, s, w.canTakeOffers)
	case rungLastResort:
		return w.tryOne(t, s, w.canBeCalledUpon)
	case rungTurn:
		return w.tryTurn(t, s)
	case rungPool:
		return w.tryPool(t, s)
	}
	return nil
}

func (w *world) tryOne(t *task, s step, able func(*routing.Pool, *person) string) *placement {
	who := w.reps[s.rep]
	if who == nil {
		t.explain(s, []routing.Verdict{{Rep: s.rep, Outcome: routing.Skipped, Reason: "no such rep"}})
		return nil
	}
	if reason := able(s.pool, who); reason != "" {
		t.explain(s, []routing.Verdict{{Rep: s.rep, Outcome: routing.Skipped, Reason: reason}})
		return nil
	}
	reason := "named by the rule"
	if s.rung == rungLastResort {
		reason = "last resort"
	}
	t.explain(s, []routing.Verdict{{Rep: s.rep, Outcome: routing.Chosen, Reason: reason}})
	return who.take(s)
}

func (w *world) tryTurn(t *task, s step) *placement {
	st := w.pools[s.pool.Slug]
	st.refresh(w, t)
	winner, verdicts := routing.Allocate(s.pool, st.cands, w.now)
	if winner < 0 && t.stage == lead.StageWaiting {
		st.refresh(w, nil) // everybody here has had it: whoever is back may have it again
		winner, verdicts = routing.Allocate(s.pool, st.cands, w.now)
	}
	t.explain(s, verdicts)
	if winner < 0 {
		return nil
	}
	st.dirty = true
	return w.reps[s.pool.Members[winner].Rep].take(s)
}

// take gives a rep an exclusive offer.
func (p *person) take(s step) *placement {
	p.open++
	p.today++
	id := p.ID
	return &placement{stage: lead.StageOffered, pool: s.pool.Slug, rung: s.rung, repID: &id, terms: s.pool.Offer.Exclusive}
}

// tryPool opens a lead to everybody in a pool. In a pool without turns it may stay open for good if there is nowhere else to go.
func (w *world) tryPool(t *task, s step) *placement {
	offer := &placement{stage: lead.StageOffered, pool: s.pool.Slug, rung: s.rung, terms: s.pool.Offer.Pool}
	open := s.pool.Hours.Open(w.now)
	if !takesTurns(s.pool) {
		st := w.pools[s.pool.Slug]
		st.refresh(w, t)
		_, verdicts := routing.Allocate(s.pool, st.cands, w.now)
		t.explain(s, verdicts)
		if open && w.table.Pool(s.pool.Overflow) == nil {
			offer.terms = 0
			return offer
		}
	}
	if !open {
		return nil
	}
	if !w.someoneIn(s.pool) {
		return nil
	}
	return offer
}

// someoneIn tells whether any member would see an offer to the whole pool and may take it.
func (w *world) someoneIn(p *routing.Pool) bool {
	st := w.pools[p.Slug]
	st.refresh(w, nil)
	for _, c := range st.cands {
		if ok, _ := routing.EligibleInPool(p, c, w.now); ok {
			return true
		}
	}
	return false
}

// canTakeOffers says why a rep cannot get an offer by name; empty: can.
func (w *world) canTakeOffers(in *routing.Pool, p *person) string {
	if ok, reason := routing.Eligible(in, routing.Candidate{RepID: p.ID, Rep: p.Rep, Open: p.open, Today: p.today}, w.now); !ok {
		return reason
	}
	return ""
}

// canBeCalledUpon is canTakeOffers for the last resort, whose working hours and limits do not count.
func (w *world) canBeCalledUpon(_ *routing.Pool, p *person) string {
	switch {
	case !p.Active:
		return "not active"
	case !p.TakesFromPool():
		return "presence is " + string(p.Presence)
	case !p.Reachable(w.now):
		return "not reachable"
	}
	return ""
}

// explain adds to the trace of a first decision.
func (t *task) explain(s step, verdicts []routing.Verdict) {
	if t.decided {
		return
	}
	elsewhere := ""
	if s.pool.Slug != t.decision.Pool {
		elsewhere = s.pool.Slug
	}
	for _, v := range verdicts {
		t.trace = append(t.trace, routing.Considered{Verdict: v, Pool: elsewhere})
	}
}

// ready tells whether leads that wait in a pool could be offered to somebody now. That only some rep in focus is there counts
// for nothing: the queue is open to them already.
func (w *world) ready(first *routing.Pool) bool {
	for _, s := range ladder(w.table, first, "") {
		switch {
		case s.rung == rungLastResort:
			if who := w.reps[s.rep]; who != nil && w.canBeCalledUpon(s.pool, who) == "" {
				return true
			}
		case !s.pool.Hours.Open(w.now):
		case s.rung == rungTurn:
			if w.anyTurn(s.pool) {
				return true
			}
		case !takesTurns(s.pool):
			if w.table.Pool(s.pool.Overflow) == nil || w.someoneIn(s.pool) {
				return true
			}
		}
	}
	return false
}

func (w *world) anyTurn(p *routing.Pool) bool {
	st := w.pools[p.Slug]
	st.refresh(w, nil)
	for _, c := range st.cands {
		if ok, _ := routing.Eligible(p, c, w.now); ok {
			return true
		}
	}
	return false
}
