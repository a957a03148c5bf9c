package routing

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
	Then     Target
}

// Condition is an AND over dimensions; within one dimension any of the values will do. An empty dimension is no condition.
type Condition struct {
	DomainList  []string // slugs of lists of e-mail domains
	Domain      []string // e-mail domains; sub-domains count as their parent
	Territory   []string // slugs
	Postal      []string // "DE:10": country and start of the postal code
	Region      []string // ISO 3166-2, "DE-BY"
	Country     []string // ISO 3166-1 alpha-2
	Product     []string
	Intent      []string
	DomainClass []string // business, free, disposable
	Form        []string
	Source      []string // utm_source
	Language    []string // "de" also means de-AT
}

// Target is where a rule sends leads: a pool, or a person with the pool that takes over when that person cannot.
type Target struct {
	Pool string
	Rep  string // e-mail
}

// Territory is a named piece of the world. It holds its own places and, by nesting, those of the territories within it.
type Territory struct {
	Slug   string
	Within string   // slug of the territory around it, or empty
	Places []string // "DE", "DE-BY" or "DE:10"
}

// List is a named set of e-mail domains, such as partners or customers.
type List struct {
	Slug    string
	Domains []string
}

// Problem is what is wrong with a set of rules, or worth a look if Warning.
type Problem struct {
	Section string // rules, pools, territories or lists
	Name    string // of the entry
	Field   string // within it, or empty
	Code    string
	Message string // a sentence without a full stop, to stand behind file and line
	Remedy  string // what to do, or empty
	Warning bool
}
