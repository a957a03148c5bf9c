package routing

import (
	"slices"
	"strings"
	"time"

	"leadline/internal/rep"
)

// The codes of reasons that follow from a pool or a lead; those that follow from a rep alone are in package rep. Limits on points have the codes
// of those on leads with _points behind; those of a pool or a group begin with pool_cap_ and group_cap_.
const (
	CodeUnknownRep           = rep.Unknown
	CodePoolClosed  rep.Code = "pool_hours"       // the pool is outside its hours
	CodePoolHoliday rep.Code = "pool_holiday"     // the pool has a holiday of one of its calendars
	CodeLacksTag    rep.Code = "tag"              // the pool needs something that this rep cannot do
	CodeOffered     rep.Code = "offered_before"   // the lead was offered to this rep before
	CodeSecondLine  rep.Code = "second_line"      // somebody of the first line can take it
	CodeOpen        rep.Code = "cap_open"         // the caps, each with have and limit
	CodeOffers      rep.Code = "cap_offers"       //
	CodeUncontacted rep.Code = "cap_uncontacted"  //
	CodePerHour     rep.Code = "cap_per_hour"     //
	CodePerDay      rep.Code = "cap_per_day"      //
	CodePerWeek     rep.Code = "cap_per_week"     //
	CodeReserved    rep.Code = "cap_reserved_hot" // what is left of cap_open is kept for hot leads
	CodeLacksNeed   rep.Code = "needs"            // the rule that decided on the lead needs something that this rep cannot do
)

// Candidate is one member of a pool at the moment of allocation, with what a lead has to do with them.
type Candidate struct {
	Person
	Turn        Turn     // changed by Allocate
	Hot         bool     // the lead is hot
	Offered     bool     // it was offered to this rep before
	SameCompany bool     // the rep has an open lead of the same company
	Needs       []string // tags that the lead asks for
	Points      int      // what the lead counts in limits on points; 0: one

	full obstacle // what the pool or its group has reached
}

// obstacle is why somebody cannot get a lead. The zero obstacle is none.
type obstacle struct {
	code        rep.Code
	words       string
	have, limit int
	over        int // by how much a limit would be passed
}

// Eligible tells whether a lead may be offered to one rep by name, and if not, why: Reason in words for that rep and for ops, Code for
// programs. Caps are those of the rep's membership in the pool; somebody who is no member has none. p may be nil.
func Eligible(p *Pool, c Candidate, now time.Time) (ok bool, why Verdict) {
	o := eligible(p, p.member(c.Email), c, now)
	return o.code == rep.Able, o.verdict(c.Email)
}

// EligibleInPool is Eligible for leads that are open to a whole pool: somebody in focus may take those, and one offered to
// them before is no obstacle.
func EligibleInPool(p *Pool, c Candidate, now time.Time) (ok bool, why Verdict) {
	c.Offered = false
	if c.TakesFromPool() {
		c.Presence = rep.Available
	}
	return Eligible(p, c, now)
}

func (o obstacle) verdict(email string) Verdict {
	return Verdict{Rep: email, Outcome: Skipped, Reason: o.words, Code: o.code, Have: o.have, Limit: o.limit}
}

// member finds a rep's place in the pool; the zero Member when there is none.
func (p *Pool) member(email string) Member {
	if p == nil {
		return Member{}
	}
	if i := slices.IndexFunc(p.Members, func(m Member) bool { return m.Rep == email }); i >= 0 {
		return p.Members[i]
	}
	return Member{}
}

// eligible names the first thing that is in the way, in the order in which a person would want to hear it.
func eligible(p *Pool, m Member, c Candidate, now time.Time) obstacle {
	switch {
	case c.Status.Code == rep.Unknown:
		return obstacle{code: rep.Unknown, words: "no such rep"}
	case !c.Active:
		return obstacle{code: rep.Deactivated, words: "deactivated"}
	case c.Status.Absent():
		return obstacle{code: c.Status.Code, words: c.Status.Words()}
	case !c.TakesOffers():
		return obstacle{code: rep.NotPresent, words: presenceReason(c.Rep)}
	case !c.Status.Working():
		return obstacle{code: c.Status.Code, words: c.Status.Words()}
	case !c.Reachable(now):
		return obstacle{code: rep.Unreachable, words: "no console open"}
	}
	if p != nil {
		if missing := lacks(c.Rep, p.Needs); len(missing) > 0 {
			return obstacle{code: CodeLacksTag, words: "lacks the tag " + missing[0]}
		}
	}
	if missing := lacks(c.Rep, c.Needs); len(missing) > 0 {
		return lacksNeed(missing[0])
	}
	if o := m.reached(ofMember, c.Load, ask{hot: c.Hot, points: c.Points}); o.code != rep.Able {
		return o
	}
	if c.full.code != rep.Able {
		return c.full
	}
	if c.Offered {
		return obstacle{code: CodeOffered, words: "had it before"}
	}
	return obstacle{}
}

// lacks are the tags among some that somebody does not have.
func lacks(r rep.Rep, tags []string) (missing []string) {
	for _, tag := range tags {
		if !r.HasTag(tag) {
			missing = append(missing, tag)
		}
	}
	return missing
}

func lacksNeed(tag string) obstacle {
	return obstacle{code: CodeLacksNeed, words: "lacks the tag " + tag + ", which the rule asks for"}
}

func presenceReason(r rep.Rep) string {
	word := map[rep.Presence]string{rep.Focus: "in focus: pool only", rep.Away: "away", rep.Off: "off"}[r.Presence]
	if word == "" {
		word = "not available"
	}
	if reason := strings.TrimSpace(r.PresenceReason); reason != "" {
		return word + ": " + reason
	}
	return word
}
