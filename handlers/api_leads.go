package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/outbox"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

// API answers programs that hold a token. web has checked the token and its scope.
type API struct {
	db       *postgres.DB
	leads    *lead.Store
	reps     *rep.Store
	dispatch *dispatch.Service
	playbook *playbook.Live
	now      func() time.Time
}

// NewAPI makes the handlers of the integration API.
func NewAPI(d Deps) *API {
	return &API{db: d.DB, leads: d.Leads, reps: d.Reps, dispatch: d.Dispatch, playbook: d.Playbook, now: d.Now}
}

// apiLead is a lead as programs see it in a list.
type apiLead struct {
	LeadID        string        `json:"lead_id"`
	Reference     string        `json:"reference"`
	CorrelationID string        `json:"correlation_id"`
	Form          string        `json:"form"`
	Intent        string        `json:"intent"`
	Stage         lead.Stage    `json:"stage"`
	CRMState      lead.CRMState `json:"crm_state"`
	Rep           *apiPerson    `json:"rep"`
	Pool          string        `json:"pool"`
	Attempt       int           `json:"attempt"`
	Disposition   string        `json:"disposition"`
	Product       string        `json:"product"`
	Country       string        `json:"country"`
	Region        string        `json:"region"`
	PostalCode    string        `json:"postal_code"`
	Timezone      string        `json:"timezone"`
	Language      string        `json:"language"`
	Source        string        `json:"source"`
	DomainClass   string        `json:"domain_class"`
	AcceptedAt    string        `json:"accepted_at"`
	ClaimedAt     *string       `json:"claimed_at"`
	FirstTouchAt  *string       `json:"first_touch_at"`
	ClosedAt      *string       `json:"closed_at"`
	Demo          bool          `json:"demo"`
}

// apiLeadPage is one lead with all that is known of it.
type apiLeadPage struct {
	apiLead
	Name       string            `json:"name"`
	Email      string            `json:"email"`
	Phone      string            `json:"phone"`
	Company    string            `json:"company"`
	Notes      string            `json:"notes"`
	Fields     map[string]string `json:"fields"`
	Consent    lead.Consent      `json:"consent"`
	Context    lead.Context      `json:"context"`
	Decision   *apiDecision      `json:"decision"`
	Deliveries []apiDelivery     `json:"deliveries"`
	Offers     []apiOffer        `json:"offers"`
	Timeline   []apiEvent        `json:"timeline"`
	Clocks     apiClocks         `json:"clocks"`
	Pause      *apiPause         `json:"pause"` // null: its clocks run
}

type apiPerson struct {
	Email string `json:"email"`
	Name  string `json:"name"`
}

type apiDecision struct {
	Version    int64                `json:"version"`
	Rule       string               `json:"rule"`
	Pool       string               `json:"pool"`
	Rep        *string              `json:"rep"` // e-mail address
	At         string               `json:"at"`
	Candidates []routing.Considered `json:"candidates"`
	Stages     []routing.Line       `json:"stages"`  // what each stage found, in order
	Origins    []routing.Origin     `json:"origins"` // the facts, with where each comes from
}

type apiDelivery struct {
	Connection  string       `json:"connection"`
	Kind        string       `json:"kind"`
	State       outbox.State `json:"state"`
	Attempts    int          `json:"attempts"`
	RecordID    string       `json:"record_id"`
	URL         string       `json:"url"`
	LastError   string       `json:"last_error"`
	ConfirmedAt *string      `json:"confirmed_at"`
}

// apiOffer is one step on the lead's ladder.
type apiOffer struct {
	Attempt   int     `json:"attempt"`
	Rung      string  `json:"rung"`
	Pool      string  `json:"pool"`
	Rep       *string `json:"rep"` // e-mail address; null: to the whole pool
	State     string  `json:"state"`
	Cause     string  `json:"cause"`
	Declined  string  `json:"declined,omitempty"` // the code with which it was passed
	OfferedAt string  `json:"offered_at"`
	Deadline  *string `json:"deadline"`
	ShownAt   *string `json:"shown_at"` // when the rep's console confirmed that it is on the screen
	EndedAt   *string `json:"ended_at"`
}

type apiEvent struct {
	At      string          `json:"at"`
	Kind    lead.EventKind  `json:"kind"`
	Pool    string          `json:"pool,omitempty"`
	Rep     string          `json:"rep,omitempty"` // e-mail address
	Attempt int             `json:"attempt,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// apiClocks are seconds from the moment the lead was stored; null where it has not come to that.
type apiClocks struct {
	Offered    *float64 `json:"submit_to_offer_seconds"`
	Shown      *float64 `json:"submit_to_screen_seconds"` // a console of somebody asked by name has confirmed it
	Claimed    *float64 `json:"submit_to_claim_seconds"`
	FirstTouch *float64 `json:"submit_to_first_touch_seconds"`
	Contact    *float64 `json:"submit_to_contact_seconds"` // both sides have spoken
	Confirmed  *float64 `json:"submit_to_crm_seconds"`     // the slowest CRM, once all have confirmed

	System *float64   `json:"system_seconds"` // until a screen showed it; where none tells, until it was offered
	Human  *float64   `json:"human_seconds"`  // from there to the first touch
	SLA    []apiClock `json:"sla"`            // the clocks of its pool, with when they are due
}

// Lead is GET /v1/leads/{id}. An alias answers with the one lead. Contact details are masked without the scope leads:reveal; with it
// the reading is recorded, or nothing is read.
func (a *API) Lead(c *fiber.Ctx) error {
	id, err := leadID(c)
	if err != nil {
		return err
	}
	ctx, grant := c.UserContext(), GrantOf(c)
	found, err := a.leads.ByID(ctx, grant.Leads, id)
	if err != nil {
		return err
	}
	if grant.Reveal {
		if err := a.leads.RevealTo(ctx, grant.Leads, found.ID, TokenOf(c).ID); err != nil {
			return err
		}
	}
	seen, err := a.leads.Contact(ctx, grant.Leads, found.ID, sight(c, nil))
	if err != nil {
		return err
	}
	people, err := a.people(ctx)
	if err != nil {
		return err
	}
	contact := shownContact(seen)
	page := apiLeadPage{
		apiLead: listed(found, people), Name: contact.Name.Plain(), Email: contact.Email.Plain(), Phone: contact.Phone.Plain(), Company: contact.Company.Plain(),
		Notes: contact.Notes.Plain(), Fields: lead.PlainFields(contact.Fields), Consent: contact.Consent, Context: contact.Context,
	}
	if seen.Whole {
		page.PostalCode = found.PostalCode
	}
	if page.Fields == nil {
		page.Fields = map[string]string{}
	}
	if err := a.history(ctx, grant.Leads, &page, found, people, grant.Reveal); err != nil {
		return err
	}
	return c.JSON(page)
}

// history adds what happened: the decision, the deliveries, the timeline and the clocks made of them. noted: also what people wrote.
func (a *API) history(ctx context.Context, scope lead.Scope, page *apiLeadPage, l lead.Lead, people map[uuid.UUID]rep.Rep, noted bool) error {
	var err error
	if page.Decision, err = a.decision(ctx, scope, l.ID, people); err != nil {
		return err
	}
	deliveries, err := outbox.Deliveries(ctx, a.db.Console, l.ID)
	if err != nil {
		return err
	}
	page.Deliveries = make([]apiDelivery, len(deliveries))
	for i, d := range deliveries {
		page.Deliveries[i] = apiDelivery{
			Connection: d.Connection, Kind: d.Kind, State: d.State, Attempts: d.Attempts, RecordID: d.RecordID, URL: d.URL,
			LastError: d.LastError, ConfirmedAt: stampOf(d.ConfirmedAt),
		}
	}
	events, err := a.leads.Timeline(ctx, scope, l.ID)
	if err != nil {
		return err
	}
	page.Timeline = make([]apiEvent, len(events))
	for i, e := range events {
		page.Timeline[i] = apiEvent{At: stamp(e.At), Kind: e.Kind, Pool: e.Pool, Attempt: e.Attempt, Data: e.Data}
		if e.RepID != nil {
			page.Timeline[i].Rep = people[*e.RepID].Email
		}
	}
	page.Clocks = clocks(l, events, deliveries)
	offers, err := a.dispatch.Offers(ctx, l.ID)
	if err != nil {
		return err
	}
	page.Offers = make([]apiOffer, len(offers))
	for i, o := range offers {
		page.Offers[i] = apiOffer{
			Attempt: o.Attempt, Rung: string(o.Rung), Pool: o.Pool, State: o.State, Cause: o.Cause, Declined: string(o.Declined),
			OfferedAt: stamp(o.OfferedAt), Deadline: stampOf(o.Deadline), ShownAt: stampOf(o.ShownAt), EndedAt: stampOf(o.EndedAt),
		}
		if r, ok := people[o.Rep]; ok {
			page.Offers[i].Rep = &r.Email
		}
		if o.ShownAt != nil && page.Clocks.Shown == nil {
			seconds := o.ShownAt.Sub(l.AcceptedAt).Seconds()
			page.Clocks.Shown = &seconds
		}
	}
	return a.addClocks(ctx, page, l, events, noted)
}

func (a *API) decision(ctx context.Context, scope lead.Scope, id uuid.UUID, people map[uuid.UUID]rep.Rep) (*apiDecision, error) {
	d, err := a.leads.Decision(ctx, scope, id)
	if fault.Is(err, fault.NotFound) {
		return nil, nil //nolint:nilnil // null in the answer: dispatch has not run yet
	}
	if err != nil {
		return nil, err
	}
	out := &apiDecision{Version: d.Version, Rule: d.Rule, Pool: d.Pool, At: stamp(d.At)}
	out.Candidates, out.Stages, out.Origins = []routing.Considered{}, []routing.Line{}, []routing.Origin{}
	if d.RepID != nil {
		if r, ok := people[*d.RepID]; ok {
			out.Rep = &r.Email
		}
	}
	var trace struct {
		Candidates []routing.Considered `json:"candidates"`
		Stages     []routing.Line       `json:"stages"`
		Facts      routing.Facts        `json:"facts"`
	}
	if err := json.Unmarshal(d.Trace, &trace); err != nil {
		return nil, fmt.Errorf("read a routing trace: %w", err)
	}
	out.Candidates = append(out.Candidates, trace.Candidates...)
	out.Stages, out.Origins = append(out.Stages, trace.Stages...), append(out.Origins, trace.Facts.Origins()...)
	return out, nil
}

// clocks measures from the moment the lead was stored, all on the database's clock.
func clocks(l lead.Lead, events []lead.Event, deliveries []outbox.Delivery) apiClocks {
	since := func(at *time.Time) *float64 {
		if at == nil {
			return nil
		}
		seconds := at.Sub(l.AcceptedAt).Seconds()
		return &seconds
	}
	out := apiClocks{Claimed: since(l.ClaimedAt), FirstTouch: since(l.FirstTouchAt)}
	for _, e := range events {
		if e.Kind == lead.EventOffered || e.Kind == lead.EventPooled {
			out.Offered = since(&e.At)
			break
		}
	}
	var last *time.Time
	for _, d := range deliveries {
		if d.Destination != outbox.CRM {
			continue
		}
		if d.ConfirmedAt == nil {
			return out
		}
		if last == nil || d.ConfirmedAt.After(*last) {
			last = d.ConfirmedAt
		}
	}
	out.Confirmed = since(last)
	return out
}

// Leads is GET /v1/leads?form=&stage=&crm_state=&since=&cursor=&limit=: newest first, without contact details.
func (a *API) Leads(c *fiber.Ctx) error {
	filter := lead.Filter{
		Form: c.Query("form"), Stage: lead.Stage(c.Query("stage")), CRMState: lead.CRMState(c.Query("crm_state")),
		Cursor: c.Query("cursor"), Limit: c.QueryInt("limit"),
	}
	if filter.Stage != "" && !slices.Contains(stages, filter.Stage) {
		return fault.New(fault.Malformed, "There is no such stage. Use one of %s.", joinWords(stages))
	}
	if filter.CRMState != "" && !slices.Contains(crmStates, filter.CRMState) {
		return fault.New(fault.Malformed, "There is no such crm_state. Use one of %s.", joinWords(crmStates))
	}
	if since := c.Query("since"); since != "" {
		at, err := time.Parse(time.RFC3339, since)
		if err != nil {
			return fault.New(fault.Malformed, "Give since as a time like 2026-11-23T16:02:07Z.")
		}
		filter.Since = at
	}
	found, cursor, err := a.leads.List(c.UserContext(), GrantOf(c).Leads, filter)
	if err != nil {
		return err
	}
	people, err := a.people(c.UserContext())
	if err != nil {
		return err
	}
	leads := make([]apiLead, len(found))
	for i, l := range found {
		leads[i] = listed(l, people)
	}
	answer := fiber.Map{"leads": leads, "next_cursor": nil}
	if cursor != "" {
		answer["next_cursor"] = cursor
	}
	return c.JSON(answer)
}

// What the filters of a list may ask for.
var (
	stages = []lead.Stage{
		lead.StageNew, lead.StageOffered, lead.StageWaiting, lead.StageClaimed, lead.StageContacted, lead.StageBooked, lead.StageDisqualified,
		lead.StageClosed, lead.StageHeld, lead.StageQuarantined,
	}
	crmStates = []lead.CRMState{lead.CRMPending, lead.CRMSaving, lead.CRMConfirmed, lead.CRMConflict, lead.CRMRefused}
)

func joinWords[S ~string](words []S) string {
	plain := make([]string, len(words))
	for i, w := range words {
		plain[i] = string(w)
	}
	return strings.Join(plain, ", ")
}

// listed is what every program may know of a lead; contact details are no part of it, nor is the street that a postal code names.
func listed(l lead.Lead, people map[uuid.UUID]rep.Rep) apiLead {
	out := apiLead{
		LeadID: l.ID.String(), Reference: lead.Reference(l.ID), CorrelationID: l.CorrelationID, Form: l.Form, Intent: l.Intent,
		Stage: l.Stage, CRMState: l.CRMState, Pool: l.Pool, Attempt: l.Attempt, Disposition: l.Disposition, Product: l.Product,
		Country: l.Country, Region: l.Region, PostalCode: area(l.PostalCode), Timezone: l.Timezone, Language: l.Language, Source: unaddressed(l.Source),
		DomainClass: l.DomainClass, AcceptedAt: stamp(l.AcceptedAt), ClaimedAt: stampOf(l.ClaimedAt),
		FirstTouchAt: stampOf(l.FirstTouchAt), ClosedAt: stampOf(l.ClosedAt), Demo: l.Demo,
	}
	if l.RepID != nil {
		r := people[*l.RepID]
		out.Rep = &apiPerson{Email: r.Email, Name: r.Name}
	}
	return out
}

// people gives all reps by id: there are few of them, and an answer names several.
func (a *API) people(ctx context.Context) (map[uuid.UUID]rep.Rep, error) {
	all, err := a.reps.All(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[uuid.UUID]rep.Rep, len(all))
	for _, r := range all {
		out[r.ID] = r
	}
	return out, nil
}

// leadID reads the id in the address. What is no id names no lead, and is answered like one that does not exist.
func leadID(c *fiber.Ctx) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Params("id"))
	if err != nil {
		return uuid.Nil, fault.New(fault.NotFound, "This lead is not here. It may have been removed.")
	}
	return id, nil
}

func stampOf(t *time.Time) *string {
	if t == nil {
		return nil
	}
	s := stamp(*t)
	return &s
}
