package playbook

import (
	"go.yaml.in/yaml/v3"
)

// document is a configuration as it is written. The tags are its whole grammar: what the decoder accepts, and how the text is
// written out again. After build, a document holds only canonical values and nothing that equals a default.
type document struct {
	Version     int             `yaml:"version"`
	Forms       []formDoc       `yaml:"forms,omitempty"`
	Teams       []teamDoc       `yaml:"teams,omitempty"`
	Calendars   []calendarDoc   `yaml:"calendars,omitempty"`
	Reps        []repDoc        `yaml:"reps,omitempty"`
	Groups      []groupDoc      `yaml:"groups,omitempty"`
	Pools       []poolDoc       `yaml:"pools,omitempty"`
	Territories []territoryDoc  `yaml:"territories,omitempty"`
	Repeat      string          `yaml:"repeat,omitempty"`
	Owner       ownerDoc        `yaml:"owner,omitempty,flow"`
	Rules       []ruleDoc       `yaml:"rules,omitempty"`
	Sets        []setDoc        `yaml:"sets,omitempty"`
	Lists       []listDoc       `yaml:"lists,omitempty"`
	Tests       []testDoc       `yaml:"tests,omitempty"`
	Connections []connectionDoc `yaml:"connections,omitempty"`
	Clients     []clientDoc     `yaml:"clients,omitempty"`
	Publishing  publishingDoc   `yaml:"publishing,omitempty,flow"`
}

type publishingDoc struct {
	Approvals int `yaml:"approvals,omitempty"`
}

type formDoc struct {
	Slug           string     `yaml:"slug"`
	Name           string     `yaml:"name,omitempty"`
	Intent         string     `yaml:"intent,omitempty"`
	Paused         bool       `yaml:"paused,omitempty"`
	AllowedOrigins []string   `yaml:"allowed_origins,omitempty,flow"`
	DedupeWindow   string     `yaml:"dedupe_window,omitempty"`
	Limits         limitsDoc  `yaml:"limits,omitempty,flow"`
	Spam           spamDoc    `yaml:"spam,omitempty,flow"`
	Fields         []fieldDoc `yaml:"fields,omitempty"`
	Consent        consentDoc `yaml:"consent,omitempty,flow"`
	Owners         []string   `yaml:"owners,omitempty,flow"`
}

type limitsDoc struct {
	PerIP      string `yaml:"per_ip,omitempty"`
	PerNetwork string `yaml:"per_network,omitempty"`
	PerForm    string `yaml:"per_form,omitempty"`
	PerPerson  string `yaml:"per_person,omitempty"`
}

type spamDoc struct {
	Challenge *bool `yaml:"challenge,omitempty"`
	Hold      *bool `yaml:"hold,omitempty"`
}

type consentDoc struct {
	TextVersion string `yaml:"text_version,omitempty"`
}

type fieldDoc struct {
	Name     string   `yaml:"name"`
	Label    string   `yaml:"label,omitempty"`
	Type     string   `yaml:"type,omitempty"`
	Options  []string `yaml:"options,omitempty,flow"`
	Required bool     `yaml:"required,omitempty"`
}

type teamDoc struct {
	Slug     string `yaml:"slug"`
	Name     string `yaml:"name,omitempty"`
	Timezone string `yaml:"timezone,omitempty"`
}

type calendarDoc struct {
	Slug string   `yaml:"slug"`
	Days []string `yaml:"days,omitempty"`
}

type repDoc struct {
	Email     string   `yaml:"email"`
	Name      string   `yaml:"name"`
	Team      string   `yaml:"team,omitempty"`
	Phone     string   `yaml:"phone,omitempty"`
	Timezone  string   `yaml:"timezone,omitempty"`
	Hours     string   `yaml:"hours,omitempty"`
	Calendars []string `yaml:"calendars,omitempty,flow"`
	From      string   `yaml:"from,omitempty"`
	Until     string   `yaml:"until,omitempty"`
	Tags      []string `yaml:"tags,omitempty,flow"`
	Active    *bool    `yaml:"active,omitempty"`
}

type groupDoc struct {
	Slug      string `yaml:"slug"`
	Timezone  string `yaml:"timezone,omitempty"`
	Cap       capDoc `yaml:"cap,omitempty,flow"`
	CapPoints capDoc `yaml:"cap_points,omitempty,flow"`
}

type poolDoc struct {
	Slug       string      `yaml:"slug"`
	Hours      string      `yaml:"hours,omitempty"`
	Timezone   string      `yaml:"timezone,omitempty"`
	Calendars  []string    `yaml:"calendars,omitempty,flow"`
	Cap        capDoc      `yaml:"cap,omitempty,flow"`
	CapPoints  capDoc      `yaml:"cap_points,omitempty,flow"`
	Members    []memberDoc `yaml:"members,omitempty"`
	Needs      []string    `yaml:"needs,omitempty,flow"`
	Group      string      `yaml:"group,omitempty"`
	Strategy   string      `yaml:"strategy,omitempty"`
	Sticky     string      `yaml:"sticky,omitempty"`
	Reentry    reentryDoc  `yaml:"reentry,omitempty,flow"`
	Credit     creditDoc   `yaml:"credit,omitempty,flow"`
	Offer      offerDoc    `yaml:"offer,omitempty,flow"`
	Overflow   string      `yaml:"overflow,omitempty"`
	LastResort string      `yaml:"last_resort,omitempty"`
	SLA        slaDoc      `yaml:"sla,omitempty,flow"`
}

type memberDoc struct {
	Rep       string   `yaml:"rep"`
	Weight    *float64 `yaml:"weight,omitempty"`
	Tier      string   `yaml:"tier,omitempty"`
	Ramp      rampDoc  `yaml:"ramp,omitempty,flow"`
	Cap       capDoc   `yaml:"cap,omitempty,flow"`
	CapPoints capDoc   `yaml:"cap_points,omitempty,flow"`
}

type rampDoc struct {
	From string `yaml:"from,omitempty"`
	Days *int   `yaml:"days,omitempty"`
}

type capDoc struct {
	Open        *int `yaml:"open,omitempty"`
	ReserveHot  *int `yaml:"reserve_hot,omitempty"`
	Offers      *int `yaml:"offers,omitempty"`
	Uncontacted *int `yaml:"uncontacted,omitempty"`
	PerHour     *int `yaml:"per_hour,omitempty"`
	PerDay      *int `yaml:"per_day,omitempty"`
	PerWeek     *int `yaml:"per_week,omitempty"`
}

type reentryDoc struct {
	Policy string `yaml:"policy,omitempty"`
	After  string `yaml:"after,omitempty"`
	Most   *int   `yaml:"most,omitempty"`
	Within string `yaml:"within,omitempty"`
}

type creditDoc struct {
	BadLead   *float64 `yaml:"bad_lead,omitempty"`
	NoShow    *float64 `yaml:"no_show,omitempty"`
	Cancelled *float64 `yaml:"cancelled,omitempty"`
}

type offerDoc struct {
	Exclusive string `yaml:"exclusive,omitempty"`
	Hot       string `yaml:"hot,omitempty"`
	Turns     *int   `yaml:"turns,omitempty"`
	Pool      string `yaml:"pool,omitempty"`
	Attempts  *int   `yaml:"attempts,omitempty"`
	Total     string `yaml:"total,omitempty"`
	Manager   string `yaml:"manager,omitempty"`
	Screen    string `yaml:"screen,omitempty"`
	Window    string `yaml:"window,omitempty"`
}

type slaDoc struct {
	FirstTouch string `yaml:"first_touch,omitempty"`
	System     string `yaml:"system,omitempty"`
	Accept     string `yaml:"accept,omitempty"`
	Attempt    string `yaml:"first_attempt,omitempty"`
	Contact    string `yaml:"contact,omitempty"`
	Calendar   string `yaml:"calendar,omitempty"`
	Calling    string `yaml:"calling,omitempty"`
	Act        string `yaml:"act,omitempty"`
}

type territoryDoc struct {
	Slug   string   `yaml:"slug"`
	Within string   `yaml:"within,omitempty"`
	Places []string `yaml:"places,omitempty,flow"`
}

type ownerDoc struct {
	Match       []string        `yaml:"match,omitempty,flow"`
	WithinDays  int             `yaml:"within_days,omitempty"`
	Absent      string          `yaml:"absent,omitempty"`
	Wait        string          `yaml:"wait,omitempty"`
	Substitutes []substituteDoc `yaml:"substitutes,omitempty,flow"`
}

type substituteDoc struct {
	Rep string `yaml:"rep"`
	By  string `yaml:"by"`
}

type ruleDoc struct {
	Name     string    `yaml:"name"`
	Band     string    `yaml:"band,omitempty"`
	Priority int       `yaml:"priority,omitempty"`
	From     string    `yaml:"from,omitempty"`
	Until    string    `yaml:"until,omitempty"`
	Hours    string    `yaml:"hours,omitempty"`
	Timezone string    `yaml:"timezone,omitempty"`
	When     whenDoc   `yaml:"when,flow"`
	Any      []whenDoc `yaml:"any,omitempty,flow"`
	Except   *whenDoc  `yaml:"except,omitempty,flow"`
	Then     thenDoc   `yaml:"then,flow"`
}

type whenDoc struct {
	AccountList  choice `yaml:"account_list,omitempty"`
	Set          choice `yaml:"set,omitempty"`
	DomainList   choice `yaml:"domain_list,omitempty"`
	Domain       choice `yaml:"domain,omitempty"`
	Territory    choice `yaml:"territory,omitempty"`
	PostalCode   choice `yaml:"postal_code,omitempty"`
	Region       choice `yaml:"region,omitempty"`
	Country      choice `yaml:"country,omitempty"`
	Product      choice `yaml:"product,omitempty"`
	Intent       choice `yaml:"intent,omitempty"`
	DomainClass  choice `yaml:"domain_class,omitempty"`
	Form         choice `yaml:"form,omitempty"`
	Source       choice `yaml:"source,omitempty"`
	Language     choice `yaml:"language,omitempty"`
	Campaign     choice `yaml:"campaign,omitempty"`
	PhoneCountry choice `yaml:"phone_country,omitempty"`
	Timezone     choice `yaml:"timezone,omitempty"`
	Consent      choice `yaml:"consent,omitempty"`
	Spam         choice `yaml:"spam,omitempty"`
}

type thenDoc struct {
	Pool   string   `yaml:"pool,omitempty"`
	Rep    string   `yaml:"rep,omitempty"`
	Hold   bool     `yaml:"hold,omitempty"`
	Needs  []string `yaml:"needs,omitempty,flow"`
	Points *int     `yaml:"points,omitempty"`
}

type setDoc struct {
	Slug      string   `yaml:"slug"`
	Dimension string   `yaml:"dimension"`
	Values    []string `yaml:"values,omitempty,flow"`
}

type listDoc struct {
	Slug      string   `yaml:"slug"`
	Domains   []string `yaml:"domains,omitempty"`
	Companies []string `yaml:"companies,omitempty"`
	Owner     string   `yaml:"owner,omitempty"`
}

type testDoc struct {
	Name   string    `yaml:"name"`
	At     string    `yaml:"at,omitempty"`
	Lead   leadDoc   `yaml:"lead,flow"`
	With   withDoc   `yaml:"with,omitempty,flow"`
	Expect expectDoc `yaml:"expect,flow"`
}

type leadDoc struct {
	Form       string `yaml:"form"`
	Email      string `yaml:"email,omitempty"`
	Company    string `yaml:"company,omitempty"`
	Country    string `yaml:"country,omitempty"`
	Region     string `yaml:"region,omitempty"`
	PostalCode string `yaml:"postal_code,omitempty"`
	Product    string `yaml:"product,omitempty"`
	Source     string `yaml:"source,omitempty"`
	Language   string `yaml:"language,omitempty"`
	Campaign   string `yaml:"campaign,omitempty"`
	Phone      string `yaml:"phone,omitempty"`
	Timezone   string `yaml:"timezone,omitempty"`
	Consent    choice `yaml:"consent,omitempty"`
}

type withDoc struct {
	Away      []string `yaml:"away,omitempty,flow"`
	Leave     []string `yaml:"leave,omitempty,flow"`
	Full      []string `yaml:"full,omitempty,flow"`
	FullPools []string `yaml:"full_pools,omitempty,flow"`
}

type expectDoc struct {
	Pool  string `yaml:"pool,omitempty"`
	Rep   string `yaml:"rep,omitempty"`
	Rule  string `yaml:"rule,omitempty"`
	To    string `yaml:"to,omitempty"`
	Stage string `yaml:"stage,omitempty"`
	In    string `yaml:"in,omitempty"`
}

type connectionDoc struct {
	Slug    string `yaml:"slug"`
	Kind    string `yaml:"kind"`
	BaseURL string `yaml:"base_url,omitempty"`
	Token   string `yaml:"token,omitempty"`
	Secret  string `yaml:"secret,omitempty"`
	Channel string `yaml:"channel,omitempty"`
	Slots   int    `yaml:"slots,omitempty"`
}

type clientDoc struct {
	Slug  string   `yaml:"slug"`
	Forms []string `yaml:"forms,omitempty,flow"`
	Keys  []string `yaml:"keys,omitempty,flow"`
	Limit string   `yaml:"limit,omitempty"`
}

// choice is one value or several of which any will do.
type choice []string

// MarshalYAML writes a single value without brackets.
func (c choice) MarshalYAML() (any, error) {
	if len(c) == 1 {
		return c[0], nil
	}
	node := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, value := range c {
		item := &yaml.Node{}
		if err := item.Encode(value); err != nil {
			return nil, err
		}
		node.Content = append(node.Content, item)
	}
	return node, nil
}
