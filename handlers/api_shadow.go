package handlers

import (
	"context"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/fault"
	"leadline/internal/playbook"
	"leadline/internal/simulate"
)

// shadowLeads is how many leads a report lists.
const shadowLeads = 200

// candidateBody says which configuration is meant: a stored draft or a published version.
type candidateBody struct {
	Draft   *uuid.UUID `json:"draft"`
	Version int64      `json:"version"`
}

func (r *Routing) candidate(ctx context.Context, b candidateBody) (playbook.Candidate, error) {
	if (b.Draft == nil) == (b.Version == 0) {
		return playbook.Candidate{}, fault.New(fault.Malformed, "Give the id of a draft, or the number of a version.")
	}
	return playbook.CandidateOf(ctx, r.db, b.Draft, b.Version)
}

// Shadow is GET /v1/routing/shadow: what the shadow that runs, or ran last, has found; null when there was none.
func (r *Routing) Shadow(c *fiber.Ctx) error {
	report, err := simulate.ReportShadow(c.UserContext(), r.db, shadowLeads)
	if fault.Is(err, fault.NotFound) {
		return c.JSON(fiber.Map{"shadow": nil})
	}
	if err != nil {
		return err
	}
	return c.JSON(fiber.Map{"shadow": report})
}

// StartShadow is POST /v1/routing/shadow {draft or version}: from now on each lead is also decided by it, without effect.
func (r *Routing) StartShadow(c *fiber.Ctx) error {
	var body candidateBody
	if err := decode(c, &body); err != nil {
		return err
	}
	of, err := r.candidate(c.UserContext(), body)
	if err != nil {
		return err
	}
	if _, err := simulate.StartShadow(c.UserContext(), r.db, of, tokenName(c)); err != nil {
		return err
	}
	return r.Shadow(c.Status(fiber.StatusCreated))
}

// StopShadow is DELETE /v1/routing/shadow: the report stays. Repeating it is harmless.
func (r *Routing) StopShadow(c *fiber.Ctx) error {
	if _, err := simulate.StopShadow(c.UserContext(), r.db); err != nil {
		return err
	}
	return r.Shadow(c)
}
