package views

import (
	"fmt"
	"strings"
	"time"

	"leadline/internal/lead"
)

// Card is one lead as a list shows it. Contact is nil unless the viewer holds the lead.
type Card struct {
	ID       string
	Attempt  int
	Hot      bool
	Demo     bool
	Intent   string // what they asked for: the form's name
	Country  string // English name, or empty
	Region   string
	Product  string
	Source   string
	Company  string // what the address says of the company: business, free, disposable
	Zone     string
	Now      time.Time // the moment of rendering, on the database's clock
	Accepted time.Time
	Goal     *time.Time // when the first touch is due, or the clock
	Span     time.Duration
	Clock    string     // what that clock is of; empty: the first touch
	WarnAt   *time.Time // when it is due soon; nil: a minute before
	Paused   bool       // it stands
	Until    *time.Time // when it runs again by itself; nil: somebody has to say so
	Deadline *time.Time // when the offer to this rep ends
	ReadOnly bool       // the viewer may not act
	Pool     string     // whose lead it is, for viewers who see all pools

	Stage       lead.Stage
	Disposition string
	FinishedAt  time.Time
	Again       bool // the person has sent another lead since, which is attached to this one
	CRM         CRM
	Contact     *Contact
}

// CRM is what the CRM knows of a lead.
type CRM struct {
	State    lead.CRMState
	URL      string
	Attempts int
}

// Contact is who the lead is, for the holder alone.
type Contact struct {
	Name, Company, Email, Notes string
	Phone                       string // E.164
	PhoneShown                  string // as people write it
}

func (c Card) id(list string) string { return list + "-" + c.ID }

// Title is what a card is called before the claim: what they asked for and from where.
func (c Card) Title() string {
	if c.Country == "" {
		return c.Intent
	}
	return c.Intent + ", " + c.Country
}

// Who is what a card is called after the claim.
func (c Card) Who() string {
	if c.Contact == nil {
		return c.Title()
	}
	name := c.Contact.Name
	if name == "" {
		name = c.Contact.Email
	}
	if name == "" {
		name = c.Contact.PhoneShown
	}
	if c.Contact.Company == "" {
		return name
	}
	return name + ", " + c.Contact.Company
}

// their is the lead's own time of day, as "in Berlin" after the clock; empty when it is not known.
func (c Card) their() string {
	if place := Place(c.Zone); place != "" && LocalTime(c.Now, c.Zone) != "" {
		return "in " + place
	}
	return ""
}

func (c Card) meta() string {
	source := ""
	if c.Source != "" {
		source = "from " + c.Source
	}
	company := ""
	switch c.Company {
	case "business":
		company = "company email"
	case "disposable":
		company = "throw-away email"
	}
	return joined(c.again(), prefixed("pool ", c.Pool), Readable(c.Product), company, source)
}

// again says that the person has written since.
func (c Card) again() string {
	if !c.Again {
		return ""
	}
	return "wrote again"
}

// Phase is how urgent an untouched lead is, as shape, word and colour say it.
type Phase struct{ Name, Word, Icon, Chip string }

// The phases.
var (
	PhaseLate    = Phase{Name: "late", Word: "Late", Icon: "triangle-alert", Chip: "danger"}
	PhaseSoon    = Phase{Name: "soon", Word: "Due soon", Icon: "clock", Chip: "warn"}
	PhaseWaiting = Phase{Name: "waiting", Word: "Waiting", Icon: "pause", Chip: "hold"}
	PhasePaused  = Phase{Name: "paused", Word: "Paused", Icon: "pause", Chip: "hold"}
)

// soonWithin is how close to its goal a lead is due soon.
const soonWithin = time.Minute

// PhaseAt tells the phase, and when the next one begins (zero: never).
func (c Card) PhaseAt(now time.Time) (Phase, time.Time) {
	switch {
	case c.Paused && c.Until != nil:
		return PhasePaused, *c.Until
	case c.Paused:
		return PhasePaused, time.Time{}
	case c.Goal == nil:
		return PhaseWaiting, time.Time{}
	case !now.Before(*c.Goal):
		return PhaseLate, time.Time{}
	case !now.Before(c.soon()):
		return PhaseSoon, *c.Goal
	}
	return PhaseWaiting, c.soon()
}

// soon is when a lead with a goal is due soon.
func (c Card) soon() time.Time {
	if c.WarnAt != nil {
		return *c.WarnAt
	}
	return c.Goal.Add(-soonWithin)
}

func (c Card) phase() Phase {
	p, _ := c.PhaseAt(c.Now)
	return p
}

// clockText is the big figure: time left, time past, or the age of a lead without a goal.
func (c Card) clockText() string {
	switch {
	case c.Paused:
		return "Paused"
	case c.Goal == nil:
		return Clock(c.Now.Sub(c.Accepted))
	}
	return Clock(c.Goal.Sub(c.Now))
}

// clockMillis is what the browser counts from or to; empty: it does not count.
func (c Card) clockMillis() string {
	switch {
	case c.Paused:
		return ""
	case c.Goal == nil:
		return fmt.Sprint(c.Accepted.UnixMilli())
	}
	return fmt.Sprint(c.Goal.UnixMilli())
}

// soonMillis is from when on the browser warns; empty: never.
func (c Card) soonMillis() string {
	if c.Paused || c.Goal == nil {
		return ""
	}
	return fmt.Sprint(c.soon().UnixMilli())
}

func (c Card) clockMode() string {
	if c.Goal == nil {
		return "age"
	}
	return "goal"
}

// clockNote says what the figure means.
func (c Card) clockNote() string {
	switch {
	case c.Paused && c.Until == nil:
		return "until resumed"
	case c.Paused:
		return "until " + c.Until.In(c.Now.Location()).Format("2 Jan 15:04")
	case c.Goal == nil:
		return "waiting"
	case c.phase() == PhaseLate:
		return c.lateNote()
	case c.Clock != "":
		return "left of " + Clock(c.Span) + " " + clockWord(c.Clock)
	}
	return "left of " + Clock(c.Span)
}

// lateNote is clockNote from the moment at which the goal is past.
func (c Card) lateNote() string {
	switch {
	case c.Paused || c.Goal == nil:
		return ""
	case c.Clock != "":
		return "past " + Clock(c.Span) + " " + clockWord(c.Clock)
	}
	return "past " + Clock(c.Span) + " goal"
}

func (c Card) offerLeft() string {
	if c.Deadline == nil {
		return "open"
	}
	return Clock(max(0, c.Deadline.Sub(c.Now)))
}

func (c Card) deadlineMillis() string {
	if c.Deadline == nil {
		return ""
	}
	return fmt.Sprint(c.Deadline.UnixMilli())
}

// offerEnd says what happens if the rep waits.
func (c Card) offerEnd() string {
	if c.Deadline == nil {
		return "It stays yours until you pass."
	}
	return "Then it goes to the next person."
}

// Outcome is one way in which a first touch can end.
type Outcome struct{ Value, Word, Icon string }

// Outcomes are those of a call; booked and disqualified stand apart because they end the work.
var Outcomes = []Outcome{
	{"connected", "Connected", "phone-call"},
	{"no_answer", "No answer", "phone-missed"},
	{"voicemail", "Voicemail", "voicemail"},
	{"wrong_number", "Wrong number", "circle-x"},
	{"callback", "Call back", "clock"},
	{"booked", "Booked", "calendar-check"},
}

// Reason is one choice of a small chooser.
type Reason struct{ Value, Word string }

// PassReasons are why a rep passes an offer.
var PassReasons = []Reason{
	{"on_a_call", "On a call"},
	{"wrong_territory", "Wrong territory"},
	{"language", "Language"},
	{"conflict", "Conflict of interest"},
	{"spam", "Spam"},
	{"duplicate", "Duplicate"},
	{"other", "Other"},
}

// PauseReasons are why the clock of a lead stands.
var PauseReasons = []Reason{
	{"asked_for_time", "They asked for a time"},
	{"quiet_hours", "Calling is not allowed now"},
	{"on_hold", "On hold"},
}

// DisqualifyReasons are why a lead is none.
var DisqualifyReasons = []Reason{
	{"not_a_business", "Not a business"},
	{"student", "Student or job"},
	{"competitor", "Competitor"},
	{"spam", "Spam"},
	{"duplicate", "Duplicate"},
	{"wrong_contact", "Wrong contact"},
	{"wrong_country", "Wrong country"},
	{"other", "Other"},
}

// OutcomeWord is a disposition as people say it.
func OutcomeWord(disposition string) string {
	for _, o := range Outcomes {
		if o.Value == disposition {
			return o.Word
		}
	}
	return Readable(disposition)
}

// outcomeChip shows how the work ended.
func (c Card) outcomeChip() (kind, icon, word string) {
	switch c.Stage {
	case lead.StageBooked:
		return "ok", "calendar-check", "Booked"
	case lead.StageDisqualified, lead.StageClosed:
		return "hold", "ban", OutcomeWord(c.Disposition)
	}
	if c.Disposition == "connected" {
		return "ok", "check", "Connected"
	}
	return "info", "phone-call", OutcomeWord(c.Disposition)
}

// crmChip shows what the CRM knows; a slow CRM must never look like a lost lead.
func (c CRM) chip() (kind, icon, word string) {
	switch c.State {
	case lead.CRMConfirmed:
		return "ok", "check", "In CRM"
	case lead.CRMSaving:
		if c.Attempts > 1 {
			return "hold", "rotate-cw", fmt.Sprintf("Saving, try %d", c.Attempts)
		}
		return "hold", "rotate-cw", "Saving"
	case lead.CRMConflict:
		return "warn", "equal", "Changed in CRM"
	case lead.CRMRefused:
		return "danger", "circle-x", "CRM refused: ops told"
	}
	return "none", "circle-dashed", "Not in CRM yet"
}

// Telephone is the address that a phone app dials.
func (c Contact) telephone() string { return "tel:" + strings.ReplaceAll(c.Phone, " ", "") }
