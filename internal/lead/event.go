package lead

// EventKind names what happened to a lead, in the event table, on the stream and in the timeline. Kinds are permanent.
type EventKind string

// The kinds of events, with what their data holds. Data never holds contact details.
const (
	EventAccepted    EventKind = "accepted"     // {}; first in each timeline, made of the lead, never in the table
	EventRouted      EventKind = "routed"       // {version, rule}; pool is set
	EventOffered     EventKind = "offered"      // {deadline, cause}; rep is set: to one rep
	EventPooled      EventKind = "pooled"       // {deadline, cause}: open to everyone in the pool
	EventWaiting     EventKind = "waiting"      // {cause}: nobody eligible
	EventOfferEnded  EventKind = "offer_ended"  // {state, reason}; rep is set if it was exclusive
	EventClaimed     EventKind = "claimed"      // {by: console|api|slack}; rep is set
	EventTouched     EventKind = "touched"      // {disposition}; first touch
	EventOutcome     EventKind = "outcome"      // {disposition, stage}; rep is set
	EventRepeated    EventKind = "repeated"     // {touch}: the same person sent the form again; {lead}: they, or somebody of their company, sent another lead
	EventJoined      EventKind = "joined"       // {lead}: it was attached to the open lead of the same person; rep is who has that, if anybody
	EventOwnerPassed EventKind = "owner_passed" // {code}: rep, its owner, could not take it, so that it goes to others
	EventAmended     EventKind = "amended"      // {touch}: the same person corrected what they sent
	EventCRMSaving   EventKind = "crm_saving"   // {connection, attempts, reason}
	EventCRMWritten  EventKind = "crm_written"  // {connection, revision, ms}
	EventCRMRefused  EventKind = "crm_refused"  // {connection, reason}
	EventChatPosted  EventKind = "chat_posted"  // {connection}
	EventChatUpdated EventKind = "chat_updated" // {connection}
	EventChatRefused EventKind = "chat_refused" // {connection, reason}
	EventRevealed    EventKind = "revealed"     // {account, audit_seq}: somebody looked at masked contact details; why is in the audit chain
	EventReleased    EventKind = "released"     // {account}: it was held for review and goes on; without an account because the person sent it again
	EventDiscarded   EventKind = "discarded"    // {account}: it was held for review and is spam
	EventHeld        EventKind = "held"         // {account}: discarding it was undone; {rule}: a rule keeps it from routing
	EventAlarm       EventKind = "alarm"        // {kind, state: opened|closed}: somebody must look at it, or need not any more
	EventClock       EventKind = "clock"        // {clock, step: warn|act|escalate, moved}: half, all, one and a half times its time is used; rep is who has the lead
	EventPaused      EventKind = "paused"       // {reason, until, by}: its clocks stand
	EventResumed     EventKind = "resumed"      // {by}: they run again
	EventErased      EventKind = "erased"       // {}: the person behind it was erased; whoever shows or keeps the contact drops it
)
