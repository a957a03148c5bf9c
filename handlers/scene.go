package handlers

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/nyaruka/phonenumbers"

	"leadline/internal/account"
	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/live"
	"leadline/internal/rep"
	"leadline/views"
)

// scene turns the board into what one person sees. The page, the poll and the socket all use it, so they never differ. It
// belongs to one goroutine.
type scene struct {
	h   *Console
	who account.Who
	me  *rep.Rep // nil: only watches
	all bool     // watches every pool

	contacts map[uuid.UUID]knownContact // of leads the rep holds
}

type knownContact struct {
	version int64
	contact *views.Contact
}

func newScene(h *Console, c *fiber.Ctx, me *rep.Rep) *scene {
	return sceneOf(h, WhoOf(c), me, GrantOf(c).Leads.All)
}

func sceneOf(h *Console, who account.Who, me *rep.Rep, all bool) *scene {
	return &scene{h: h, who: who, me: me, all: all, contacts: map[uuid.UUID]knownContact{}}
}

// audience says whose part of the board is shown. A rep works the rep's own pools, and a person who is more than a rep does too; with
// neither a rep nor the right to see all there is nothing to show.
func (s *scene) audience() live.Audience {
	if s.me != nil {
		return live.Audience{Email: s.who.Email, RepID: &s.me.ID}
	}
	return live.Audience{All: s.all}
}

// day is when the rep's day began, by the rep's own clock.
func (s *scene) day() time.Time {
	loc := time.UTC
	if s.me != nil {
		loc = zone(s.me.Timezone)
	}
	now := s.h.hub.Clock().In(loc)
	return time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, loc)
}

func (s *scene) cards(from []*live.Card) []views.Card {
	out := make([]views.Card, len(from))
	for i, c := range from {
		out[i] = s.card(c)
	}
	return out
}

// mine gives the rep's own leads with their contacts.
func (s *scene) mine(ctx context.Context, from []*live.Card) ([]views.Card, error) {
	out := make([]views.Card, len(from))
	for i, c := range from {
		card, err := s.own(ctx, c)
		if err != nil {
			return nil, err
		}
		out[i] = card
	}
	return out, nil
}

// own gives a card with the contact if, by the database and not by the board, the lead is the rep's.
func (s *scene) own(ctx context.Context, c *live.Card) (views.Card, error) {
	card := s.card(c)
	if known, ok := s.contacts[c.ID]; ok && known.version == c.Version {
		card.Contact = known.contact
		return card, nil
	}
	if s.me == nil {
		return card, nil
	}
	seen, err := s.h.leads.Contact(ctx, lead.Scope{Rep: s.me.ID}, c.ID, lead.Sight{Rep: s.me.ID})
	if fault.Is(err, fault.NotFound) {
		return card, nil
	}
	if err != nil {
		return card, err
	}
	if seen.Mine {
		card.Contact = contactView(seen.Contact)
		s.contacts[c.ID] = knownContact{version: c.Version, contact: card.Contact}
	}
	return card, nil
}

func contactView(c lead.Contact) *views.Contact {
	out := &views.Contact{
		Name: c.Name.Plain(), Company: c.Company.Plain(), Email: c.Email.Plain(), Notes: c.Notes.Plain(), Phone: c.Phone.Plain(), PhoneShown: c.Phone.Plain(),
	}
	if number, err := phonenumbers.Parse(out.Phone, "ZZ"); err == nil {
		out.PhoneShown = phonenumbers.Format(number, phonenumbers.INTERNATIONAL)
	}
	return out
}

// card gives what everybody in the pool may know.
func (s *scene) card(c *live.Card) views.Card {
	out := views.Card{
		ID: c.ID.String(), Attempt: c.Attempt, Hot: c.Hot(), Demo: c.Demo, Intent: s.h.formName(c.Form),
		Country: lead.CountryName(c.Country), Product: c.Product, Source: unaddressed(c.Source), Company: c.DomainClass,
		Zone: views.Zone(c.Timezone, c.Country), Now: s.h.hub.Clock(), Accepted: c.AcceptedAt, Goal: c.Goal,
		ReadOnly: s.me == nil, Stage: c.Stage, Disposition: c.Disposition,
		CRM: views.CRM{State: c.CRMState, URL: c.CRMURL, Attempts: c.CRMAttempts},
	}
	if s.me == nil {
		out.Pool = c.Pool
	}
	switch {
	case c.Clock != nil:
		out.Clock, out.Span, out.WarnAt = c.Clock.Kind, c.Clock.Target, c.Clock.WarnAt
		if out.Paused = c.Clock.Stands(out.Now); out.Paused {
			out.Until = c.Clock.Since
		}
	case c.Goal != nil:
		out.Span = c.Goal.Sub(c.AcceptedAt)
	}
	if _, mine := c.OfferedTo(); mine {
		out.Deadline = c.OfferDeadline
	}
	if at, done := c.Finished(); done {
		out.FinishedAt = at
	}
	out.Again = c.Again != nil
	return out
}

func (h *Console) formName(slug string) string {
	if form := h.playbook.Current().Forms[slug]; form != nil && form.Name != "" {
		return form.Name
	}
	return views.Readable(slug)
}
