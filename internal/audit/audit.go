// Package audit keeps the record of who did, saw or changed what: append-only, hash-chained, its head signed and anchored outside.
//
// An entry is written in the transaction of what it records; if it cannot be written, neither can the other. The chain proves that
// no row was changed, removed or put elsewhere; the anchors prove that its end was not cut off. Entries hold ids, never contact
// details; the one free text (Note, a reason in somebody's words) can be erased without breaking the chain.
package audit

import (
	"context"

	"github.com/google/uuid"
)

// The kinds of actors.
const (
	Person  = "person"  // Actor is an account, or nil when we do not know who it was
	Token   = "token"   // Actor is an API token
	Command = "command" // the command line
	System  = "system"  // Leadline by itself
	Visitor = "visitor" // somebody without an account
)

// Action is what was done: noun.verb. Permanent.
type Action string

// The actions.
const (
	SignedIn         Action = "session.began"       // detail: {how: password|link|setup}
	SignInRefused    Action = "session.refused"     // actor nil when the address is not known
	SignedOut        Action = "session.ended"       // detail: {sessions, why}
	SetupUsed        Action = "setup.used"          // the first admin
	AccountAdded     Action = "account.added"       // detail: {roles}
	AccountChanged   Action = "account.changed"     // detail: {roles, password}
	AccountDisabled  Action = "account.disabled"    //
	LinkMade         Action = "link.made"           // object: account
	TokenAdded       Action = "token.added"         // detail: {scopes}
	TokenUsed        Action = "token.used"          // at most once an hour per token
	TokenRevoked     Action = "token.revoked"       //
	Published        Action = "config.published"    // object: version; detail: {hash}
	DraftAdded       Action = "draft.added"         // object: draft; detail: {revision, hash, base}
	DraftChanged     Action = "draft.changed"       // likewise; approvals of the former revision count no more
	DraftApproved    Action = "draft.approved"      //
	DraftScheduled   Action = "draft.scheduled"     // to go live by itself
	DraftFailed      Action = "draft.failed"        // it could not, at its time
	DraftDiscarded   Action = "draft.discarded"     //
	CanaryBegan      Action = "canary.began"        // object: version that its decisions name; detail: {state, hash, base, share, figures}
	CanaryEnded      Action = "canary.ended"        // likewise; note: why
	ShadowBegan      Action = "shadow.began"        // object: shadow; detail: {hash, version, draft}
	ShadowEnded      Action = "shadow.ended"        // likewise
	RepsChanged      Action = "reps.changed"        // detail: {count}
	RepActivated     Action = "rep.activated"       // object: rep
	RepDeactivated   Action = "rep.deactivated"     // object: rep; open leads they had not touched go to others
	AbsenceAdded     Action = "absence.added"       // object: rep; detail: {absence, kind, from, until}
	AbsenceRemoved   Action = "absence.removed"     // object: rep; detail: as before
	LeadRerouted     Action = "lead.rerouted"       // object: lead taken from somebody who was deactivated; detail: {rep}
	LeadHandedOver   Action = "lead.handed_over"    // object: lead taken from its holder, or given to others by them; detail: {rep, kind}; note: the reason
	CreditAdjusted   Action = "credit.adjusted"     // object: rep; detail: {pool, amount}; note: the reason
	Exported         Action = "config.exported"     //
	AuditSeen        Action = "audit.seen"          // detail: the filter, as ids and names
	AuditExported    Action = "audit.exported"      //
	ContactRevealed  Action = "contact.revealed"    // object: lead; note: the reason
	HoldReleased     Action = "hold.released"       // object: lead that was held for review
	HoldDiscarded    Action = "hold.discarded"      // object: lead
	HoldRestored     Action = "hold.restored"       // object: lead whose discarding was undone
	PayloadRead      Action = "payload.read"        // object: lead; detail: {submissions}
	SecretSet        Action = "secret.set"          // object: the secret's name
	SecretRemoved    Action = "secret.removed"      //
	DataKeyMade      Action = "data_key.made"       // detail: {purpose}
	DataKeyRotated   Action = "data_key.rotated"    // detail: {purpose, resealed}
	MasterKeyRotated Action = "master_key.rotated"  // detail: {keys}
	KeyUsed          Action = "key.used"            // object: data key; when a process opens it
	PersonErased     Action = "person.erased"       // object: erasure; detail: {leads, redacted}
	ErasureRepeated  Action = "person.erased_again" // after a restored backup
	DemoRemoved      Action = "demo.removed"        //
	AlarmSeen        Action = "alarm.acknowledged"  // object: alarm; detail: {kind}
	DriftResolved    Action = "drift.resolved"      // object: drift; detail: {form, kind}
)

// Entry is one line of the record. Seq, At and the hashes are made by the database.
type Entry struct {
	ActorKind     string
	Actor         *uuid.UUID // nil: not known, or not a person or token
	Action        Action
	ObjectKind    string // lead, account, token, version, secret, data_key, erasure, session, drift
	Object        string // id, slug or name; never contact details
	Detail        any    // becomes JSON; ids, numbers, names of fields; nil: {}
	Note          string // a reason in somebody's words
	CorrelationID string
}

type actorKey struct{}

// Actor is who acts in a request, as far as the record is concerned.
type Actor struct {
	Kind          string
	ID            *uuid.UUID
	CorrelationID string
}

// WithActor notes who acts, so that whatever the business records in this context is theirs.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf tells who acts; System when nobody was noted.
func ActorOf(ctx context.Context) Actor {
	if a, ok := ctx.Value(actorKey{}).(Actor); ok {
		return a
	}
	return Actor{Kind: System}
}

// By fills an entry's actor and correlation id from the context, where it names none itself.
func (e Entry) By(ctx context.Context) Entry {
	a := ActorOf(ctx)
	if e.ActorKind == "" {
		e.ActorKind, e.Actor = a.Kind, a.ID
	}
	if e.CorrelationID == "" {
		e.CorrelationID = a.CorrelationID
	}
	return e
}
