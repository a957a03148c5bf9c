package views

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Lead is the page of one lead.
type Lead struct {
	Meta                                            PageMeta
	Card                                            Card
	Reference                                       string
	Region, PostalCode, Language, Campaign, PageURL string
	Now                                             time.Time
	Mine, Offered, Claimable                        bool
	Holder                                          string // name, "you", or empty
	Contact                                         SeenContact
	Why                                             *Why // nil: not routed yet
	Timeline                                        []Moment
	Deliveries                                      []Delivery
	Reveal                                          bool      // the viewer may ask to see the contact details
	HidesAt                                         time.Time // when the viewer's reveal ends; zero: there is none
}

// hidesAt is the viewer's time of day at which a reveal ends.
func (l Lead) hidesAt() string { return l.HidesAt.In(l.Meta.Now.Location()).Format("15:04") }

// SeenContact is the contact as far as this viewer may see it: whole, masked, hidden or erased.
type SeenContact struct {
	How     string
	Contact Contact
	Consent Consent
	Answers []Answer
}

// Answer is one of the form's own fields.
type Answer struct{ Name, Value string }

// SortAnswers puts answers in a fixed order.
func SortAnswers(a []Answer) {
	slices.SortFunc(a, func(x, y Answer) int { return strings.Compare(x.Name, y.Name) })
}

// Consent is what the visitor allowed.
type Consent struct {
	Phone, Email, SMS bool
	TextVersion       string
}

func (c Consent) sentence() string {
	var may []string
	for _, x := range []struct {
		ok   bool
		word string
	}{{c.Phone, "call"}, {c.Email, "email"}, {c.SMS, "text"}} {
		if x.ok {
			may = append(may, x.word)
		}
	}
	if len(may) == 0 {
		return "No box ticked."
	}
	s := "You may " + strings.Join(may, ", ") + "."
	if c.TextVersion != "" {
		s += " Text " + c.TextVersion + "."
	}
	return s
}

// Why explains the first routing decision.
type Why struct {
	Version    int64
	Rule, Pool string
	At         time.Time
	Stages     []StageLine // what each stage found, in order
	Candidates []Candidate
	RunnersUp  []RunnerUp
	Origins    []Origin
}

// StageLine is what one stage of routing found, in words.
type StageLine struct{ Stage, Words string }

// Origin is a fact that rules looked at, and where it comes from.
type Origin struct{ Fact, Value, From string }

// Candidate is one rep who was considered.
//
// Pool is set when it is another one than the rule named: where the lead would have gone on to.
type Candidate struct{ Name, Outcome, Reason, Pool string }

func (c Candidate) chip() (kind, icon, word string) {
	switch c.Outcome {
	case "chosen":
		return "ok", "check", "Chosen"
	case "eligible":
		return "info", "disc", "Could take it"
	}
	return "hold", "pause", "Skipped"
}

// RunnerUp is a rule that matched and lost.
type RunnerUp struct{ Rule, Lost string }

// why says in a sentence what decided against the rule.
func (r RunnerUp) why() string {
	switch r.Lost {
	case "band":
		return "It is meant for what stronger rules leave over."
	case "priority":
		return "Its priority is lower."
	}
	return "It is less specific (" + r.Lost + ")."
}

// Delivery is what one connection knows of the lead.
type Delivery struct {
	Connection, Kind         string
	CRM                      bool
	State                    string
	Attempts                 int
	RecordID, URL, LastError string
	ConfirmedAt, DueAt       *time.Time
}

func (d Delivery) chip() (kind, icon, word string) {
	place, start := "chat", "Chat"
	if d.CRM {
		place, start = "CRM", "CRM"
	}
	switch d.State {
	case "delivered", "merged":
		return "ok", "check", "In " + place
	case "conflict":
		return "warn", "equal", "Changed in " + place
	case "quarantined":
		return "danger", "circle-x", start + " refused"
	case "saving":
		return "hold", "rotate-cw", fmt.Sprintf("Saving, try %d", d.Attempts+1)
	}
	return "none", "circle-dashed", "Not in " + place + " yet"
}

// Moment is one line of the timeline.
type Moment struct {
	At     time.Time
	Since  time.Duration // since the lead was accepted
	Word   string
	Detail string
	Person bool // a person did it, not the system
}

// In shows the moment by the same clock as another time.
func (m Moment) In(like time.Time) Moment {
	m.At = m.At.In(like.Location())
	return m
}

// clock is the time of day, to the millisecond within the first minute.
func (m Moment) clock() string {
	if m.Since < time.Minute {
		return m.At.Format("15:04:05.000")
	}
	return m.At.Format("15:04")
}

func (m Moment) after() string {
	switch {
	case m.Since < time.Second:
		return fmt.Sprintf("%d ms", m.Since.Milliseconds())
	case m.Since < time.Minute:
		return fmt.Sprintf("%.1f s", m.Since.Seconds())
	}
	return Clock(m.Since)
}

// MomentOf words an event. who is the rep concerned, data what the event carries.
func MomentOf(kind string, at, accepted time.Time, who, pool string, data map[string]any) Moment {
	m := Moment{At: at, Since: max(0, at.Sub(accepted))}
	text := func(key string) string {
		if v, ok := data[key]; ok && v != nil {
			return fmt.Sprint(v)
		}
		return ""
	}
	switch kind {
	case "accepted":
		m.Word, m.Detail = "Stored", "safely, before the visitor was told"
	case "routed":
		m.Word, m.Detail = "Routed", joined(quoted("rule ", text("rule")), prefixed("version ", text("version")), prefixed("to ", pool))
	case "offered":
		m.Word, m.Detail = "Offered", joined(prefixed("to ", who), cause(text("cause")))
	case "pooled":
		m.Word, m.Detail = "Open to the pool", joined(pool, cause(text("cause")))
	case "waiting":
		m.Word, m.Detail = "Waiting", joined("nobody free", pool)
	case "offer_ended":
		m.Word, m.Detail = "Offer ended", joined(who, Readable(text("state")), Readable(text("code")), Readable(text("reason")))
	case "alarm":
		m.Word, m.Detail = "Alarm", joined(Readable(text("kind")), text("state"))
	case "clock":
		m.Word, m.Detail = clockStep(text("clock"), text("step"), text("moved") == "true", who)
	case "paused":
		m.Word, m.Detail, m.Person = "Paused", joined(Readable(text("reason")), pausedUntil(text("until"))), true
	case "resumed":
		m.Word, m.Detail, m.Person = "Resumed", "its clocks run again", true
	case "claimed":
		m.Word, m.Detail, m.Person = "Claimed", joined(prefixed("by ", who), text("by")), true
	case "touched":
		m.Word, m.Detail, m.Person = "First touch", OutcomeWord(text("disposition")), true
	case "outcome":
		m.Word, m.Detail, m.Person = "Outcome", joined(OutcomeWord(text("disposition")), prefixed("by ", who)), true
	case "repeated":
		m.Word, m.Detail, m.Person = "Sent again", "the same person sent the form once more", true
		if text("lead") != "" {
			m.Word, m.Detail = "Wrote again", joined("the same person, or their company, sent another form", prefixed("lead ", text("lead")))
		}
	case "joined":
		m.Word, m.Detail = "Attached", joined("the same person has an open lead", prefixed("lead ", text("lead")), prefixed("with ", who))
	case "owner_passed":
		m.Word, m.Detail = "Owner told", joined(who, "could not take it, so it went to others", Readable(text("code")))
	case "amended":
		m.Word, m.Detail, m.Person = "Corrected", "the visitor added or changed answers", true
	case "crm_saving":
		m.Word, m.Detail = "CRM slow", joined(text("connection"), prefixed("try ", text("attempts")), text("reason"))
	case "crm_written":
		m.Word, m.Detail = "In CRM", joined(text("connection"), suffixed(text("ms"), " ms"))
		if revision := text("revision"); revision != "" && revision != "1" {
			m.Word = "CRM updated"
		}
	case "crm_refused":
		m.Word, m.Detail = "CRM refused", joined(text("connection"), text("reason"))
	case "chat_posted":
		m.Word, m.Detail = "Chat", joined(text("connection"), "card posted")
	case "chat_updated":
		m.Word, m.Detail = "Chat", joined(text("connection"), "card updated")
	case "chat_refused":
		m.Word, m.Detail = "Chat refused", joined(text("connection"), text("reason"))
	case "handed_over":
		m.Word, m.Detail = "Released", "it was held for review; now it goes on"
		if m.Person = text("account") != ""; !m.Person {
			m.Detail = "it was held for review; the same person sent the form again"
		}
	case "discarded":
		m.Word, m.Detail, m.Person = "Discarded", "it was held for review and is spam", true
	case "held":
		m.Word, m.Detail, m.Person = "Held again", "discarding it was undone", true
		if text("rule") != "" {
			m.Word, m.Detail, m.Person = "Held", joined("not to be routed until somebody has looked", quoted("rule ", text("rule"))), false
		}
	case "erased":
		m.Word, m.Detail = "Erased", "contact details and answers, at the person's wish"
	default:
		m.Word = Readable(kind)
	}
	return m
}

// LookMoment says who saw contact details that were masked. reason is empty where the reader is not told.
func LookMoment(at, accepted time.Time, by string, program bool, reason string) Moment {
	m := Moment{At: at, Since: max(0, at.Sub(accepted)), Word: "Looked at", Person: !program}
	if by == "" {
		by = "Somebody"
	}
	if program {
		by = "The program " + by
	}
	m.Detail = by + " looked at the contact details"
	if reason != "" {
		m.Detail += ": " + reason
	}
	return m
}

func prefixed(before, s string) string {
	if s == "" {
		return ""
	}
	return before + s
}

func suffixed(s, after string) string {
	if s == "" {
		return ""
	}
	return s + after
}

func quoted(before, s string) string {
	if s == "" {
		return ""
	}
	return before + "“" + s + "”"
}

// cause says why an offer was made, when it was not the first.
func cause(c string) string {
	switch c {
	case "", "first":
		return ""
	case "timeout":
		return "the one before ran out"
	case "decline":
		return "the one before was passed"
	case "presence_lost":
		return "the rep before went away"
	case "overflow":
		return "nobody free before"
	case "taken":
		return "it was taken from whoever had it"
	case "handed_over":
		return "whoever had it gave it to others"
	case "drain":
		return "somebody became free"
	case "sla_expired":
		return "the time before that ran out"
	case "sla_escalated":
		return "far too late"
	}
	return Readable(c)
}

// TakenSentence tells a loser who won and by how much.
func TakenSentence(name string, byMillis int64) string {
	switch {
	case byMillis <= 0:
		return name + " took this before you."
	case byMillis < 100:
		return fmt.Sprintf("%s took this %d ms before you.", name, byMillis)
	case byMillis < 60_000:
		return fmt.Sprintf("%s took this %.1f s before you.", name, float64(byMillis)/1000)
	}
	return fmt.Sprintf("%s took this %s before you.", name, Clock(time.Duration(byMillis)*time.Millisecond))
}

func whyTitle(l Lead) string {
	switch {
	case l.Mine:
		return "Why you"
	case l.Holder != "":
		return "Why " + l.Holder
	}
	return "Why here"
}
