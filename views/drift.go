package views

import (
	"fmt"
	"time"
)

// Drift is where forms and what arrives for them differ.
type Drift struct {
	Meta     PageMeta
	Choice   DriftChoice
	Forms    []Option // to choose from
	Groups   []DriftForm
	Mails    bool // owners are told by mail
	Resolved bool // the notice that something was marked
	MayMark  bool
}

// DriftChoice is what the list was narrowed to, as the form sends it.
type DriftChoice struct{ Form, Show string }

// All tells whether resolved groups are shown too.
func (c DriftChoice) All() bool { return c.Show == "all" }

// DriftForm is the groups of one form.
type DriftForm struct {
	Slug, Name string
	Owners     []string
	Known      bool // the form is in the configuration
	Groups     []DriftGroup
}

// DriftGroup is one way in which submissions differ. Everything in it that came from outside is a name of a field or a masked shape.
type DriftGroup struct {
	ID                 int64
	Kind               string // refused, unknown or unparseable
	Sentence           string
	Consequence        string
	Advice             string
	Snippet            string // of the configuration; may be empty
	Samples            []string
	Days               []int64 // oldest first; the last is today
	Today, Week, Total int64
	First, Last        time.Time
	Resolved           *time.Time
	Told               []DriftTold
}

// DriftTold is what an owner was told.
type DriftTold struct {
	Owner, State, Reason string
	At                   time.Time
}

func (g DriftGroup) chip() (kind, icon, word string) {
	switch {
	case g.Resolved != nil:
		return "ok", "check", "Resolved"
	case g.Kind == "unknown":
		return "warn", "circle-question-mark", "Unknown field"
	case g.Kind == "unparseable":
		return "danger", "circle-x", "Not readable"
	}
	return "danger", "ban", "Refused"
}

// words says what became of a notice.
func (t DriftTold) words() string {
	at := inUTC(t.At)
	switch t.State {
	case "sent":
		return "told at " + at
	case "waiting":
		if t.Reason != "" {
			return "not told yet: " + t.Reason + "; it will be tried again"
		}
		return "is being told"
	case "refused", "gave_up":
		return "could not be told: " + t.Reason
	}
	return "not told: mails are off"
}

// bar is one day of a chart.
type bar struct {
	X, Y, H string
	Count   int64
	Today   bool
}

// The chart's size, in its own units.
const (
	barWidth    = 6
	barGap      = 2
	chartHeight = 32
)

func (g DriftGroup) chartWidth() string { return fmt.Sprint(len(g.Days) * (barWidth + barGap)) }

// bars draws the days; a day with anything at all can be seen.
func (g DriftGroup) bars() []bar {
	var most int64 = 1
	for _, n := range g.Days {
		most = max(most, n)
	}
	out := make([]bar, len(g.Days))
	for i, n := range g.Days {
		height := n * chartHeight / most
		if n > 0 {
			height = max(height, 3)
		}
		height = max(height, 1)
		out[i] = bar{X: fmt.Sprint(i * (barWidth + barGap)), Y: fmt.Sprint(chartHeight - height), H: fmt.Sprint(height), Count: n, Today: i == len(g.Days)-1}
	}
	return out
}

// chartWords is the chart for those who do not see it.
func (g DriftGroup) chartWords() string {
	var most, sum int64
	for _, n := range g.Days {
		most, sum = max(most, n), sum+n
	}
	return fmt.Sprintf("The last %d days: %s in all, %s on the busiest day, %s today.", len(g.Days), count(sum), count(most), count(g.Today))
}

func isOrAre(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
