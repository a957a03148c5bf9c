package live

import (
	"bytes"
	"time"

	"github.com/google/uuid"

	"leadline/internal/lead"
)

// Card is what consoles may know of one lead: everything but the contact. Cards are immutable; a change makes a new one.
type Card struct {
	ID      uuid.UUID
	Version int64 // the newest event known when the card was read: the same version always shows the same facts

	Form, Intent, Product     string
	Country, Region, Timezone string
	Source, DomainClass       string
	AcceptedAt                time.Time
	Stage                     lead.Stage
	CRMState                  lead.CRMState
	Pool                      string
	RepID                     *uuid.UUID // the holder
	Attempt                   int        // the newest offer
	ClaimedAt                 *time.Time
	FirstTouchAt              *time.Time
	ClosedAt                  *time.Time
	Again                     *time.Time // when the same person last sent another lead, which was attached to this one
	Disposition               string
	Demo                      bool

	OfferKind     string     // exclusive, pool, or empty: no open offer
	OfferRep      *uuid.UUID // only with an exclusive offer
	OfferDeadline *time.Time // nil: stays open

	CRMURL      string // where the record can be opened, or empty
	CRMAttempts int    // writes tried since the last success

	Goal  *time.Time // when the first touch is due, or the clock; nil: no goal, or the clock stands with no end
	Clock *Clock     // the clock that Goal is of; nil: it is the goal of the first touch
}

// Clock is the clock of a lead that runs out next, of those that its pool has.
type Clock struct {
	Kind   string // accept, first_attempt or contact
	Target time.Duration
	WarnAt *time.Time
	Since  *time.Time // it stands until then; nil: until somebody lets it run
}

// Stands tells whether the clock is paused at a moment.
func (c *Clock) Stands(now time.Time) bool { return c.Since == nil || c.Since.After(now) }

// Hot tells whether the lead takes the hot path.
func (c *Card) Hot() bool { return c.Intent == lead.IntentHigh }

// Claimable tells whether any eligible rep of the pool may take the lead now.
func (c *Card) Claimable() bool {
	switch c.Stage {
	case lead.StageOffered:
		return c.OfferKind == "pool"
	case lead.StageWaiting:
		return true
	}
	return false
}

// OfferedTo gives the rep whom the lead is offered to alone, if there is one.
func (c *Card) OfferedTo() (uuid.UUID, bool) {
	if c.Stage == lead.StageOffered && c.OfferRep != nil {
		return *c.OfferRep, true
	}
	return uuid.Nil, false
}

// Finished gives the moment the holder's work moved past the claim: first touch or closing, or after a first touch that the person wrote
// again, which brings the card to the front. ok is false before.
func (c *Card) Finished() (at time.Time, ok bool) {
	switch {
	case c.RepID == nil || c.Stage == lead.StageClaimed:
		return time.Time{}, false
	case c.ClosedAt != nil:
		return *c.ClosedAt, true
	case c.FirstTouchAt != nil && c.Again != nil && c.Again.After(*c.FirstTouchAt):
		return *c.Again, true
	case c.FirstTouchAt != nil:
		return *c.FirstTouchAt, true
	}
	return time.Time{}, false
}

// moreUrgent orders cards: overdue first, then least time left (both are the earlier goal), then hot, then arrival.
func moreUrgent(a, b *Card) bool { return urgency(a, b) < 0 }

func urgency(a, b *Card) int {
	switch {
	case a.Goal != nil && b.Goal == nil:
		return -1
	case a.Goal == nil && b.Goal != nil:
		return 1
	case a.Goal != nil:
		if d := a.Goal.Compare(*b.Goal); d != 0 {
			return d
		}
	}
	if a.Hot() != b.Hot() {
		if a.Hot() {
			return -1
		}
		return 1
	}
	if d := a.AcceptedAt.Compare(b.AcceptedAt); d != 0 {
		return d
	}
	return bytes.Compare(a.ID[:], b.ID[:])
}
