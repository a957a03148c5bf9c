package handlers

import (
	"github.com/gofiber/fiber/v2"

	"leadline/views"
)

// visitorStatus is what a visitor may know about what they sent.
type visitorStatus struct {
	LeadID     string      `json:"lead_id"`
	Reference  string      `json:"reference"`
	State      string      `json:"state"`
	Rep        *visitorRep `json:"rep"`
	AcceptedAt string      `json:"accepted_at"`
}

type visitorRep struct {
	FirstName string `json:"first_name"`
}

// Status is GET /v1/forms/{slug}/leads/{id} with a receipt: what became of what this submission sent.
func (v *Visitors) Status(c *fiber.Ctx) error {
	form, err := v.form(c)
	if err != nil {
		return err
	}
	id, err := v.submission(c)
	if err != nil {
		return err
	}
	status, err := v.intake.Status(c.UserContext(), form.Slug, id)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	answer := visitorStatus{LeadID: id.String(), Reference: status.Reference, State: status.State, AcceptedAt: stamp(status.AcceptedAt)}
	if status.RepFirstName != "" {
		answer.Rep = &visitorRep{FirstName: status.RepFirstName}
	}
	return c.JSON(answer)
}

// Amend is PATCH /v1/forms/{slug}/leads/{id} with a receipt: further answers onto the same lead. 204 once they are durable.
func (v *Visitors) Amend(c *fiber.Ctx) error {
	form, err := v.form(c)
	if err != nil {
		return err
	}
	id, err := v.submission(c)
	if err != nil {
		return err
	}
	if err := v.spam.Admit(form, AddressOf(c)); err != nil {
		return err
	}
	raw, err := parseAnswers(c)
	if err != nil {
		return err
	}
	if err := v.intake.Amend(c.UserContext(), form, id, raw); err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.SendStatus(fiber.StatusNoContent)
}

// Thanks is GET /f/{slug}/thanks/{token}: the page after the form. The token is the receipt. It keeps itself current where
// scripts run and is a plain page where they do not.
func (v *Visitors) Thanks(c *fiber.Ctx) error {
	form, err := v.form(c)
	if err != nil {
		return err
	}
	token := c.Params("token")
	id, ok := v.intake.OpenReceipt(token)
	if !ok {
		return fiber.ErrNotFound
	}
	status, err := v.intake.Status(c.UserContext(), form.Slug, id)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer") // the address holds the receipt
	return Render(c, views.ThanksPage(views.Thanks{
		StatusURL: submitPath(form) + "/" + id.String(), Receipt: token, Reference: status.Reference,
		State: status.State, Rep: status.RepFirstName, Demo: v.playbook.Current().Demo,
	}))
}
