// Package crm writes leads into CRMs: at once, in process, as soon as dispatch has committed them (Writer.Submit), and later,
// job by job, where that did not work (Writer.WorkOff). It works off the delivery rows of package outbox and never waits in a
// visitor's or a rep's way. Called by main and jobs.
//
// One file per vendor implements Client. Every write is named by its delivery and revision, so that a repeat is recognised.
package crm

import (
	"context"
	"fmt"
	"time"

	"leadline/internal/lead"
)

// Client writes to one vendor's API with the credentials of one connection. Safe for concurrent use.
type Client interface {
	// Write makes one attempt, within ctx. Every error is an *Error.
	Write(ctx context.Context, w Write) (Record, error)
}

// Write is one write of one lead, as the lead is now.
type Write struct {
	ID       string // the same on every attempt at this write, different for every other write
	Update   bool   // the CRM has confirmed an earlier write of this lead
	RecordID string // what it called the record then
	Lead     lead.Lead
	Contact  lead.Contact
	Owner    *Owner // nil until a rep has claimed the lead
}

// Owner is the rep who holds the lead.
type Owner struct {
	Email string `json:"email"`
	Name  string `json:"name"`
}

// Record is what the CRM calls the lead, as far as it said.
type Record struct {
	ID  string
	URL string // http or https
}

// Class says what an error means for the lead and for the connection.
type Class string

// The classes.
const (
	Retry    Class = "retry"    // known not to be written; try again
	Throttle Class = "throttle" // the same, and the whole connection should slow down
	Unknown  Class = "unknown"  // may have been written; a vendor without a write's name must look before it repeats
	Pause    Class = "pause"    // the connection itself is wrong: leads wait until it is put right
	Refuse   Class = "refuse"   // this lead will never be taken as it is
)

// Error is a failed attempt. Reason never holds personal data.
type Error struct {
	Class  Class
	Reason string
	After  time.Duration // not before; zero: no wish
	Err    error         // may be nil
}

// Error implements error.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Class, e.Reason, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Class, e.Reason)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
