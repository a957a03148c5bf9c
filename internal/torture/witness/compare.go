package witness

import (
	"fmt"
	"slices"
	"strings"
)

// Rule names what must hold.
type Rule string

// The rules.
const (
	Lost         Rule = "lost"          // acknowledged, and not there
	TwoLeads     Rule = "two leads"     // one person within the window has more than one
	Invented     Rule = "invented"      // a lead that nobody sent, or that was refused
	OtherAnswer  Rule = "other answer"  // one key was given two ids, or another than the ledger's
	Unsettled    Rule = "unsettled"     // a client that kept trying was never told that it arrived
	WrongAnswers Rule = "wrong answers" // the lead does not say what was acknowledged last
	Undispatched Rule = "undispatched"  // nobody was offered it and it does not wait for anybody
	Undelivered  Rule = "undelivered"   // its way to the CRM has not ended well
	CRMMissing   Rule = "crm missing"   // the CRM does not hold it
	CRMTwice     Rule = "crm twice"     // the CRM holds it, or the person, more than once
	CRMInvented  Rule = "crm invented"  // the CRM holds what we do not
	CRMWrong     Rule = "crm wrong"     // the CRM holds something else than we do
)

// Violation is a rule that does not hold, with everything that was written down about the visitor.
type Violation struct {
	Rule     Rule
	Fill     int // -1: no visitor's
	What     string
	Timeline []Line
}

// String is the violation with its timeline. The visitor's key holds the seed.
func (v Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "VIOLATION %s: visitor %d: %s", v.Rule, v.Fill, v.What)
	for _, l := range v.Timeline {
		what := "sends"
		if l.Class != "" {
			what = strings.TrimSpace(fmt.Sprintf("is told %s %d %s %s", l.Class, l.Status, l.Said, l.ID))
		}
		fmt.Fprintf(&b, "\n  %s try %d (%s, %s) %s: key %s, phone %s, at %s", l.At.UTC().Format("15:04:05.000"), l.Try, l.Kind, l.Step, what, l.Key, l.Phone, l.Target)
	}
	return b.String()
}

// Sum is what was compared.
type Sum struct {
	Visitors   int   `json:"visitors"`
	Tries      int   `json:"tries"`
	Acked      int   `json:"acked"`      // visitors who were told that theirs is stored
	Spooled    int   `json:"spooled"`    // visitors who were told that theirs is kept, and no more
	Refused    int   `json:"refused"`    // visitors who were told that it is not
	Unknown    int   `json:"unknown"`    // visitors who left without knowing
	Leads      int   `json:"leads"`      // in the database
	Records    int   `json:"records"`    // in the CRM
	Violations int   `json:"violations"` // of all rules
	Overtaken  int   `json:"overtaken"`  // leads that an earlier sending, never answered, changed back after a correction was acknowledged
	PlacedP99  int64 `json:"placed_p99_ms"`
	PlacedMax  int64 `json:"placed_max_ms"` // the longest from stored to offered
}

// visitor is all that the books say about one person.
type visitor struct {
	lines   []Line
	ends    []Line // with a class
	kept    bool   // told that it is spooled
	ok      bool
	refused bool // and nothing else
}

func (v *visitor) kind() Kind { return v.lines[0].Kind }

// comparison collects what does not fit.
type comparison struct {
	seen      *Seen
	visitors  map[int]*visitor
	byEmail   map[string][]lead
	found     []Violation
	overtaken int
}

// Compare holds the books against what is there.
func Compare(lines []Line, seen *Seen) ([]Violation, Sum) {
	c := &comparison{seen: seen, visitors: map[int]*visitor{}, byEmail: map[string][]lead{}}
	for _, l := range lines {
		v := c.visitors[l.Fill]
		if v == nil {
			v = &visitor{refused: true}
			c.visitors[l.Fill] = v
		}
		v.lines = append(v.lines, l)
		if l.Class != "" {
			v.ends = append(v.ends, l)
			v.ok, v.kept = v.ok || l.Class == OK, v.kept || l.Said == "spooled"
		}
	}
	for _, l := range seen.leads {
		c.byEmail[l.email] = append(c.byEmail[l.email], l)
	}
	sum := Sum{Visitors: len(c.visitors), Leads: len(seen.leads), Records: len(seen.records)}
	for n, v := range c.visitors {
		v.refused = 2*len(v.ends) == len(v.lines) && !slices.ContainsFunc(v.ends, func(l Line) bool { return l.Class != Refused })
		sum.Tries += len(v.lines) - len(v.ends)
		switch {
		case v.ok:
			sum.Acked++
		case v.refused:
			sum.Refused++
		case v.kept:
			sum.Spooled++
		default:
			sum.Unknown++
		}
		c.visitor(n, v)
	}
	c.leads()
	c.crm()
	slices.SortFunc(c.found, func(a, b Violation) int { return a.Fill - b.Fill })
	sum.Violations, sum.Overtaken = len(c.found), c.overtaken
	sum.PlacedP99, sum.PlacedMax = c.placed()
	return c.found, sum
}

func (c *comparison) report(rule Rule, fill int, format string, args ...any) {
	v := Violation{Rule: rule, Fill: fill, What: fmt.Sprintf(format, args...)}
	if about := c.visitors[fill]; about != nil {
		v.Timeline = about.lines
	}
	c.found = append(c.found, v)
}

// visitor checks what one person was told.
func (c *comparison) visitor(n int, v *visitor) {
	email := v.lines[0].Email
	held := c.byEmail[email]
	if email == "" {
		held = nil
	}
	if len(held) > 1 {
		c.report(TwoLeads, n, "%d leads", len(held))
	}
	if (v.ok || v.kept) && len(held) == 0 {
		c.report(Lost, n, "there is no lead of %s", email)
	}
	if v.refused && len(held) > 0 {
		c.report(Invented, n, "it was refused, and lead %s is there", held[0].id)
	}
	ids := map[string]string{} // key to the id that was told first
	for _, l := range v.ends {
		c.answer(n, l, email, ids)
		if v.refused && l.Key != "" && c.seen.keys[l.Key] != "" {
			c.report(Invented, n, "it was refused, and the ledger holds its key")
		}
	}
	switch v.kind() {
	case Leaves, Keyless, Twice, Wrong:
	default:
		if last := v.lines[len(v.lines)-1]; last.Class != OK {
			c.report(Unsettled, n, "there was nothing wrong with it, and it was not told that it arrived")
		}
	}
	if len(held) == 1 && (v.ok || v.kept) {
		c.answers(n, v, held[0])
	}
}

// answer checks one acknowledgement.
func (c *comparison) answer(n int, l Line, email string, ids map[string]string) {
	if l.Class != OK {
		return
	}
	owner, known := c.seen.owners[l.ID]
	held, there := c.seen.leads[owner]
	switch {
	case !known || !there:
		c.report(Lost, n, "submission %s was acknowledged and is not there", l.ID)
	case held.email != email:
		c.report(WrongAnswers, n, "submission %s leads to somebody else's lead %s", l.ID, owner)
	case !c.seen.payloads[l.ID]:
		c.report(Lost, n, "what submission %s sent was not kept", l.ID)
	}
	if l.Key == "" {
		return
	}
	if first, again := ids[l.Key]; again && first != l.ID {
		c.report(OtherAnswer, n, "its key was answered with %s and with %s", first, l.ID)
	}
	ids[l.Key] = l.ID
	if c.seen.keys[l.Key] != l.ID {
		c.report(OtherAnswer, n, "it was told %s, and the ledger says %q", l.ID, c.seen.keys[l.Key])
	}
}

// answers checks that a lead says what was acknowledged last. What was sent later without a definite answer may be in force too. What was
// sent earlier may not, unless no server ever said a word about it: it may lie in a socket that nobody has read yet, and whoever
// reads it cannot know its age. That is counted.
func (c *comparison) answers(n int, v *visitor, held lead) {
	allowed := []string{v.lines[0].Phone}
	silent := map[string]bool{}
	for _, l := range v.lines {
		switch {
		case l.Step == Return: // somebody who returns under another key is not believed to own the lead
		case l.Class == OK:
			allowed = []string{l.Phone}
		default:
			allowed = append(allowed, l.Phone)
			silent[l.Phone] = silent[l.Phone] || l.Class == Unknown && l.Status == 0
		}
	}
	switch {
	case slices.Contains(allowed, held.phone):
	case silent[held.phone]:
		c.overtaken++
	default:
		c.report(WrongAnswers, n, "lead %s has the phone number %s, acknowledged was %s", held.id, held.phone, strings.Join(allowed, " or "))
	}
}

// leads checks what became of every lead.
func (c *comparison) leads() {
	sent := map[string]int{}
	for n, v := range c.visitors {
		if email := v.lines[0].Email; email != "" {
			sent[email] = n
		}
	}
	for _, l := range c.seen.leads {
		n, known := sent[l.email]
		if !known {
			c.report(Invented, -1, "nobody sent lead %s", l.id)
			continue
		}
		if l.stage == "new" || !l.offered && l.stage != "waiting" {
			c.report(Undispatched, n, "lead %s is %s, offered: %t", l.id, l.stage, l.offered)
		}
		rows := c.seen.deliveries[l.id]
		if len(rows) != 1 || rows[0].state != "delivered" || rows[0].written < rows[0].wanted || l.crmState != "confirmed" {
			c.report(Undelivered, n, "lead %s is %s, deliveries: %+v", l.id, l.crmState, rows)
		}
	}
}

// crm checks what the CRM holds.
func (c *comparison) crm() {
	records, people := map[string][]Record{}, map[string]int{}
	for _, r := range c.seen.records {
		records[r.ExternalID] = append(records[r.ExternalID], r)
		people[r.Body.Lead.Email]++
		if _, known := c.seen.leads[r.ExternalID]; !known {
			c.report(CRMInvented, c.fillOf(r.Body.Lead.Email), "the CRM holds %s, we do not", r.ExternalID)
		}
	}
	for id, l := range c.seen.leads {
		switch got := records[id]; {
		case len(got) == 0:
			c.report(CRMMissing, c.fillOf(l.email), "the CRM does not hold lead %s", id)
		case len(got) > 1 || people[l.email] > 1:
			c.report(CRMTwice, c.fillOf(l.email), "the CRM holds lead %s %d times, its person %d times", id, len(got), people[l.email])
		case got[0].Body.Lead.Phone != l.phone:
			c.report(CRMWrong, c.fillOf(l.email), "the CRM has the phone number %s of lead %s, we have %s", got[0].Body.Lead.Phone, id, l.phone)
		}
	}
}

// fillOf finds the visitor of an address; -1: none.
func (c *comparison) fillOf(email string) int {
	for n, v := range c.visitors {
		if email != "" && v.lines[0].Email == email {
			return n
		}
	}
	return -1
}

// placed tells how long leads waited to be offered, in milliseconds: the 99th percentile and the longest.
func (c *comparison) placed() (p99, most int64) {
	var all []int64
	for _, l := range c.seen.leads {
		if l.placed != nil {
			all = append(all, l.placed.Sub(l.accepted).Milliseconds())
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)*99/100], all[len(all)-1]
}
