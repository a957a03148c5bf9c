package lead

import "time"

// Form is one form as the live configuration describes it. Values are shared between goroutines: never change one.
type Form struct {
	Slug               string
	Name               string
	Intent             string   // IntentHigh or IntentLow
	AllowedOrigins     []string // exact origins besides our own that may post from a browser
	DedupeWindow       time.Duration
	PerIP              Rate // zero: no limit
	PerNetwork         Rate // the same for the network around an address: /24, or /48 of IPv6
	PerForm            Rate // the same for everybody together
	PerPerson          Rate // beyond it what one person sends is suspicious; zero: never
	Spam               SpamPolicy
	Fields             []FormField
	ConsentTextVersion string
	Owners             []string // e-mail addresses told of schema drift
	Paused             bool
	Demo               bool // belongs to the demo: its leads are marked and go with it
}

// The intents a form can have: high takes the hot path in full.
const (
	IntentHigh = "high"
	IntentLow  = "low"
)

// FormField is one field that this form asks for beyond, or with stricter rules than, the standard ones of the contract.
type FormField struct {
	Name     string
	Label    string // shown on the hosted form; the name, made readable, when empty
	Type     string // text, choice, number, checkbox
	Options  []string
	Required bool
}

// SpamPolicy says what may be done with submissions that look like spam. The zero policy does both.
type SpamPolicy struct {
	NoChallenge bool // never ask a browser for a proof of work
	NoHold      bool // never hold one for review: it goes on like any other
}

// Rate is a number of events per period. The zero Rate means no limit.
type Rate struct {
	Events int
	Per    time.Duration
}
