package views

import (
	"net/url"
	"strconv"
	"time"

	"leadline/internal/lead"
)

// Held is the review of leads that were held as they arrived.
type Held struct {
	Meta    PageMeta
	Items   []HeldItem
	Choice  HeldChoice
	Forms   []Option
	Reasons []Option
	Next    string // cursor of the page after; empty: none
	Later   bool   // a page before this one exists
	Notice  string // what was just done, or what is missing
	Undo    []string
}

// HeldChoice is what the list is narrowed to.
type HeldChoice struct {
	Discarded    bool
	Form, Reason string
}

func (c HeldChoice) query(cursor string) string {
	q := url.Values{}
	for name, value := range map[string]string{"form": c.Form, "reason": c.Reason, "cursor": cursor} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if c.Discarded {
		q.Set("state", "discarded")
	}
	if len(q) == 0 {
		return "/held"
	}
	return "/held?" + q.Encode()
}

// HeldItem is one lead, its contact masked.
type HeldItem struct {
	ID, Reference               string
	Form, Country               string
	Name, Email, Phone, Company string
	Score                       int
	Reasons                     []string // names
	Accepted                    time.Time
}

func (i HeldItem) title() string {
	for _, s := range []string{i.Name, i.Email, i.Phone} {
		if s != "" {
			return s
		}
	}
	return i.Reference
}

func (i HeldItem) score() string { return "Score " + strconv.Itoa(i.Score) + " of 100" }

// heldWords are the reasons for people who decide.
var heldWords = map[string]string{
	lead.HeldByRule: "A rule says that such leads are not to be routed",
	"hidden_field":  "Filled in a field that people do not see",
	"forged_token":  "Came with a page token that is not ours",
	"reused_token":  "One opened page sent many different forms",
	"too_fast":      "Sent sooner than anybody can press a button",
	"old_page":      "The page was opened more than a day ago",
	"no_token":      "The page did not ask us for a token, as plain integrations do",
	"denied":        "Address or e-mail domain is on your deny list",
	"disposable":    "A mailbox that lives for minutes",
	"links":         "Links where people write words",
	"markup":        "HTML or forum markup in the answers",
	"spam_words":    "Words of known advertising",
	"same_text":     "The same text in different fields",
	"gibberish":     "Letters that look random",
	"busy_address":  "Far more from this address than usual",
	"busy_network":  "Far more from this network than usual",
	"rotating":      "Many addresses of one network, one after the other",
	"same_person":   "The same person again and again within minutes",
	"unproven":      "The browser could not do the proof of work",
	"unchecked_pow": "The proof of work could not be checked at that moment",
}

// Leads is a number of leads in words.
func Leads(n int) string { return plural(n, "lead", "leads") }

// HeldReason is a reason in words.
func HeldReason(name string) string {
	if words, ok := heldWords[name]; ok {
		return words
	}
	return Readable(name)
}
