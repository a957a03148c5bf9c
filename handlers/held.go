package handlers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/hold"
	"leadline/internal/lead"
	"leadline/internal/spam"
	"leadline/views"
)

// Held answers for the review of leads that were held as they arrived.
type Held struct {
	holds   *hold.Store
	console *Console
}

// NewHeld takes what the review needs.
func NewHeld(d Deps) *Held { return &Held{holds: d.Holds, console: NewConsole(d)} }

// Page lists what waits for a decision, newest first: GET /held. With ?state=discarded it lists what was discarded.
func (h *Held) Page(c *fiber.Ctx) error {
	choice := views.HeldChoice{Discarded: c.Query("state") == "discarded", Form: c.Query("form"), Reason: c.Query("reason")}
	return h.show(c, choice, c.Query("cursor"), views.Held{})
}

// Release lets the chosen leads go on as if they had just arrived: POST /held/release.
func (h *Held) Release(c *fiber.Ctx) error {
	return h.decide(c, h.holds.Release, "Released %s. Reps are offered it now.", false)
}

// Discard closes the chosen leads as spam: POST /held/discard.
func (h *Held) Discard(c *fiber.Ctx) error {
	return h.decide(c, h.holds.Discard, "Discarded %s.", true)
}

// Restore undoes Discard: POST /held/restore.
func (h *Held) Restore(c *fiber.Ctx) error {
	return h.decide(c, h.holds.Restore, "Put %s back for review.", false)
}

// decide carries one decision out and shows the list again. What somebody else has decided about in the meantime stays as they left it.
func (h *Held) decide(c *fiber.Ctx, do func(context.Context, lead.Scope, []uuid.UUID) (int, error), words string, undoable bool) error {
	choice := views.HeldChoice{Discarded: posted(c, "state") == "discarded", Form: posted(c, "form"), Reason: posted(c, "reason")}
	ids := chosenLeads(c)
	n, err := do(c.UserContext(), GrantOf(c).Leads, ids)
	if f, ok := shownAbove(err); ok {
		c.Status(fiber.StatusUnprocessableEntity)
		return h.show(c, choice, "", views.Held{Notice: f.Message})
	}
	if err != nil {
		return err
	}
	page := views.Held{Notice: fmt.Sprintf(words, views.Leads(n))}
	if n == 0 {
		page.Notice = "Somebody else has decided about that already."
	}
	if undoable && n > 0 {
		for _, id := range ids {
			page.Undo = append(page.Undo, id.String())
		}
	}
	return h.show(c, choice, "", page)
}

// chosenLeads are the one whose button was pressed, all that were shown, or those that are ticked.
func chosenLeads(c *fiber.Ctx) []uuid.UUID {
	name := "lead"
	switch {
	case posted(c, "one") != "":
		name = "one"
	case posted(c, "all") != "":
		name = "shown"
	}
	var ids []uuid.UUID
	for _, value := range c.Request().PostArgs().PeekMulti(name) {
		if id, err := uuid.ParseBytes(value); err == nil && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (h *Held) show(c *fiber.Ctx, choice views.HeldChoice, cursor string, page views.Held) error {
	ctx, grant := c.UserContext(), GrantOf(c)
	me, err := h.console.rep(ctx, WhoOf(c))
	if err != nil {
		return err
	}
	filter := hold.Filter{State: hold.Open, Form: choice.Form, Reason: choice.Reason, Cursor: cursor}
	if choice.Discarded {
		filter.State = hold.Discarded
	}
	items, next, err := h.holds.List(ctx, grant.Leads, filter)
	if err != nil {
		return err
	}
	page.Choice, page.Next, page.Later = choice, next, cursor != ""
	for _, item := range items {
		page.Items = append(page.Items, h.item(item, grant.Masked))
	}
	for _, form := range h.console.playbook.Current().Forms {
		page.Forms = append(page.Forms, views.Option{Value: form.Slug, Label: h.console.formName(form.Slug)})
	}
	slices.SortFunc(page.Forms, func(a, b views.Option) int { return strings.Compare(a.Label, b.Label) })
	page.Reasons = append(page.Reasons, views.Option{Value: lead.HeldByRule, Label: views.HeldReason(lead.HeldByRule)})
	for _, reason := range spam.Reasons() {
		page.Reasons = append(page.Reasons, views.Option{Value: string(reason), Label: views.HeldReason(string(reason))})
	}
	page.Meta = h.console.meta(c, "Held for review", "", me)
	page.Meta.Nav = "held"
	return Render(c, views.HeldPage(page))
}

// item masks what it shows; without the right to that much it shows nothing of who it is.
func (h *Held) item(i hold.Item, masked bool) views.HeldItem {
	out := views.HeldItem{
		ID: i.LeadID.String(), Reference: lead.Reference(i.LeadID), Form: h.console.formName(i.Form), Country: lead.CountryName(i.Country),
		Score: i.Score, Reasons: i.Reasons, Accepted: i.AcceptedAt,
	}
	if masked {
		out.Name, out.Email = initials(i.Name).Plain(), maskEmail(i.Email).Plain()
		out.Phone, out.Company = maskPhone(i.Phone).Plain(), initials(i.Company).Plain()
	}
	return out
}
