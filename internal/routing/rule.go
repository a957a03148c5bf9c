package routing

import (
	"time"

	"leadline/internal/rep"
)

// Band is the first thing that decides between rules that match the same lead.
type Band string

// The bands, strongest first.
const (
	Override Band = "override" // few rules that beat everything: partners, named accounts
	Match    Band = "match"    // the ordinary rules; also the empty Band
	Default  Band = "default"  // what happens when nothing else matches
)

// rank orders bands; a higher rank wins.
func (b Band) rank() int {
	switch b {
	case Override:
		return 2
	case Default:
		return 0
	default:
		return 1
	}
}

// name is the band as traces show it.
func (b Band) name() string {
	if b == "" {
		return string(Match)
	}
	return string(b)
}

// Rule sends the leads that fulfil a condition to a pool or a person. Where a rule stands in a list means nothing.
type Rule struct {
	Name     string // unique
	Band     Band   // empty: Match
	Priority int    // decides between rules that are equally specific; higher wins
	When     Condition
	Any      []Condition // beside When one of these must be fulfilled; none: nothing more is asked
	Except   *Condition  // leads that fulfil it are left out; nil: none
	From     time.Time   // when the rule begins to count; zero: at once
	Until    time.Time   // from when on it no longer does; zero: never
	Hours    rep.Hours   // when in the week it counts; zero: always
	Then     Target
}

// conditional tells whether there is any lead that the rule does not match while it is in force.
func (r *Rule) conditional() bool { return !r.When.empty() || len(r.Any) > 0 || r.Except != nil }

// Condition is an AND over dimensions; within one dimension any of the values will do. An empty dimension is no condition.
type Condition struct {
	AccountList  []string // slugs of lists of companies, by domain or name
	Set          []string // slugs of sets: their values count as if they stood in the set's dimension
	DomainList   []string // slugs of lists of e-mail domains
	Domain       []string // e-mail domains; sub-domains count as their parent
	Territory    []string // slugs
	Postal       []string // "DE:10": country and start of the postal code
	Region       []string // ISO 3166-2, "DE-BY"
	Country      []string // ISO 3166-1 alpha-2
	Product      []string
	Intent       []string
	DomainClass  []string // business, free, disposable
	Form         []string
	Source       []string // utm_source
	Language     []string // "de" also means de-AT
	Campaign     []string // utm_campaign
	PhoneCountry []string // ISO 3166-1 alpha-2
	Timezone     []string // IANA
	Consent      []string // phone, sms, email: any of them given
	Spam         []string // clean, released
}

// part is one dimension of a condition, under its key in the configuration.
type part struct {
	key    string
	dim    int // noDim: it is turned into others
	values *[]string
}

// noDim marks what is no dimension itself: a territory is places, a set the values of another dimension.
const noDim = -1

// parts lists what a condition can ask.
func (w *Condition) parts() [19]part {
	return [19]part{
		{"account_list", dimAccountList, &w.AccountList},
		{"set", noDim, &w.Set},
		{"domain_list", dimDomainList, &w.DomainList},
		{"domain", dimDomain, &w.Domain},
		{"territory", noDim, &w.Territory},
		{"postal_code", dimPostal, &w.Postal},
		{"region", dimRegion, &w.Region},
		{"country", dimCountry, &w.Country},
		{"product", dimProduct, &w.Product},
		{"intent", dimIntent, &w.Intent},
		{"domain_class", dimDomainClass, &w.DomainClass},
		{"form", dimForm, &w.Form},
		{"source", dimSource, &w.Source},
		{"language", dimLanguage, &w.Language},
		{"campaign", dimCampaign, &w.Campaign},
		{"phone_country", dimPhoneCountry, &w.PhoneCountry},
		{"timezone", dimTimezone, &w.Timezone},
		{"consent", dimConsent, &w.Consent},
		{"spam", dimSpam, &w.Spam},
	}
}

// empty tells whether the condition asks for nothing, so that every lead fulfils it.
func (w *Condition) empty() bool {
	for _, p := range w.parts() {
		if len(*p.values) > 0 {
			return false
		}
	}
	return true
}

// The bands of the fact Spam. What looks like spam is held and not routed, until somebody has looked at it.
const (
	SpamClean    = "clean"
	SpamReleased = "released"
)

// Target is where a rule sends leads: a pool, or a person with the pool that takes over when that person cannot; or nowhere.
type Target struct {
	Pool   string
	Rep    string   // e-mail
	Hold   bool     // they are not routed, but held until a person has looked. Leads that were released are not held again
	Needs  []string // tags that whoever gets the lead must have, sorted
	Points int      // what the lead counts in limits on points; 0: one
}

// Territory is a named piece of the world. It holds its own places and, by nesting, those of the territories within it.
type Territory struct {
	Slug   string
	Within string   // slug of the territory around it, or empty
	Places []string // "DE", "DE-BY" or "DE:10"
}

// List is a named set of companies, such as partners or customers, by e-mail domain or name.
type List struct {
	Slug      string
	Domains   []string
	Companies []string
	Owner     string // e-mail of the rep whose accounts they are, or empty
}

// Set is a named group of values of one dimension, to be used by many rules.
type Set struct {
	Slug      string
	Dimension string // a key of SetDimensions
	Values    []string
}

// SetDimensions are the dimensions of which there can be sets, as they are called in the configuration.
func SetDimensions() []string {
	var keys []string
	for _, p := range new(Condition).parts() {
		if p.dim != noDim && p.dim != dimDomainList && p.dim != dimAccountList {
			keys = append(keys, p.key)
		}
	}
	return keys
}

// Problem is what is wrong with a set of rules, or worth a look if Warning.
type Problem struct {
	Section string // rules, pools, territories, lists or sets
	Name    string // of the entry
	Field   string // within it, or empty
	Code    string
	Message string // a sentence without a full stop, to stand behind file and line
	Remedy  string // what to do, or empty
	Warning bool
}
