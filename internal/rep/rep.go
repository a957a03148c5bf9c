// Package rep knows who can take a lead now: reps, their teams, working hours, presence and reachability.
package rep

import (
	"time"

	"github.com/google/uuid"
)

// Presence is what a rep (or the system, saying why) set: whether offers may come.
type Presence string

// The presences of the contract.
const (
	Available Presence = "available" // offers and pool
	Focus     Presence = "focus"     // pool only
	Away      Presence = "away"
	Off       Presence = "off"
)

// Who set a presence.
const (
	ByConsole = "console" // counts only while a console of the rep answers pings
	ByAPI     = "api"     // counts as reachable without a console
	BySystem  = "system"
)

// AwayAfter is how long after the last pong a rep whose presence came from the console no longer counts as reachable.
const AwayAfter = 10 * time.Second

// Rep is a person who takes leads. As JSON it is what decides whether they can take one now: a decision is stored with it. Names and
// numbers do not go there, nor the address, which is the key under which people are stored.
type Rep struct {
	ID             uuid.UUID  `json:"id"`
	Email          string     `json:"-"`
	Name           string     `json:"-"`
	Team           string     `json:"-"`
	Phone          string     `json:"-"`
	Timezone       string     `json:"tz,omitempty"`
	Hours          string     `json:"hours,omitempty"` // as written in the configuration; empty: always
	Active         bool       `json:"active,omitempty"`
	Presence       Presence   `json:"presence"`
	PresenceBy     string     `json:"by,omitempty"`
	PresenceReason string     `json:"reason,omitempty"`
	PresenceAt     time.Time  `json:"-"`
	ReachableAt    *time.Time `json:"seen,omitempty"`
	Missed         int        `json:"-"` // offers in a row that timed out
	Demo           bool       `json:"-"`
}
