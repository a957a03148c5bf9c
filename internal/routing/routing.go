// Package routing decides where a lead goes and whose turn it is, and can say why.
//
// Decide and Allocate are pure: they read their arguments and nothing else (no clock, no database, no randomness), so live
// traffic, the simulator and a replay months later agree. A Table is immutable; a new version is compiled aside and swapped in.
package routing

import (
	"time"

	"leadline/internal/rep"
)

// Facts are the hot facts about a lead: known at submit, without a call to anyone.
type Facts struct {
	Form         string    `json:"form"`
	Intent       string    `json:"intent"`
	Product      string    `json:"product,omitempty"`
	Country      string    `json:"country,omitempty"`
	Region       string    `json:"region,omitempty"`
	PostalCode   string    `json:"postal_code,omitempty"`
	CountryFrom  string    `json:"country_from,omitempty"` // where the country comes from, if nobody stated it
	Company      string    `json:"company,omitempty"`      // its name as CompanyName gives it
	EmailDomain  string    `json:"email_domain,omitempty"`
	DomainClass  string    `json:"domain_class,omitempty"`
	Source       string    `json:"source,omitempty"`
	Language     string    `json:"language,omitempty"`
	Campaign     string    `json:"campaign,omitempty"`      // utm_campaign
	PhoneCountry string    `json:"phone_country,omitempty"` // of the number, wherever its owner says to be
	Timezone     string    `json:"timezone,omitempty"`      // as the browser states it
	Consent      string    `json:"consent,omitempty"`       // what was allowed of email, phone and sms, joined by commas
	Spam         string    `json:"spam,omitempty"`          // clean, or released by somebody who looked at it
	AcceptedAt   time.Time `json:"accepted_at"`
}

// Decision is the outcome of Decide: which rule won, where it points, and what it beat.
type Decision struct {
	Version   int64      `json:"version"`
	Rule      string     `json:"rule"`
	Band      string     `json:"band"`
	Pool      string     `json:"pool"`             // slug; set also when Rep is: where the lead goes if that rep cannot take it
	Rep       string     `json:"rep,omitempty"`    // e-mail of the fixed person a rule names, or of the owner; empty: none
	Hold      bool       `json:"hold,omitempty"`   // it is held for review, and not routed
	Needs     []string   `json:"needs,omitempty"`  // tags that whoever gets the lead must have
	Points    int        `json:"points,omitempty"` // what it counts in limits on points; 0: one
	RunnersUp []RunnerUp `json:"runners_up,omitempty"`
}

// RunnerUp is a rule that matched too but lost, and the dimension that decided.
type RunnerUp struct {
	Rule string `json:"rule"`
	Lost string `json:"lost"` // band, a dimension's name, or priority
}

// Strategy says how a pool picks among its eligible members.
type Strategy string

// The strategies of the contract.
const (
	Weighted    Strategy = "weighted"
	LeastLoaded Strategy = "least_loaded"
	LongestIdle Strategy = "longest_idle"
	Broadcast   Strategy = "broadcast" // offered to the whole pool at once, with an alert
	Pull        Strategy = "pull"      // waits in the pool until somebody takes it
	Fixed       Strategy = "fixed"     // the first member who is eligible, in the order written
)

// Pool is who shares turns for some leads and on which terms. Shared between goroutines: never change one.
type Pool struct {
	Slug       string
	Hours      rep.Hours // zero: always
	Members    []Member
	Strategy   Strategy
	Offer      OfferTerms
	Overflow   string        // slug of the next pool, or empty
	LastResort string        // e-mail of the rep who gets what nobody else could take, or empty
	FirstTouch time.Duration // goal; zero: none
	Calendar   Calendar      // in which hours the goal's clock runs
	SLA        SLA           // its other clocks
	Group      string        // pools of one group share their turns; empty: turns of its own
	Needs      []string      // tags that a member must have to be offered leads
	Sticky     bool          // a lead of a company goes to the member who has an open lead of it
	Reentry    Reentry
	BadLead    float64 // what a lead that turns out to be spam, a duplicate or a wrong contact gives back of a turn
	NoShow     float64 // what one gives back that did not come to what it had booked
	Cancelled  float64 // what one gives back that called it off
	Quota      Quota   // what the pool takes all together
	GroupQuota Quota   // what all pools of its group take all together
}

// Calendar says in which hours the clock of a goal runs.
type Calendar string

// The calendars of the contract.
const (
	PoolHours  Calendar = "pool_hours"
	RepHours   Calendar = "rep_hours"
	NoCalendar Calendar = "none" // the clock never stops
)

// Member is one rep's place in a pool.
type Member struct {
	Rep      string  // e-mail
	Weight   float64 // share of turns relative to the others; zero counts as 1
	Overflow bool    // second line: gets turns only while nobody of the first line can
	Ramp     Ramp
	Limits   // on what they have and take in all pools together; days and weeks begin in their zone
}

// The outcomes a candidate can have.
const (
	Chosen       = "chosen"
	EligibleOnly = "eligible" // could have had it, but was not chosen
	Skipped      = "skipped"
)

// Considered is a verdict as a lead's trace keeps it. Pool is set when it is not the pool that the rule names, but one further
// down the ladder.
type Considered struct {
	Verdict
	Pool string `json:"pool,omitempty"`
}

// Verdict is one candidate's line in the trace, with the reason in words.
type Verdict struct {
	Rep     string   `json:"rep"`
	Outcome string   `json:"outcome"`
	Reason  string   `json:"reason"`
	Code    rep.Code `json:"code,omitempty"`  // why skipped, for programs
	Have    int      `json:"have,omitempty"`  // of a limit: where it stands
	Limit   int      `json:"limit,omitempty"` //
	Share   float64  `json:"share,omitempty"` // of this turn, as it is owed to them; those of a turn make one
}
