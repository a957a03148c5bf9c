package handlers

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/fault"
	"leadline/internal/live"
	"leadline/internal/rep"
	"leadline/internal/routing"
	"leadline/views"
)

// nextTries is how many leads "Claim next best" goes for before it says that others were faster.
const nextTries = 5

// Claim takes a lead: POST /leads/{id}/claim. Only the database decides; the answer is the card with the contact, or 409 with
// the same card saying who was faster.
func (h *Console) Claim(c *fiber.Ctx) error {
	me, id, err := h.acting(c)
	if err != nil {
		return err
	}
	attempt, _ := strconv.Atoi(posted(c, "attempt"))
	_, err = h.dispatch.Claim(c.UserContext(), dispatch.ClaimRequest{LeadID: id, RepID: me.ID, Attempt: attempt, By: rep.ByConsole})
	if lost, ok := conflict(err); ok {
		return h.lost(c, id, lost)
	}
	if err != nil {
		return err
	}
	return h.won(c, me, id)
}

// Next claims the most urgent lead the rep may take: POST /live/next. Losing a race means going on to the next one.
func (h *Console) Next(c *fiber.Ctx) error {
	me, err := h.actor(c)
	if err != nil {
		return err
	}
	s := newScene(h, c, me)
	view := h.hub.ViewOf(s.audience(), 0, s.day())
	candidates := append(view.Offers, view.Pool...)
	for _, card := range candidates[:min(len(candidates), nextTries)] {
		_, err := h.dispatch.Claim(c.UserContext(), dispatch.ClaimRequest{LeadID: card.ID, RepID: me.ID, Attempt: card.Attempt, By: rep.ByConsole})
		if _, ok := conflict(err); ok {
			continue
		}
		if err != nil {
			return err
		}
		return h.won(c, me, card.ID)
	}
	sentence := "No leads waiting. New ones appear by themselves."
	if len(candidates) > 0 {
		sentence = "Others were faster on the most urgent leads."
	}
	return h.gone(c, views.Gone{Kind: "none", Word: "None left", Sentence: sentence})
}

// won answers with the card in its new state; without scripts the console shows it.
func (h *Console) won(c *fiber.Ctx, me *rep.Rep, id uuid.UUID) error {
	if !partOfPage(c) {
		return h.back(c, id)
	}
	card, err := h.ownCard(c, me, id)
	if err != nil {
		return err
	}
	return Render(c, views.Mine(card))
}

func (h *Console) ownCard(c *fiber.Ctx, me *rep.Rep, id uuid.UUID) (views.Card, error) {
	card, err := h.hub.Read(c.UserContext(), id)
	if err != nil {
		return views.Card{}, err
	}
	return newScene(h, c, me).own(c.UserContext(), card)
}

// lost says calmly what happened to the lead.
func (h *Console) lost(c *fiber.Ctx, id uuid.UUID, f *fault.Error) error {
	c.Status(fiber.StatusConflict)
	return h.gone(c, lostCard(id, f))
}

func lostCard(id uuid.UUID, f *fault.Error) views.Gone {
	g := views.Gone{Lead: id.String(), Kind: "moved", Word: "Moved on", Sentence: f.Message, Next: true}
	if f.Code == "lost_race" {
		g.Kind, g.Word = "taken", "Taken"
		if name := winnerOf(f); name != "" && f.Extra["at_once"] == nil {
			g.Sentence = views.TakenSentence(name, millis(f.Extra["by_ms"]))
		}
	}
	return g
}

func winnerOf(f *fault.Error) string {
	switch w := f.Extra["winner"].(type) {
	case map[string]string:
		return w["name"]
	case map[string]any:
		name, _ := w["name"].(string)
		return name
	}
	return ""
}

// millis reads a number from a fault's extra members; 0 when it is not one.
func millis(v any) int64 {
	n, _ := strconv.ParseFloat(fmt.Sprint(v), 64)
	return int64(n)
}

// gone answers with a card that takes the place of the one pressed, or the whole console when there are no scripts.
func (h *Console) gone(c *fiber.Ctx, g views.Gone) error {
	g.ID = place(c, g.Lead)
	if partOfPage(c) {
		return Render(c, views.GoneCard(g))
	}
	page, err := h.livePage(c, g.Sentence)
	if err != nil {
		return err
	}
	return Render(c, views.LivePage(page))
}

// place is the id of the list item that an answer replaces: only ids that the console itself makes.
func place(c *fiber.Ctx, lead string) string {
	asked := c.FormValue("place") // in the address of a question, in the body of an action
	for _, prefix := range []string{"offer-", "pool-", "gone-"} {
		if rest, ok := strings.CutPrefix(asked, prefix); ok {
			if id, err := uuid.Parse(rest); err == nil {
				return prefix + id.String()
			}
		}
	}
	if lead == "" {
		lead = uuid.NewString()
	}
	return "gone-" + lead
}

// Pass gives an offer back before its time is over: POST /leads/{id}/pass.
func (h *Console) Pass(c *fiber.Ctx) error {
	me, id, err := h.acting(c)
	if err != nil {
		return err
	}
	attempt, _ := strconv.Atoi(posted(c, "attempt"))
	err = h.dispatch.Pass(c.UserContext(), dispatch.PassRequest{
		LeadID: id, RepID: me.ID, Attempt: attempt, Reason: routing.Decline(posted(c, "reason")), By: rep.ByConsole,
	})
	if late, ok := conflict(err); ok {
		return h.lost(c, id, late)
	}
	if err != nil {
		return err
	}
	if !partOfPage(c) {
		return h.back(c, id)
	}
	return h.gone(c, views.Gone{Lead: id.String(), Kind: "passed", Word: "Passed", Sentence: "You passed. The lead went to the next person."})
}

// Outcome records what came of the contact: POST /leads/{id}/outcome.
func (h *Console) Outcome(c *fiber.Ctx) error {
	me, id, err := h.acting(c)
	if err != nil {
		return err
	}
	disposition, reason, _ := strings.Cut(posted(c, "disposition"), ":")
	err = h.dispatch.Outcome(c.UserContext(), dispatch.OutcomeRequest{
		LeadID: id, RepID: me.ID, Disposition: disposition, Reason: reason, By: rep.ByConsole,
	})
	if late, ok := conflict(err); ok {
		return h.lost(c, id, late)
	}
	if err != nil {
		return err
	}
	return h.won(c, me, id)
}

// Card tells what became of a claim whose answer was lost: GET /leads/{id}/card.
func (h *Console) Card(c *fiber.Ctx) error {
	me, id, err := h.acting(c)
	if err != nil {
		return err
	}
	card, err := h.hub.Read(c.UserContext(), id)
	if err != nil {
		return err
	}
	s := newScene(h, c, me)
	offered, exclusive := card.OfferedTo()
	switch {
	case card.RepID != nil && *card.RepID == me.ID:
		shown, err := s.own(c.UserContext(), card)
		if err != nil {
			return err
		}
		return Render(c, views.Mine(shown))
	case exclusive && offered == me.ID:
		return Render(c, views.OfferCard(s.card(card)))
	case card.Claimable():
		return Render(c, views.PoolCard(s.card(card)))
	case card.RepID != nil:
		return h.gone(c, views.Gone{Lead: id.String(), Kind: "taken", Word: "Taken", Sentence: h.takenBy(c, card), Next: true})
	}
	return h.gone(c, views.Gone{Lead: id.String(), Kind: "moved", Word: "Moved on", Sentence: "This lead has moved on to somebody else.", Next: true})
}

func (h *Console) takenBy(c *fiber.Ctx, card *live.Card) string {
	holder, err := h.reps.ByID(c.UserContext(), *card.RepID)
	if err != nil {
		return "Somebody else has this lead."
	}
	return holder.Name + " has this lead."
}

// actor gives the rep who acts.
func (h *Console) actor(c *fiber.Ctx) (*rep.Rep, error) {
	who := WhoOf(c)
	if who.RepID != nil {
		me, err := h.reps.ByID(c.UserContext(), *who.RepID)
		return &me, err
	}
	return nil, fault.New(fault.Forbidden, "Only reps take leads. Your account belongs to nobody in the team list.")
}

// acting gives the rep who acts and the lead concerned.
func (h *Console) acting(c *fiber.Ctx) (*rep.Rep, uuid.UUID, error) {
	me, err := h.actor(c)
	if err != nil {
		return nil, uuid.Nil, err
	}
	id, err := h.leadID(c)
	return me, id, err
}

// leadID reads the path: an id, an alias of one, or the reference that people read to each other. A lead that is out of the sender's
// scope is not found, like one that does not exist.
func (h *Console) leadID(c *fiber.Ctx) (uuid.UUID, error) {
	text, scope := c.Params("id"), GrantOf(c).Leads
	id, err := uuid.Parse(text)
	if err != nil {
		return h.leads.Find(c.UserContext(), scope, text)
	}
	return h.leads.Resolve(c.UserContext(), scope, id)
}

// back sends a browser without scripts to where it came from.
func (h *Console) back(c *fiber.Ctx, id uuid.UUID) error {
	if posted(c, "back") == "lead" {
		return c.Redirect("/leads/"+id.String(), fiber.StatusSeeOther)
	}
	return c.Redirect("/live", fiber.StatusSeeOther)
}
