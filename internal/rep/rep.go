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

// Rep is a person who takes leads.
type Rep struct {
	ID             uuid.UUID
	Email          string
	Name           string
	Team           string
	Phone          string
	Timezone       string
	Hours          string // as written in the configuration; empty: always
	Active         bool
	Presence       Presence
	PresenceBy     string
	PresenceReason string
	PresenceAt     time.Time
	ReachableAt    *time.Time
	Missed         int // offers in a row that timed out
	Demo           bool
}
