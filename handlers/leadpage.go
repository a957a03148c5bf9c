package handlers

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/outbox"
	"leadline/internal/rep"
	"leadline/internal/routing"
	"leadline/views"
)

// Lead shows one lead: who it is (to its holder), what happened, why this rep: GET /leads/{id}. With ?part=1 it answers the
// part that changes, which the page asks for while it is open.
func (h *Console) Lead(c *fiber.Ctx) error {
	id, err := h.leadID(c)
	if err != nil {
		return err
	}
	me, err := h.rep(c.UserContext(), WhoOf(c))
	if err != nil {
		return err
	}
	page, err := h.leadPage(c, me, id)
	if err != nil {
		return err
	}
	page.Meta = h.meta(c, "Lead "+page.Reference, "lead", me)
	if c.Query("part") != "" && partOfPage(c) {
		return Render(c, views.LeadPart(page))
	}
	return Render(c, views.LeadPage(page))
}

func (h *Console) leadPage(c *fiber.Ctx, me *rep.Rep, id uuid.UUID) (views.Lead, error) {
	ctx, grant := c.UserContext(), GrantOf(c)
	l, err := h.leads.ByID(ctx, grant.Leads, id)
	if err != nil {
		return views.Lead{}, err
	}
	seen, err := h.leads.Contact(ctx, grant.Leads, l.ID, sight(c, me))
	if err != nil {
		return views.Lead{}, err
	}
	card, err := h.hub.Read(ctx, l.ID)
	if err != nil {
		return views.Lead{}, err
	}
	reps, err := h.reps.All(ctx)
	if err != nil {
		return views.Lead{}, err
	}
	names, contact := namesOf(reps, me), shownContact(seen)
	page := views.Lead{
		Card: newScene(h, c, me).card(card), Reference: lead.Reference(l.ID), Region: l.Region, PostalCode: l.PostalCode, Language: l.Language,
		Campaign: contact.Context.UTMCampaign, PageURL: contact.Context.PageURL, Now: h.hub.Clock(), Mine: seen.Mine,
		Contact: seenContact(seen, grant), HidesAt: seen.HidesAt, Reveal: grant.May("POST /leads/:id/reveal") && !seen.Mine && !seen.Forgotten,
	}
	if !seen.Whole {
		page.PostalCode = area(l.PostalCode)
	}
	if l.RepID != nil {
		page.Holder = names[*l.RepID]
	}
	if seen.Whole {
		page.Card.Contact = contactView(seen.Contact)
	}
	offered, exclusive := card.OfferedTo()
	if me != nil {
		page.Offered = exclusive && offered == me.ID
		page.Claimable = page.Offered || card.Claimable()
	}
	if page.Why, err = h.why(ctx, grant.Leads, l.ID, reps, me); err != nil {
		return page, err
	}
	if page.Timeline, err = h.timeline(ctx, grant, l.ID, names, page.Mine || page.Offered); err != nil {
		return page, err
	}
	deliveries, err := outbox.Deliveries(ctx, h.db.Console, l.ID)
	page.Deliveries = deliveryViews(deliveries)
	return page, err
}

// namesOf is what to call each rep; the reader is "you".
func namesOf(reps []rep.Rep, me *rep.Rep) map[uuid.UUID]string {
	names := map[uuid.UUID]string{}
	for _, r := range reps {
		names[r.ID] = r.Name
	}
	if me != nil {
		names[me.ID] = "you"
	}
	return names
}

// seenContact words a contact as far as it is shown: whole, masked or hidden.
func seenContact(seen lead.SeenContact, grant Grant) views.SeenContact {
	c := shownContact(seen)
	out := views.SeenContact{
		How:     "hidden",
		Contact: views.Contact{Name: c.Name.Plain(), Email: c.Email.Plain(), PhoneShown: c.Phone.Plain(), Company: c.Company.Plain()},
		Consent: views.Consent{Phone: c.Consent.Phone, Email: c.Consent.Email, SMS: c.Consent.SMS, TextVersion: c.Consent.TextVersion},
	}
	switch {
	case seen.Forgotten:
		out.How = "erased"
	case seen.Whole:
		out.How, out.Contact = "whole", *contactView(c)
	case grant.Masked:
		out.How = "masked"
	}
	for name, value := range c.Fields {
		out.Answers = append(out.Answers, views.Answer{Name: views.Readable(name), Value: value.Plain()})
	}
	views.SortAnswers(out.Answers)
	return out
}

// why explains the first routing decision.
func (h *Console) why(ctx context.Context, scope lead.Scope, id uuid.UUID, reps []rep.Rep, me *rep.Rep) (*views.Why, error) {
	d, err := h.leads.Decision(ctx, scope, id)
	if fault.Is(err, fault.NotFound) {
		return nil, nil //nolint:nilnil // the lead is being routed; the page says so
	}
	if err != nil {
		return nil, err
	}
	var trace struct {
		Candidates []routing.Considered `json:"candidates"`
		RunnersUp  []routing.RunnerUp   `json:"runners_up"`
		Stages     []routing.Line       `json:"stages"`
		Facts      routing.Facts        `json:"facts"`
	}
	_ = json.Unmarshal(d.Trace, &trace) // a trace of another version still has its rule and pool
	byEmail := map[string]string{}
	for _, r := range reps {
		byEmail[r.Email] = r.Name
	}
	if me != nil {
		byEmail[me.Email] = "You"
	}
	called := func(email string) string {
		if name := byEmail[email]; name != "" {
			return name
		}
		return email
	}
	w := &views.Why{Version: d.Version, Rule: d.Rule, Pool: d.Pool, At: d.At}
	for _, l := range trace.Stages {
		w.Stages = append(w.Stages, views.StageLine{Stage: string(l.Stage), Words: l.Words(called)})
	}
	for _, o := range trace.Facts.Origins() {
		w.Origins = append(w.Origins, views.Origin{Fact: o.Fact, Value: o.Value, From: o.From})
	}
	for _, c := range trace.Candidates {
		w.Candidates = append(w.Candidates, views.Candidate{Name: called(c.Rep), Outcome: c.Outcome, Reason: c.Reason, Pool: c.Pool})
	}
	for _, r := range trace.RunnersUp {
		w.RunnersUp = append(w.RunnersUp, views.RunnerUp{Rule: r.Rule, Lost: r.Lost})
	}
	return w, nil
}

// timeline words every event, and who looked at the contact details. concerned: the lead is the reader's, or offered to the reader.
func (h *Console) timeline(ctx context.Context, grant Grant, id uuid.UUID, names map[uuid.UUID]string, concerned bool) ([]views.Moment, error) {
	events, err := h.leads.Timeline(ctx, grant.Leads, id)
	if err != nil {
		return nil, err
	}
	looks, err := h.leads.Looks(ctx, grant.Leads, id)
	if err != nil {
		return nil, err
	}
	out := make([]views.Moment, 0, len(events)+len(looks))
	for _, e := range events {
		if e.Kind == lead.EventRevealed {
			continue // told below, with the reason
		}
		data := map[string]any{}
		_ = json.Unmarshal(e.Data, &data) // an event without data still happened
		who := ""
		if e.RepID != nil {
			who = names[*e.RepID]
		}
		out = append(out, views.MomentOf(string(e.Kind), e.At, events[0].At, who, e.Pool, data))
	}
	for _, l := range looks {
		out = append(out, lookMoment(l, events[0].At, concerned || grant.Masked))
	}
	slices.SortStableFunc(out, func(a, b views.Moment) int { return a.At.Compare(b.At) })
	return out, nil
}

// lookMoment says who looked. The reason is for the rep concerned and for those who look after the desk: it may say something about
// the person, and the rest of the team need not know it.
func lookMoment(l lead.Look, accepted time.Time, told bool) views.Moment {
	reason := l.Reason.Plain()
	switch {
	case l.Token || !told:
		reason = ""
	case l.Erased:
		reason = "reason erased"
	}
	return views.LookMoment(l.At, accepted, l.By, l.Token, reason)
}

func deliveryViews(from []outbox.Delivery) []views.Delivery {
	out := make([]views.Delivery, len(from))
	for i, d := range from {
		out[i] = views.Delivery{
			Connection: d.Connection, Kind: d.Kind, CRM: d.Destination == outbox.CRM, State: string(d.State), Attempts: d.Attempts,
			RecordID: d.RecordID, URL: d.URL, LastError: d.LastError, ConfirmedAt: d.ConfirmedAt, DueAt: d.DueAt,
		}
	}
	return out
}
