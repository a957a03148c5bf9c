package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// place is a country with people's names and phone numbers as they are written there; # stands for any digit. The numbers lie in
// ranges that regulators keep for fiction where there is one.
type place struct {
	country, region, postal, timezone, locale string
	phone                                     string
	first, last, company                      []string
}

func places() []place {
	return []place{
		{
			"DE", "DE-BE", "10115", "Europe/Berlin", "de-DE", "+49 30 23125 ###",
			[]string{"Anna", "Lukas", "Jürgen", "Mia"},
			[]string{"Müller", "Schäfer", "Krause", "Vogel"},
			[]string{"GmbH", "AG"},
		},
		{
			"AT", "AT-9", "1010", "Europe/Vienna", "de-AT", "+43 1 5131 ###",
			[]string{"Leonie", "Florian"},
			[]string{"Gruber", "Huber"},
			[]string{"GmbH"},
		},
		{
			"CH", "CH-ZH", "8001", "Europe/Zurich", "de-CH", "+41 44 668 18 ##",
			[]string{"Nina", "Reto"},
			[]string{"Meier", "Frei"},
			[]string{"AG"},
		},
		{
			"FR", "FR-75", "75002", "Europe/Paris", "fr-FR", "+33 1 42 68 53 ##",
			[]string{"Chloé", "Théo"},
			[]string{"Lefèvre", "Moreau"},
			[]string{"SARL", "SA"},
		},
		{
			"GB", "GB-ENG", "EC1A 1BB", "Europe/London", "en-GB", "+44 20 7946 0###",
			[]string{"Olivia", "Harry", "Amara"},
			[]string{"Clarke", "Okafor", "Hughes"},
			[]string{"Ltd", "plc"},
		},
		{
			"US", "US-CA", "94105", "America/Los_Angeles", "en-US", "+1 415 555 01##",
			[]string{"Emma", "Noah", "Maya", "Ethan"},
			[]string{"Nguyen", "Johnson", "Rivera", "Cohen"},
			[]string{"Inc", "LLC"},
		},
		{
			"US", "US-NY", "10001", "America/New_York", "en-US", "+1 212 555 01##",
			[]string{"Ava", "Liam"},
			[]string{"Brown", "Kim"},
			[]string{"Inc", "Group"},
		},
		{
			"CA", "CA-ON", "M5H 2N2", "America/Toronto", "en-CA", "+1 416 555 01##",
			[]string{"Sophie", "Owen"},
			[]string{"Tremblay", "Singh"},
			[]string{"Inc"},
		},
		{
			"BR", "BR-SP", "01310-100", "America/Sao_Paulo", "pt-BR", "+55 11 3071 00##",
			[]string{"João", "Beatriz"},
			[]string{"Araújo", "Conceição"},
			[]string{"Ltda"},
		},
		{
			"JP", "JP-13", "100-0005", "Asia/Tokyo", "ja-JP", "+81 3 3211 00##",
			[]string{"Yui", "Haruto"},
			[]string{"Satō", "Tanaka"},
			[]string{"KK"},
		},
		{
			"IN", "IN-KA", "560001", "Asia/Kolkata", "en-IN", "+91 98450 000##",
			[]string{"Priya", "Arjun"},
			[]string{"Iyer", "Reddy"},
			[]string{"Pvt"},
		},
		{
			"AU", "AU-NSW", "2000", "Australia/Sydney", "en-AU", "+61 2 5550 ####",
			[]string{"Isla", "Jack"},
			[]string{"Walker", "O'Brien"},
			[]string{"Pty"},
		},
	}
}

func trades() []string {
	return []string{"Nordlicht", "Acme", "Brightwater", "Kestrel", "Solaris", "Quarry", "Lumen", "Harbour", "Vertex", "Orchard", "Cobalt", "Juniper"}
}

func endings() []string {
	return []string{"example", "example.com", "example.net", "example.org", "test"}
}

func notes() []string {
	return []string{
		"We lose leads at night and at the weekend.", "How fast can we be live?", "Moving away from spreadsheets.",
		"Need round robin across three regions.", "", "Please call in the afternoon.", "Our CRM is often slow. Does that matter?",
	}
}

// people makes up the senders of one run. The same run and number always give the same person and the same key; two runs never
// share a person unless they share their seed. Safe for concurrent use.
type people struct {
	run   string // keeps runs apart
	count int
	now   func() time.Time
	drawn []drawn
}

// drawnPeople is how many are made up before a run begins. Each stands for many, told apart by the number in their e-mail address: on
// a small machine, making up each single one would take as much processor time as the server takes to store it.
const drawnPeople = 2048

// drawn is a lead as JSON, cut where the number of the person and the moment of sending belong.
type drawn struct{ start, middle, end []byte }

// Marks of those two places. JSON leaves them as they are, and no made-up answer holds them.
const (
	numberMark = "{number}"
	momentMark = "{moment}"
)

func newPeople(o Options) *people {
	p := &people{run: fmt.Sprintf("%013x", o.Seed&(1<<52-1)), count: o.People, now: o.Now, drawn: make([]drawn, drawnPeople)}
	from := places()
	for i := range p.drawn {
		text, err := json.Marshal(p.person(o, from, i))
		if err != nil { // texts and booleans always marshal
			continue
		}
		start, rest, _ := bytes.Cut(text, []byte(numberMark))
		middle, end, _ := bytes.Cut(rest, []byte(momentMark))
		p.drawn[i] = drawn{start, middle, end}
	}
	return p
}

// key is the idempotency key of the n-th lead: one per lead, also when a person sends several.
func (p *people) key(n int) string { return "load-" + p.run + "-" + strconv.Itoa(n) }

// body appends the n-th lead of the run as JSON.
func (p *people) body(to []byte, n int) []byte {
	if p.count > 0 {
		n %= p.count
	}
	d := p.drawn[n%drawnPeople]
	to = strconv.AppendInt(append(to, d.start...), int64(n), 10)
	to = p.now().UTC().AppendFormat(append(to, d.middle...), time.RFC3339Nano)
	return append(to, d.end...)
}

// person is a lead as it is sent: standard fields only, so that every form takes it.
type person struct {
	Name       string            `json:"name"`
	Email      string            `json:"email"`
	Phone      string            `json:"phone"`
	Company    string            `json:"company"`
	Country    string            `json:"country"`
	Region     string            `json:"region"`
	PostalCode string            `json:"postal_code"`
	Product    string            `json:"product,omitempty"`
	Notes      string            `json:"notes,omitempty"`
	Consent    map[string]any    `json:"consent"`
	Context    map[string]string `json:"context"`
}

func (p *people) person(o Options, from []place, who int) person {
	r := rand.New(rand.NewPCG(o.Seed, uint64(who)+2)) //nolint:gosec // made-up people are no secret
	at, product := from[r.IntN(len(from))], ""
	if len(o.Products) > 0 {
		product = pick(r, o.Products)
	}
	first, last, trade := pick(r, at.first), pick(r, at.last), pick(r, trades())
	return person{
		Name:       first + " " + last,
		Email:      fmt.Sprintf("%s.%s%s@%s-%s.%s", mailbox(first), mailbox(last), numberMark, strings.ToLower(trade), p.run, pick(r, endings())),
		Phone:      digitsFor(r, at.phone),
		Company:    trade + " " + pick(r, at.company),
		Country:    at.country,
		Region:     at.region,
		PostalCode: at.postal,
		Product:    product,
		Notes:      pick(r, notes()),
		Consent:    map[string]any{"phone": true, "email": true},
		Context: map[string]string{
			"page_url": "https://www.example.com/pricing", "utm_source": "load", "utm_medium": "test",
			"timezone": at.timezone, "locale": at.locale, "device": pick(r, []string{"desktop", "phone"}),
			"submitted_at": momentMark,
		},
	}
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

func digitsFor(r *rand.Rand, pattern string) string {
	out := []byte(pattern)
	for i := range out {
		if out[i] == '#' {
			out[i] = '0' + byte(r.IntN(10)) //nolint:gosec // one digit
		}
	}
	return string(out)
}

// mailbox keeps the letters of a name that every mail server takes.
func mailbox(name string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(name) {
		if c >= 'a' && c <= 'z' {
			b.WriteRune(c)
		}
	}
	return b.String()
}
