package handlers

import (
	"github.com/gofiber/fiber/v2"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/spam"
)

// What forms send for our eyes alone. Browsers and password managers fill in nothing under the names of hiddenInputs, whatever they guess from.
const (
	tokenInput    = "form_token"
	solutionInput = "altcha"
)

var hiddenInputs = [2]string{"topic_ref", "page_link"}

// screen counts a submission against the limits of its form and notes in arrival what speaks against it. Only two things are refused,
// each for a moment: what is beyond a limit, and a browser that can do the proof of work it is asked for. Programs that sign what they
// send have limits of their own.
func (v *Visitors) screen(c *fiber.Ctx, form *lead.Form, raw *lead.Raw, arrival *lead.Arrival) error {
	if arrival.Machine != "" {
		return nil
	}
	if err := v.spam.Admit(form, AddressOf(c)); err != nil {
		return err
	}
	found := v.spam.Judge(c.UserContext(), spam.Visit{Form: form, Raw: raw, Address: AddressOf(c), Page: WantsHTML(c)})
	v.metrics.Spam(form.Slug, string(found.Verdict))
	switch found.Verdict {
	case spam.Challenge:
		return &fault.Error{
			Kind: fault.Unproven, Message: "Solve the challenge and send the same again with the solution in the field altcha.",
			Extra: map[string]any{"challenge": found.Challenge},
		}
	case spam.Hold:
		arrival.Score = max(1, found.Score)
		for _, r := range found.Reasons {
			arrival.Held = append(arrival.Held, string(r))
		}
	}
	return nil
}
