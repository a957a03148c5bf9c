package handlers

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/account"
	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/outbox"
	"leadline/internal/privacy"
	"leadline/internal/rep"
	"leadline/internal/routing"
	"leadline/views"
)

// Lead shows one lead: who it is (to its holder), what happened, why this rep: GET /leads/{id}. With ?part=1 it answers the
// part that changes, which the page asks for while it is open.
func (h *Console) Lead(c *fiber.Ctx) error {
	ctx, who := c.UserContext(), WhoOf(c)
	id, err := h.leadID(c)
	if err != nil {
		return err
	}
	me, err := h.rep(ctx, who)
	if err != nil {
		return err
	}
	page, err := h.leadPage(ctx, who, me, id)
	if err != nil {
		return err
	}
	page.Meta = h.meta(c, "Lead "+page.Reference, "lead", me)
	if c.Query("part") != "" && partOfPage(c) {
		return Render(c, views.LeadPart(page))
	}
	return Render(c, views.LeadPage(page))
}

func (h *Console) leadPage(ctx context.Context, who account.Who, me *rep.Rep, id uuid.UUID) (views.Lead, error) {
	l, contact, err := h.leads.ByID(ctx, id)
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
	names := namesOf(reps, me)
	s := newScene(h, who, me)
	page := views.Lead{
		Card: s.card(card), Reference: lead.Reference(l.ID), Region: l.Region, PostalCode: l.PostalCode, Language: l.Language,
		Campaign: contact.Context.UTMCampaign, PageURL: contact.Context.PageURL, Now: h.hub.Clock(), Mine: holds(me, l),
	}
	if l.RepID != nil {
		page.Holder = names[*l.RepID]
	}
	page.Contact = visibleContact(contact, who, page.Mine)
	page.Card.Contact = nil
	if page.Mine {
		page.Card.Contact = contactView(contact)
	}
	if offered, exclusive := card.OfferedTo(); me != nil {
		page.Offered = exclusive && offered == me.ID
		page.Claimable = page.Offered || card.Claimable()
	}
	if page.Why, err = h.why(ctx, l.ID, reps, me); err != nil {
		return page, err
	}
	events, err := h.leads.Timeline(ctx, l.ID)
	if err != nil {
		return page, err
	}
	page.Timeline = timeline(events, names)
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

// visibleContact gives the contact to the holder, masked to those who look after the desk, and nothing to other reps.
func visibleContact(c lead.Contact, who account.Who, mine bool) views.SeenContact {
	seen := views.SeenContact{Consent: views.Consent{
		Phone: c.Consent.Phone, Email: c.Consent.Email, SMS: c.Consent.SMS, TextVersion: c.Consent.TextVersion,
	}}
	switch {
	case mine:
		seen.How = "whole"
		seen.Contact = *contactView(c)
		for name, value := range c.Fields {
			seen.Answers = append(seen.Answers, views.Answer{Name: views.Readable(name), Value: value.Plain()})
		}
	case who.Has(account.RoleOps, account.RoleAdmin, account.RoleViewer):
		seen.How = "masked"
		seen.Contact = views.Contact{Name: mask(c.Name), Email: maskEmail(c.Email), PhoneShown: mask(c.Phone), Company: c.Company.Plain()}
	default:
		seen.How = "hidden"
	}
	views.SortAnswers(seen.Answers)
	return seen
}

// mask keeps the first letter of each word, enough to tell two leads apart and no more.
func mask(t privacy.Text) string {
	words := strings.Fields(t.Plain())
	for i, w := range words {
		for _, first := range w {
			words[i] = string(first) + "•••"
			break
		}
	}
	return strings.Join(words, " ")
}

func maskEmail(t privacy.Text) string {
	local, domain, ok := strings.Cut(t.Plain(), "@")
	if !ok {
		return mask(t)
	}
	return mask(privacy.Text(local)) + "@" + domain
}

// why explains the first routing decision.
func (h *Console) why(ctx context.Context, id uuid.UUID, reps []rep.Rep, me *rep.Rep) (*views.Why, error) {
	d, err := h.leads.Decision(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil, nil //nolint:nilnil // the lead is being routed; the page says so
	}
	if err != nil {
		return nil, err
	}
	var trace struct {
		Candidates []routing.Considered `json:"candidates"`
		RunnersUp  []routing.RunnerUp   `json:"runners_up"`
	}
	_ = json.Unmarshal(d.Trace, &trace) // a trace of another version still has its rule and pool
	byEmail := map[string]string{}
	for _, r := range reps {
		byEmail[r.Email] = r.Name
	}
	if me != nil {
		byEmail[me.Email] = "You"
	}
	w := &views.Why{Version: d.Version, Rule: d.Rule, Pool: d.Pool, At: d.At}
	for _, c := range trace.Candidates {
		name := byEmail[c.Rep]
		if name == "" {
			name = c.Rep
		}
		w.Candidates = append(w.Candidates, views.Candidate{Name: name, Outcome: c.Outcome, Reason: c.Reason, Pool: c.Pool})
	}
	for _, r := range trace.RunnersUp {
		w.RunnersUp = append(w.RunnersUp, views.RunnerUp{Rule: r.Rule, Lost: r.Lost})
	}
	return w, nil
}

// timeline words every event.
func timeline(events []lead.Event, names map[uuid.UUID]string) []views.Moment {
	out := make([]views.Moment, 0, len(events))
	for _, e := range events {
		data := map[string]any{}
		_ = json.Unmarshal(e.Data, &data) // an event without data still happened
		who := ""
		if e.RepID != nil {
			who = names[*e.RepID]
		}
		out = append(out, views.MomentOf(string(e.Kind), e.At, events[0].At, who, e.Pool, data))
	}
	return out
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
