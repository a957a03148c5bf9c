package handlers

import (
	"github.com/gofiber/fiber/v2"

	"leadline/internal/fault"
	"leadline/views"
)

// Reveal shows masked contact details for five minutes to the person who asks, gives a reason, and so is recorded:
// POST /leads/{id}/reveal. The rep concerned reads the reason in the lead's timeline.
func (h *Console) Reveal(c *fiber.Ctx) error {
	grant := GrantOf(c)
	if !grant.Reveal {
		return fault.New(fault.Forbidden, "You cannot reveal contact details.")
	}
	id, err := h.leadID(c)
	if err != nil {
		return err
	}
	if id, err = h.leads.Reveal(c.UserContext(), grant.Leads, id, WhoOf(c).AccountID, posted(c, "reason")); err != nil {
		return err
	}
	h.hub.Wake()
	if !partOfPage(c) {
		return c.Redirect("/leads/"+id.String(), fiber.StatusSeeOther)
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
	return Render(c, views.LeadPart(page))
}
