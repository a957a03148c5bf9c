// Package hold is the review of leads that were held as they arrived: what waits, why, and what people decide about it.
//
// A held lead is stored like any other and nobody has been told of it. Released, it goes on as if it had just arrived; discarded, it is
// closed as spam and can be put back for as long as it is kept. Each decision is a line of the audit chain and an event of the lead, in one
// transaction. handlers show and decide; main owns Run, which keeps the numbers of the queue.
package hold

import (
	"time"

	"github.com/google/uuid"

	"leadline/internal/fault"
	"leadline/internal/privacy"
)

// State says what became of a held lead.
type State string

// The states.
const (
	Open      State = "open" // waits for somebody to look
	Released  State = "released"
	Discarded State = "discarded"
)

// Item is one held lead as the review shows it. Name, Email, Phone and Company are whole: whoever shows them masks them first.
type Item struct {
	LeadID                      uuid.UUID
	Form                        string
	Score                       int
	Reasons                     []string
	State                       State
	AcceptedAt                  time.Time
	SettledAt                   *time.Time
	Country                     string
	Name, Email, Phone, Company privacy.Text
}

// Filter narrows the review. Empty fields do not.
type Filter struct {
	State  State // Open when empty
	Form   string
	Reason string
	Cursor string // what the page before returned
}

// PageSize is how many items one page has, and the most that one decision may be about.
const PageSize = 50

// Depth is how many wait and for how long the oldest has.
type Depth struct {
	Waiting int
	Oldest  time.Duration
}

// chosen checks what somebody wants to decide about.
func chosen(ids []uuid.UUID) error {
	if len(ids) == 0 {
		return fault.New(fault.Invalid, "Choose at least one lead first.")
	}
	if len(ids) > PageSize {
		return fault.New(fault.Invalid, "Decide about at most %d at once.", PageSize)
	}
	return nil
}
