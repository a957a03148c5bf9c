// Package views holds what people see: templ components and the plain structs they show. Everything here is text and markup;
// whoever calls it (the handlers) has asked the questions already. Views never reach a store or a request.
package views

import (
	"time"

	"github.com/a-h/templ"
)

// PageMeta describes a page to its shell.
type PageMeta struct {
	Title  string // the h1 and, with the product's name, the document's title; never personal data
	Nav    string // the current entry of the navigation: "live", "audit", "drift", "devices", or empty
	Person Person // who is signed in
	Live   string // how the page uses the live stream: "console", "lead", or empty for not at all
	Theme  string // light, dark, or empty: follow the system
	Now    time.Time
	Drift  int // differences between pages and forms that nobody has dealt with
	Held   int // leads that wait for review, up to a thousand; the shell names the number

	// May tells whether the person may use a route, named like "GET /audit": the shell shows no way to what would be refused. Nil: may
	// not.
	May func(route string) bool
}

func (m PageMeta) may(route string) bool { return m.May != nil && m.May(route) }

// Person is the signed-in person as the header shows them.
type Person struct {
	Name     string
	Kind     string    // the role in a word: rep, ops, admin, viewer
	Presence *Presence // nil: not a rep
}

func (m PageMeta) themeAttr() templ.Attributes {
	if m.Theme == "light" || m.Theme == "dark" {
		return templ.Attributes{"data-theme": m.Theme}
	}
	return templ.Attributes{}
}

func (m PageMeta) asOf() string { return m.Now.Format("15:04:05") }

// Presence is a rep's own status as the router sees it.
type Presence struct {
	State  string // available, focus, away, off
	Reason string // why the system changed it; empty when the rep did
	Since  time.Time
}

type presenceChoice struct{ State, Word, Meaning, Icon string }

var presenceChoices = []presenceChoice{
	{"available", "Available", "offers and pool", "disc"},
	{"focus", "Focus", "pool only, no offers", "timer"},
	{"away", "Away", "nothing new", "pause"},
	{"off", "Off", "end of day", "log-out"},
}

func (p Presence) choice() presenceChoice {
	for _, c := range presenceChoices {
		if c.State == p.State {
			return c
		}
	}
	return presenceChoices[len(presenceChoices)-1]
}

// Word is the status as people say it.
func (p Presence) Word() string { return p.choice().Word }

func (p Presence) icon() string { return p.choice().Icon }
