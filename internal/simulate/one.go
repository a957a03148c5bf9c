package simulate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/privacy"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

// Lead is a lead that nobody sent: what a form would say, as far as rules look at it.
type Lead struct {
	Form       string `json:"form"`
	Email      string `json:"email,omitempty"`
	Phone      string `json:"phone,omitempty"`
	Company    string `json:"company,omitempty"`
	Country    string `json:"country,omitempty"`
	Region     string `json:"region,omitempty"`
	PostalCode string `json:"postal_code,omitempty"`
	Product    string `json:"product,omitempty"`
	Source     string `json:"source,omitempty"`   // utm_source
	Language   string `json:"language,omitempty"` // locale of the browser
}

// Question is: where would this lead go, then, under that configuration, with those people there?
type Question struct {
	Lead     Lead
	Stored   uuid.UUID               // a lead that was routed before, in place of Lead; zero: Lead
	At       time.Time               // zero: now
	Config   *playbook.Config        // what decides
	Version  int64                   // its number; 0: it has none
	Presence map[string]rep.Presence // by e-mail address, in place of what people have set; "*" means everybody else
}

// Result is the answer: the decision, and where the lead would stand.
type Result struct {
	At      time.Time
	Outcome routing.Outcome
	To      string // e-mail address of who would get the offer; empty: nobody by name
}

// One answers a Question from the world as it is, moved to the time that was asked for: whoever can be reached now counts as reachable
// then, and leads and turns count as they stand. Nothing is stored or sent. A lead that a form would refuse, or a
// presence of nobody, is an Invalid fault.
func One(ctx context.Context, db *postgres.DB, q Question) (Result, error) {
	facts, known, err := q.facts(ctx, db)
	if err != nil {
		return Result{}, err
	}
	table, err := Compiled(q.Config, q.Version)
	if err != nil {
		return Result{}, err
	}
	at := q.At
	if at.IsZero() {
		if err := db.Console.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&at); err != nil {
			return Result{}, fmt.Errorf("ask the database for its time: %w", err)
		}
	}
	facts.AcceptedAt = at
	c := routing.Case{Facts: facts, Known: known, New: true}
	bare := routing.Place(table, &routing.World{Now: at}, c) // only to learn which pools it is about
	roster, err := playbook.RosterOf(ctx, rep.NewStore(db.Gorm), q.Config, at)
	if err != nil {
		return Result{}, err
	}
	w, err := dispatch.Look(ctx, db, table, roster, []*routing.Pool{table.Pool(bare.Home)}, table.Asks(bare.Decision, c)...)
	if err != nil {
		return Result{}, err
	}
	if err := q.move(ctx, db, w, at); err != nil {
		return Result{}, err
	}
	for _, p := range w.People {
		p.Status = roster.At(p.Rep, at)
	}
	out := routing.Place(table, w, c)
	r := Result{At: at, Outcome: out}
	if out.Place != nil && out.Place.Rep != nil {
		r.To = out.Place.Rep.Email
	}
	return r, nil
}

// facts are those of the lead, as intake would find them, and of a stored one what was known of who sent it.
func (q *Question) facts(ctx context.Context, db *postgres.DB) (routing.Facts, *routing.Known, error) {
	if q.Stored != uuid.Nil {
		all, err := ofLead(ctx, db, q.Stored)
		if err != nil {
			return routing.Facts{}, nil, err
		}
		if len(all) == 0 {
			return routing.Facts{}, nil, fault.New(fault.NotFound, "There is no routed lead of this id.")
		}
		r, err := routing.ReadRecord(all[0].record)
		if err != nil {
			return routing.Facts{}, nil, err
		}
		if r.Case == nil {
			return r.Facts, nil, nil
		}
		return r.Facts, r.Case.Known, nil
	}
	l := q.Lead
	facts, err := q.Config.FactsOf(l.Form, lead.Raw{
		Email: privacy.Text(l.Email), Phone: privacy.Text(l.Phone), Company: privacy.Text(l.Company), Country: l.Country, Region: l.Region, PostalCode: l.PostalCode, Product: l.Product,
		Context: lead.Context{UTMSource: l.Source, Locale: l.Language},
	})
	if err != nil {
		return facts, nil, wrong("lead", "lead", "%s.", err)
	}
	return facts, nil, nil
}

// move changes the world to another time and presence.
func (q *Question) move(ctx context.Context, db *postgres.DB, w *routing.World, at time.Time) error {
	given := map[string]rep.Presence{}
	for email, presence := range q.Presence {
		switch presence {
		case rep.Available, rep.Focus, rep.Away, rep.Off:
		default:
			return wrong("presence", "unknown", "%q is no presence. Use available, focus, away or off.", presence)
		}
		email = strings.ToLower(strings.TrimSpace(email))
		if email != "*" {
			if _, err := KnownRep(ctx, rep.NewStore(db.Gorm), email); err != nil {
				return err
			}
		}
		given[email] = presence
	}
	for email, p := range w.People {
		if p.Reachable(w.Now) {
			p.ReachableAt = &at
		}
		presence, ok := given[email]
		if !ok {
			presence, ok = given["*"]
		}
		if ok {
			p.Presence, p.PresenceBy, p.PresenceReason = presence, rep.ByAPI, ""
		}
	}
	w.Now = at
	return nil
}

func wrong(field, code, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	return &fault.Error{Kind: fault.Invalid, Message: message, Fields: []fault.Field{{Field: field, Code: code, Message: message}}}
}

// ReadLead reads what a program gives as the lead: an object with what a form sends, or the id of a stored lead. Anything else is a
// Malformed fault.
func (q *Question) ReadLead(given []byte) error {
	if json.Unmarshal(given, &q.Stored) == nil && q.Stored != uuid.Nil {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(given))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q.Lead); err != nil {
		if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return fault.New(fault.Malformed, "A lead to simulate has no field %s.", name)
		}
		return fault.New(fault.Malformed, `Give lead as an object like {"form": "demo", "country": "DE"}, or as the id of a lead.`)
	}
	return nil
}
