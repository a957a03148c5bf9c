package views

import (
	"fmt"
	"strings"
	"time"
)

// Live is the console: what is offered, what is mine, what waits in my pools.
type Live struct {
	Meta      PageMeta
	Rep       bool // the viewer takes leads; else they only watch
	Seq       int64
	Now       time.Time
	Offers    []Card
	Mine      []Card
	Pool      []Card
	PoolCount int
	PoolLate  int
	Notice    string // what the last action came to, for pages without scripts
}

// OfferSummary is the line beside the heading of offers.
func OfferSummary(n int) string {
	if n == 0 {
		return ""
	}
	return plural(n, "lead, yours alone for a moment", "leads, yours alone for a moment")
}

// PoolSummary is the line beside the heading of the pool.
func PoolSummary(count, shown, late int) string {
	if count == 0 {
		return ""
	}
	s := fmt.Sprintf("%d waiting", count)
	if count > shown {
		s += fmt.Sprintf(", %d most urgent", shown)
	}
	if late > 0 {
		s += fmt.Sprintf(", %d late", late)
	}
	return s
}

// MineSummary is the line beside the heading of one's own leads.
func MineSummary(open int) string {
	if open == 0 {
		return ""
	}
	return plural(open, "to reach", "to reach")
}

func (l Live) openMine() int {
	n := 0
	for _, c := range l.Mine {
		if c.FinishedAt.IsZero() {
			n++
		}
	}
	return n
}

func (l Live) ready() *Presence {
	if p := l.Meta.Person.Presence; p != nil {
		return p
	}
	return nil
}

// asksReady tells whether the rep must say so before offers come.
func (p Presence) asksReady() bool { return p.State == "off" || p.State == "away" }

func (p Presence) readyTitle() string {
	if p.State == "away" {
		return "You are away, so leads go to others"
	}
	return "Ready to receive leads?"
}

func (p Presence) readyText() string {
	if p.Reason != "" {
		return p.Reason
	}
	return "Offers come to you one at a time, with a sound if you turn it on."
}

// MissedSentence tells what happened while a console was away; empty when nothing did.
func MissedSentence(offersGone, newInPool, late int) string {
	var parts []string
	if offersGone > 0 {
		parts = append(parts, plural(offersGone, "lead was offered to others", "leads were offered to others"))
	}
	if newInPool > 0 {
		parts = append(parts, plural(newInPool, "came to your pool", "came to your pool"))
	}
	if late > 0 {
		parts = append(parts, plural(late, "of yours is late", "of yours are late"))
	}
	if len(parts) == 0 {
		return "You missed nothing."
	}
	return strings.Join(parts, ", ") + "."
}

// OfferSentence announces an offer to somebody who may not look at the screen.
func OfferSentence(c Card) string {
	s := "Offered to you: " + c.Title() + "."
	if c.Hot {
		s = "Offered to you: hot, " + c.Title() + "."
	}
	if c.Deadline != nil {
		s += fmt.Sprintf(" %d seconds to claim.", int(max(0, c.Deadline.Sub(c.Now)).Round(time.Second).Seconds()))
	}
	return s
}
