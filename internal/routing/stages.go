package routing

import (
	"fmt"
	"strings"
	"time"
)

// BandRepeat is the band of a decision for a lead that was attached to an open one of the same person.
const BandRepeat Band = "repeat"

// Stage is a step of deciding where a lead goes. All are passed in this order.
type Stage string

// The stages.
const (
	StageGate     Stage = "gate"     // may it be routed at all
	StageRepeat   Stage = "repeat"   // is it about an open lead
	StageOwner    Stage = "owner"    // does it belong to somebody already
	StageOverride Stage = "override" // the rules, band by band
	StageMatch    Stage = "match"
	StageDefault  Stage = "default"
)

// What a stage can find.
const (
	FoundAccepted = "accepted"    // gate
	FoundReleased = "released"    // gate: it was held for review, By says why, and a person or a clean repeat let it go on
	FoundOff      = "off"         // repeat, owner: the configuration does not ask
	FoundNobody   = "nobody"      // repeat: no open lead of the person. owner: none
	FoundInUse    = "in_use"      // repeat: there is an open lead, By, but somebody was changing it at that moment
	FoundAttached = "attached"    // repeat: to the lead By
	FoundOwner    = "found"       // owner: Rep, by what By says
	FoundInactive = "inactive"    // owner: only Rep, who is not active
	FoundRule     = "won"         // a band: its rule By
	FoundHolds    = "held"        // a band: its rule By keeps such leads from routing
	FoundNoRule   = "no_rule"     // a band: none of its rules matches
	FoundUnasked  = "not_reached" // something before has decided
)

// Line is what one stage found, as the trace keeps it.
type Line struct {
	Stage Stage  `json:"stage"`
	Found string `json:"found"`
	By    string `json:"by,omitempty"`
	Rep   string `json:"rep,omitempty"` // e-mail address
}

// pass takes a case through the stages. joins is the open lead that it is attached to, if it is. A case that was routed before has passed
// them then.
func (t *Table) pass(w *World, c Case) (d Decision, lines []Line, joins *Earlier) {
	if c.Decided != nil {
		d = *c.Decided
	} else {
		d = t.Decide(c.Facts, c.Facts.AcceptedAt)
	}
	if c.Routed || t == nil {
		return d, nil, nil
	}
	lines = append(lines, c.gate())
	line, joins := t.repeat(c)
	lines = append(lines, line)
	if joins != nil {
		d.Band, d.Rep, d.Hold = string(BandRepeat), joins.Rep, false
		return d, append(lines, Line{Stage: StageOwner, Found: FoundUnasked}, Line{Stage: StageOverride, Found: FoundUnasked},
			Line{Stage: StageMatch, Found: FoundUnasked}, Line{Stage: StageDefault, Found: FoundUnasked}), joins
	}
	c.Decided = &d
	rules := bandLines(d)
	line = t.ownerLine(w, c, &d)
	return d, append(append(lines, line), rules...), nil
}

func (c Case) gate() Line {
	if c.Facts.Spam == SpamReleased {
		return Line{Stage: StageGate, Found: FoundReleased, By: c.Held}
	}
	return Line{Stage: StageGate, Found: FoundAccepted}
}

// repeat looks for an open lead of the same person.
func (t *Table) repeat(c Case) (Line, *Earlier) {
	if !t.stages.Attach {
		return Line{Stage: StageRepeat, Found: FoundOff}, nil
	}
	if c.Known != nil {
		for i := range c.Known.Person {
			e := &c.Known.Person[i]
			switch {
			case e.Open && e.Locked:
				return Line{Stage: StageRepeat, Found: FoundAttached, By: e.Lead.String(), Rep: e.Rep}, e
			case e.Open:
				return Line{Stage: StageRepeat, Found: FoundInUse, By: e.Lead.String()}, nil
			}
		}
	}
	return Line{Stage: StageRepeat, Found: FoundNobody}, nil
}

// ownerLine makes the owner, if there is one who is active, the person of the decision.
func (t *Table) ownerLine(w *World, c Case, d *Decision) Line {
	if len(t.stages.Owner.Match) == 0 {
		return Line{Stage: StageOwner, Found: FoundOff}
	}
	found, ok, inactive := t.findOwner(w, c)
	switch {
	case ok:
		d.Band, d.Rep, d.Hold = string(BandOwner), found.rep, false
		return Line{Stage: StageOwner, Found: FoundOwner, By: string(found.by), Rep: found.rep}
	case inactive.rep != "":
		return Line{Stage: StageOwner, Found: FoundInactive, By: string(inactive.by), Rep: inactive.rep}
	}
	return Line{Stage: StageOwner, Found: FoundNobody}
}

// bandLines tell which band's rule decided. Below an owner it is the rule that says where the lead goes when the owner cannot take it.
func bandLines(d Decision) []Line {
	var lines []Line
	decided := false
	for _, band := range []struct {
		Stage
		Band
	}{{StageOverride, Override}, {StageMatch, Match}, {StageDefault, Default}} {
		line := Line{Stage: band.Stage, Found: FoundNoRule}
		switch {
		case decided:
			line.Found = FoundUnasked
		case d.Band == string(band.Band):
			line.Found, line.By, decided = FoundRule, d.Rule, true
			if d.Hold {
				line.Found = FoundHolds
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// Words is the line in a sentence for people. name words a rep's e-mail address.
func (l Line) Words(name func(email string) string) string {
	switch l.Found {
	case FoundAccepted:
		return "accepted"
	case FoundReleased:
		if l.By == "" {
			return "released after it was held"
		}
		return "released after it was held for " + strings.ReplaceAll(l.By, ",", ", ")
	case FoundOff:
		return "not asked for"
	case FoundInUse:
		return "the same person has an open lead, which was being changed at that moment"
	case FoundAttached:
		if l.Rep == "" {
			return "attached to an open lead of the same person"
		}
		return "attached to the open lead of the same person that " + name(l.Rep) + " has"
	case FoundOwner:
		return name(l.Rep) + ", who " + claims[OwnerBy(l.By)]
	case FoundInactive:
		return "only " + name(l.Rep) + ", who is no longer active"
	case FoundRule:
		return fmt.Sprintf("rule %q", l.By)
	case FoundHolds:
		return fmt.Sprintf("rule %q keeps it from routing until somebody has looked", l.By)
	case FoundNoRule:
		return "no rule matches"
	case FoundUnasked:
		return "not reached"
	}
	if l.Stage == StageRepeat {
		return "no open lead of the same person"
	}
	return "nobody"
}

// claims word what makes an owner.
var claims = map[OwnerBy]string{
	ByPerson: "has an open lead of the same person", ByContact: "had the last lead of the same person", ByAccount: "has the account",
	ByCompany: "has an open lead of the same company",
}

// Origin says where a fact comes from.
type Origin struct {
	Fact  string `json:"fact"`
	Value string `json:"value"`
	From  string `json:"from"` // form, region, postal code, e-mail, phone, address of the page, browser
}

// Origins lists the facts that are known, each with where it comes from. The name of a company is not for everybody who sees the trace.
func (f Facts) Origins() []Origin {
	country := "form"
	if f.CountryFrom != "" {
		country = f.CountryFrom
	}
	var all []Origin
	for _, o := range []Origin{
		{"country", f.Country, country},
		{"region", f.Region, "form"},
		{"postal_code", f.PostalCode, "form"},
		{"product", f.Product, "form"},
		{"company", hidden(f.Company), "form"},
		{"consent", f.Consent, "form"},
		{"email_domain", f.EmailDomain, "e-mail"},
		{"domain_class", f.DomainClass, "e-mail"},
		{"phone_country", f.PhoneCountry, "phone"},
		{"source", f.Source, "page address"},
		{"campaign", f.Campaign, "page address"},
		{"language", f.Language, "browser"},
		{"timezone", f.Timezone, "browser"},
		{"intent", f.Intent, "configuration of the form"},
		{"spam", f.Spam, "review"},
		{"accepted_at", moment(f.AcceptedAt), "database"},
	} {
		if o.Value != "" {
			all = append(all, o)
		}
	}
	return all
}

func hidden(value string) string {
	if value == "" {
		return ""
	}
	return "given"
}

func moment(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}
