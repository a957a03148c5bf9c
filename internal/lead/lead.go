// Package lead provides the nouns of intake: what a visitor may send (Raw), what that becomes once normalised (Submission),
// and the durable Lead with its stages. Rules about what makes a lead valid, or two submissions the same person, live here;
// nothing here calls the network. Used by nearly every package of the business.
package lead

import (
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"leadline/internal/privacy"
)

// Stage is what people did with a lead. It never says what the CRM knows; see CRMState.
type Stage string

// The stages, as the contract names them.
const (
	StageNew          Stage = "new"       // durable, dispatch has not run (milliseconds)
	StageOffered      Stage = "offered"   // a live offer to one rep or to a pool
	StageWaiting      Stage = "waiting"   // nobody eligible: in its pool's visible queue
	StageClaimed      Stage = "claimed"   // a rep has it, no contact yet
	StageContacted    Stage = "contacted" // first touch made
	StageBooked       Stage = "booked"
	StageDisqualified Stage = "disqualified"
	StageClosed       Stage = "closed"
	StageHeld         Stage = "held" // may not be contacted or needs a person's look first
	StageQuarantined  Stage = "quarantined"
)

// DispositionSpam is that of a held lead which somebody looked at and discarded.
const DispositionSpam = "spam"

// HeldByRule is the reason of a lead that is held because a rule keeps such leads from routing.
const HeldByRule = "do_not_route"

// DispositionJoined is that of a lead which was attached to an open one of the same person.
const DispositionJoined = "joined"

// CRMState is what the CRMs know of a lead; with several connections the least finished wins.
type CRMState string

// The CRM states, as the contract names them.
const (
	CRMPending   CRMState = "pending"   // shown as "Not in CRM yet"
	CRMSaving    CRMState = "saving"    // slow or being retried
	CRMConfirmed CRMState = "confirmed" // shown as "In CRM"
	CRMConflict  CRMState = "conflict"
	CRMRefused   CRMState = "refused" // quarantined by some connection: a person must look
)

// Lead is one accepted form submission, with one correlation id for life. Contact is filled only by questions that ask for it.
type Lead struct {
	ID            uuid.UUID
	CorrelationID string
	Form          string
	Intent        string
	Product       string
	Country       string
	Region        string
	PostalCode    string
	Timezone      string
	Language      string
	Source        string
	EmailDomain   string
	DomainClass   string
	AcceptedAt    time.Time
	Stage         Stage
	CRMState      CRMState
	Pool          string
	RepID         *uuid.UUID
	Attempt       int
	ClaimedAt     *time.Time
	FirstTouchAt  *time.Time
	ClosedAt      *time.Time
	Disposition   string
	Revision      int
	Demo          bool
}

// LogValue shows ids and states alone, so that no log line can hold a name, an e-mail address or a phone number.
func (l Lead) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("lead_id", l.ID.String()),
		slog.String("correlation_id", l.CorrelationID),
		slog.String("form", l.Form),
		slog.String("stage", string(l.Stage)),
		slog.String("crm_state", string(l.CRMState)),
	)
}

// Contact is the personal part of a lead.
type Contact struct {
	Name    privacy.Text
	Email   privacy.Text
	Phone   privacy.Text // E.164, or empty
	Company privacy.Text
	Notes   privacy.Text
	Fields  map[string]privacy.Text
	Consent Consent
	Context Context
}

// LogValue hides everything: contact details never reach a log.
func (Contact) LogValue() slog.Value { return slog.StringValue("[contact]") }

// Consent is what the visitor allowed, and under which text.
type Consent struct {
	Phone       bool   `json:"phone"`
	SMS         bool   `json:"sms"`
	Email       bool   `json:"email"`
	TextVersion string `json:"text_version,omitempty"`
}

// Given lists what was allowed, by channel, joined by commas: "email,phone".
func (c Consent) Given() string {
	var given []string
	for _, channel := range []struct {
		name    string
		allowed bool
	}{{"email", c.Email}, {"phone", c.Phone}, {"sms", c.SMS}} {
		if channel.allowed {
			given = append(given, channel.name)
		}
	}
	return strings.Join(given, ",")
}

// Context is where and how the form was sent. JSON names are the contract's.
type Context struct {
	PageURL     string `json:"page_url,omitempty"`
	Referrer    string `json:"referrer,omitempty"`
	UTMSource   string `json:"utm_source,omitempty"`
	UTMMedium   string `json:"utm_medium,omitempty"`
	UTMCampaign string `json:"utm_campaign,omitempty"`
	UTMTerm     string `json:"utm_term,omitempty"`
	UTMContent  string `json:"utm_content,omitempty"`
	SubmittedAt string `json:"submitted_at,omitempty"`
	Timezone    string `json:"timezone,omitempty"`
	Locale      string `json:"locale,omitempty"`
	Device      string `json:"device,omitempty"`
	Network     string `json:"network,omitempty"`
	// Machine is the slug of the machine client that sent the lead; no field of a form becomes it.
	Machine string `json:"machine,omitempty"`
}

// Raw is a submission as it was sent, every string already copied out of the request.
type Raw struct {
	Name, Email, Phone, Company, Notes           privacy.Text
	Country, Region, PostalCode, Product, Intent string

	// Fields holds every answer that is not a standard one, without the "fields." prefix: the form's own, and those that only their sender
	// knows. Several answers under one name are joined with ", ".
	Fields        map[string]privacy.Text
	Consent       Consent
	Context       Context
	ClientKey     string // Idempotency-Key header or submission_id field; empty when absent
	CorrelationID string
	Unknown       []UnknownField // what came where no form has a field: kept out, counted, never a reason to refuse
	UnknownCount  int            // how many those were; more than Unknown holds when there were very many

	Trap     Trap
	BodyType string       // the Content-Type it came with
	Body     privacy.Text // byte for byte as it came, to be kept as evidence
}

// Trap is what a form sends for our eyes alone, so that people can be told from programs without asking them anything. It never
// becomes part of a lead.
type Trap struct {
	Token    string // says when and for which form the page was made, signed by us; empty: a page that asks us for nothing
	Honey    string // what was filled into fields that people do not see
	Solution string // the solved challenge, when one was asked for
}

// Arrival is what the door found out about a submission: who sent it, and why it should be looked at before anybody is called.
type Arrival struct {
	Machine string   // slug of the machine client that signed it; empty: a browser, or a program that signs nothing
	Message string   // with Machine: the id of the signed message
	Held    []string // reasons to hold it for review; none: it goes on
	Score   int      // with Held: how much speaks against it, 1 to 100
}

// Submission is a normalised, valid Raw with its identity, ready to be made durable.
type Submission struct {
	ID            uuid.UUID // UUIDv7; becomes the lead's id when this submission starts a new lead
	CorrelationID string
	Form          string
	Intent        string
	Window        time.Duration // the form's same-person window
	Demo          bool          // sent to a form of the demo
	Arrival       Arrival

	Contact                                              Contact
	Country, Region, PostalCode, Product                 string
	Timezone, Language, Source, EmailDomain, DomainClass string
	CountryFrom                                          string // CountryFromRegion, or empty: the visitor stated it

	Unknown      []UnknownField // what was sent that the form does not know, by name; at most MaxUnknown of them
	UnknownCount int            // how many there were

	BodyType string
	Body     privacy.Text // what was sent, byte for byte

	ClientKey   string // empty: none
	Fingerprint []byte // keyed hash of form and person, no time in it
	Person      []byte // keyed hash of the person, whatever the form
	Digest      []byte // SHA-256 of the business fields
}
