package handlers

import (
	"time"

	"github.com/gofiber/fiber/v2"

	"leadline/internal/dispatch"
	"leadline/internal/fault"
	"leadline/internal/rep"
)

// Pause lets the clocks of a lead that the rep holds stand: POST /leads/{id}/pause. The time is the rep's own.
func (h *Console) Pause(c *fiber.Ctx) error {
	me, id, err := h.acting(c)
	if err != nil {
		return err
	}
	r := dispatch.PauseRequest{LeadID: id, RepID: me.ID, Reason: posted(c, "reason"), Note: posted(c, "note"), By: rep.ByConsole}
	if text := posted(c, "until"); text != "" {
		if r.Until, err = time.ParseInLocation("2006-01-02T15:04", text, zone(me.Timezone)); err != nil {
			return fault.New(fault.Invalid, "%q is no time. Choose a day and a time of day.", text)
		}
	}
	if err := h.dispatch.Pause(c.UserContext(), r); err != nil {
		return err
	}
	return c.Redirect("/leads/"+id.String(), fiber.StatusSeeOther)
}

// Resume lets them run again: POST /leads/{id}/resume.
func (h *Console) Resume(c *fiber.Ctx) error {
	me, id, err := h.acting(c)
	if err != nil {
		return err
	}
	if err := h.dispatch.Resume(c.UserContext(), id, me.ID, rep.ByConsole); err != nil {
		return err
	}
	return c.Redirect("/leads/"+id.String(), fiber.StatusSeeOther)
}
