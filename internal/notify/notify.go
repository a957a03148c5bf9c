// Package notify tells teams about leads in their chat: one blind card per lead, changed in place when a rep has claimed it and
// when the CRM has confirmed it. It works off the delivery rows whose destination is chat, at the pace the channel allows; several
// processes share that pace through the database. Called by main; one file per vendor implements Channel.
package notify

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Ref is where a message is, in the vendor's own terms; stored with the delivery.
type Ref string

// Channel is one place to post to. Safe for concurrent use. Every error is an *Error.
type Channel interface {
	// Post sends a card. An Unknown error means that it may be there: ask Find before repeating.
	Post(ctx context.Context, card Card) (Ref, error)
	// PostDigest sends one message for many leads.
	PostDigest(ctx context.Context, cards []Card) (Ref, error)
	// Update changes a card in place; repeating it is harmless.
	Update(ctx context.Context, ref Ref, card Card) error
	// Find looks for the message about a lead that was posted after since; none found is an empty Ref.
	Find(ctx context.Context, leadID uuid.UUID, since time.Time) (Ref, error)
}

// Card is what a channel may know of a lead: no name, no e-mail address, no phone number.
type Card struct {
	LeadID     uuid.UUID
	Reference  string
	Intent     string
	Product    string
	Source     string
	Country    string
	Timezone   string // of the visitor; may be empty or unknown
	AcceptedAt time.Time
	At         time.Time // when the card was made
	Stage      string
	Holder     string // the rep's name; empty: nobody has claimed it
	InCRM      bool   // every CRM has confirmed it
	CRMURL     string // opens the record; may be empty
	Demo       bool
}

// Class says what an error means.
type Class string

// The classes.
const (
	Retry   Class = "retry"   // nothing was posted; try again
	Unknown Class = "unknown" // it may have been posted
	Pause   Class = "pause"   // the connection is wrong: all wait until it is put right
	Refuse  Class = "refuse"  // this message will never be taken
	Gone    Class = "gone"    // the message to update was deleted
	Fixed   Class = "fixed"   // the message can no longer be changed
)

// Error is a failed call. Reason never holds personal data.
type Error struct {
	Class  Class
	Reason string
	After  time.Duration // not before; zero: no wish
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Class, e.Reason) }
