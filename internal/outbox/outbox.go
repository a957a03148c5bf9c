// Package outbox provides the delivery rows: what dispatch and claims write in their own transactions, and what crm and notify
// work off. One row per lead and connection says which revision of the lead the destination should hold and which it holds.
//
// Leases: whoever works on a row holds it for 5 s, renewed every 1.5 s while the call lives. Every claim raises the row's token;
// a result is recorded only where the token still matches, so that a worker who lost its lease changes nothing.
package outbox

import (
	"time"

	"github.com/google/uuid"
)

// The lease every worker takes and how often it renews it (contract section 8).
const (
	Lease      = 5 * time.Second
	RenewEvery = 1500 * time.Millisecond
)

// Destination is the sort of system a connection leads to.
type Destination string

// The destinations.
const (
	CRM  Destination = "crm"
	Chat Destination = "chat"
)

// Target is a connection that each new lead must reach, as the live configuration names it.
type Target struct {
	Connection  string
	Kind        string
	Destination Destination
}

// State is how far a delivery is, in the words of the contract.
type State string

// The states. Delivered, merged, quarantined and erased are the only ways to stop.
const (
	Pending     State = "pending"
	Saving      State = "saving" // slow or being retried
	Delivered   State = "delivered"
	Merged      State = "merged"
	Conflict    State = "conflict"
	Quarantined State = "quarantined"
	Erased      State = "erased"
)

// Claimed is a delivery whose lease the caller holds: the right, and the duty, to make one write and record its result.
type Claimed struct {
	ID           int64
	LeadID       uuid.UUID
	Connection   string
	Kind         string
	Destination  Destination
	Token        int64
	Revision     int // the revision this write carries
	Written      int // the revision the destination holds already; 0: this is the first write
	Attempts     int // writes tried before this one since the last success
	RecordID     string
	FailingSince *time.Time
	Hot          bool
}
