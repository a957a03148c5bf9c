package routing

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"leadline/internal/lead"
	"leadline/internal/rep"
)

// BandOwner is the band of a decision for the rep whom a person or company belongs to already. Its rule and pool are those that the
// rules would have given: where the lead goes when that rep cannot take it.
const BandOwner Band = "owner"

// OwnerBy says why somebody is the owner of a lead that just came.
type OwnerBy string

// What can make an owner, in the order in which it counts.
const (
	ByPerson  OwnerBy = "person"  // has an open lead of the same person
	ByContact OwnerBy = "contact" // had the person's last lead, which is closed
	ByAccount OwnerBy = "account" // is named by a list that holds the company
	ByCompany OwnerBy = "company" // has an open lead from the same business domain
)

// OwnerKinds lists them in that order.
var OwnerKinds = []OwnerBy{ByPerson, ByContact, ByAccount, ByCompany}

// Absence says what becomes of a lead whose owner cannot take it.
type Absence string

// What can become of it.
const (
	AbsentPool       Absence = "pool"       // it goes where the rules send it, and the owner is told
	AbsentWait       Absence = "wait"       // it is kept for the owner for a while first
	AbsentSubstitute Absence = "substitute" // it is offered to who stands in for the owner first
)

// Owner says which leads go to the rep whom they belong to already, before any rule is asked. The zero Owner lets none.
type Owner struct {
	Match       []OwnerBy
	Within      time.Duration // so long a closed lead counts for ByContact; zero: for good
	Absent      Absence       // empty: AbsentPool
	Wait        time.Duration // with AbsentWait
	Substitutes map[string]string
}

// Stages are the policies of the stages before the rules. The zero Stages ask nothing.
type Stages struct {
	Owner  Owner
	Attach bool // a further lead of somebody whose lead is still open is attached to that one
}

// WithStages is the same table with policies for the stages before the rules.
func (t *Table) WithStages(s Stages) *Table {
	copied := *t
	copied.stages = s
	return &copied
}

// AsksWho tells whether it matters to the table what else is known of who sent a lead.
func (t *Table) AsksWho() bool { return t != nil && (t.stages.Attach || len(t.stages.Owner.Match) > 0) }

// AsksCompany tells whether it matters who has leads of the same company.
func (t *Table) AsksCompany() bool {
	return t != nil && slices.Contains(t.stages.Owner.Match, ByCompany)
}

// AttachesRepeats tells whether a further lead of somebody whose lead is still open is attached to that one.
func (t *Table) AttachesRepeats() bool { return t != nil && t.stages.Attach }

// Known is what else we have of who sent a lead, newest first: what the first stages look at.
type Known struct {
	Person  []Earlier `json:"person,omitempty"`  // leads of the same person, whatever the form
	Company []Earlier `json:"company,omitempty"` // leads in somebody's hands from the same business domain
}

// Earlier is a lead that was there before.
type Earlier struct {
	Lead   uuid.UUID `json:"lead"`
	Rep    string    `json:"rep,omitempty"`    // e-mail address of who has it, or had it last; empty: nobody yet
	Pool   string    `json:"pool,omitempty"`   // where it is
	Open   bool      `json:"open,omitempty"`   // it is offered, waits, or is in somebody's hands
	Closed time.Time `json:"closed,omitzero"`  // when it was closed
	Locked bool      `json:"locked,omitempty"` // nobody changes it before this decision is committed
}

// owner is somebody to whom a lead may belong already.
type owner struct {
	by  OwnerBy
	rep string
}

// owners are all of them, the strongest claim first.
func (t *Table) owners(c Case) []owner {
	var all []owner
	known := c.Known
	if known == nil {
		known = &Known{}
	}
	for _, by := range OwnerKinds {
		if !slices.Contains(t.stages.Owner.Match, by) {
			continue
		}
		switch by {
		case ByPerson, ByContact:
			for _, e := range known.Person {
				if e.Rep != "" && e.Open == (by == ByPerson) && (e.Open || t.stages.Owner.remembers(e, c.Facts.AcceptedAt)) {
					all = append(all, owner{by, e.Rep})
				}
			}
		case ByAccount:
			if rep := t.accountOwner(c.Facts); rep != "" {
				all = append(all, owner{by, rep})
			}
		case ByCompany:
			if c.Facts.DomainClass != lead.DomainBusiness {
				continue
			}
			for _, e := range known.Company {
				if e.Rep != "" {
					all = append(all, owner{by, e.Rep})
				}
			}
		}
	}
	return all
}

// remembers tells whether a lead was closed so lately that its rep is still the person's.
func (o Owner) remembers(e Earlier, now time.Time) bool {
	return o.Within == 0 || now.Sub(e.Closed) <= o.Within
}

// findOwner gives the first owner who is active; ok is false when there is none. inactive is the first who is not.
func (t *Table) findOwner(w *World, c Case) (found owner, ok bool, inactive owner) {
	for _, o := range t.owners(c) {
		if who := w.People[o.rep]; who != nil && who.Active {
			return o, true, inactive
		}
		if inactive.rep == "" {
			inactive = o
		}
	}
	return owner{}, false, inactive
}

// Asks lists everybody outside the pools whom a lead may be offered to: the person that a decision names, who may turn out to be its owner, and who
// stands in for them. d is what the rules say, or what was decided before.
func (t *Table) Asks(d Decision, c Case) []string {
	var all []string
	add := func(email string) {
		if email != "" && !slices.Contains(all, email) {
			all = append(all, email)
		}
	}
	add(d.Rep)
	if t == nil || !t.AsksWho() {
		return all
	}
	if !c.Routed {
		for _, o := range t.owners(c) {
			add(o.rep)
		}
	}
	for _, email := range slices.Clone(all) {
		add(t.stages.Owner.Substitutes[email])
	}
	return all
}

// tryOwner offers a lead to its owner, or does what the policy says for one who cannot take it.
func (o *Outcome) tryOwner(t *Table, w *World, c Case, s step) *Placement {
	who, policy := w.People[s.rep], t.stages.Owner
	if place := o.tryOne(w, c, s, w.offersTo); place != nil || who == nil || !who.Active {
		return place
	}
	switch policy.Absent {
	case AbsentSubstitute:
		if other := policy.Substitutes[s.rep]; other != "" {
			return o.tryOne(w, c, step{s.rung, s.pool, other}, w.offersTo)
		}
	case AbsentWait:
		if c.had(who.ID) {
			return nil // once is enough
		}
		o.explain(s, []Verdict{{Rep: s.rep, Outcome: Chosen, Reason: "owner: it is kept for them for " + policy.Wait.String()}})
		who.Load.Offers++
		return &Placement{Pool: s.pool.Slug, Rung: s.rung, Rep: who, Terms: policy.Wait, Kept: true}
	}
	return nil
}

// named says why a person was asked by name.
func (o *Outcome) named(s step) string {
	switch {
	case s.rung == RungLastResort:
		return "last resort"
	case s.rung == RungManager:
		return "manager of the pool"
	case o.Decision.Band != string(BandOwner):
		return "named by the rule"
	case s.rep != o.Decision.Rep:
		return "stands in for the owner"
	}
	return "owner"
}

// Passed tells the owner of a lead, and why it is not offered to them; ok is false when it is, or has none.
func (o *Outcome) Passed() (email string, why rep.Code, ok bool) {
	if o.Decision.Band != string(BandOwner) || o.Place == nil || o.Place.Held || o.to() == o.Decision.Rep {
		return "", rep.Able, false
	}
	for _, v := range o.Considered {
		if v.Rep == o.Decision.Rep && v.Outcome == Skipped {
			return v.Rep, v.Code, true
		}
	}
	return "", rep.Able, false
}
