package views

import (
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// Audit is the record of who did, saw or changed what.
type Audit struct {
	Meta    PageMeta
	Choice  AuditChoice
	Actors  []Option // to choose from; empty for people who see their own doing alone
	Did     []Option
	When    []Option
	Saved   []AuditSaved
	Entries []AuditEntry
	Next    string // cursor of the next page; empty: this is the last
	Later   bool   // this is not the first page
	Notice  string // why nothing could be looked up; empty: it could
	Own     bool   // the person sees their own doing, and who saw the leads they hold
	Chain   *AuditChain
}

// AuditChoice is what the list was narrowed to, as the form sends it.
type AuditChoice struct{ Who, Did, To, When string }

// AuditSaved is a list that people look at again and again.
type AuditSaved struct {
	Name   string
	Choice AuditChoice
}

// AuditEntry is one line of the record.
type AuditEntry struct {
	Seq         int64
	At          time.Time
	Who         string
	Did         string
	To          string // what it was done to; may be empty
	ToURL       string // empty: no page of its own
	Reason      string // somebody's words
	Erased      bool   // the words were erased
	Action      string
	Facts       []Answer // details by name
	Correlation string
	Hash        string
}

// AuditChain is how the record itself fares.
type AuditChain struct {
	Head      int64
	Anchor    int64 // the newest signed row; 0: none yet
	AnchorAt  time.Time
	Problem   string // why nothing is signed; empty: it is
	Places    []AuditPlace
	MayVerify bool
	Report    *AuditReport // the newest verification; nil: none since this process began
}

// AuditPlace is somewhere outside where anchors go.
type AuditPlace struct {
	Name    string
	Seq     int64
	Problem string // empty: all is well
}

// AuditReport is what a verification found.
type AuditReport struct {
	At       time.Time
	From, To int64
	Rows     int64
	Anchors  int
	Compared bool // with what is outside
	Took     time.Duration
	Findings []string // the first ones
	More     int      // findings beyond those
}

// query is the address of the list with a choice, beginning at a cursor.
func (c AuditChoice) query(cursor string) string {
	q := url.Values{}
	for name, value := range map[string]string{"who": c.Who, "did": c.Did, "to": c.To, "when": c.When, "cursor": cursor} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return "/audit"
	}
	return "/audit?" + q.Encode()
}

func (e AuditEntry) stamp() string { return e.At.UTC().Format("2006-01-02 15:04:05") }

func (e AuditEntry) precise() string { return e.At.UTC().Format("2006-01-02T15:04:05.000000Z") }

func inUTC(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05") + " UTC" }

func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// verdict is a verification in a sentence.
func (r AuditReport) verdict() string {
	rows := fmt.Sprintf("Rows %s to %s", count(r.From), count(r.To))
	if r.Rows == 0 {
		rows = "No rows"
	}
	anchors := plural(r.Anchors, "anchor", "anchors")
	if !r.Compared {
		anchors += ", none of them outside"
	}
	return fmt.Sprintf("%s and %s, checked at %s in %.1f s.", rows, anchors, r.At.UTC().Format("15:04:05 UTC"), r.Took.Seconds())
}

func (r AuditReport) chip() (kind, icon, word string) {
	if len(r.Findings) > 0 {
		return "danger", "triangle-alert", plural(len(r.Findings)+r.More, "finding", "findings")
	}
	return "ok", "circle-check", "Unbroken"
}

func upTo(seq int64) string {
	if seq == 0 {
		return "nothing"
	}
	return "rows up to " + count(seq)
}
