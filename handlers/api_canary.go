package handlers

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"leadline/internal/fault"
	"leadline/internal/playbook"
)

// canaryBody is a canary as programs ask for it. Members that are left out have the values of playbook.DefaultCanary.
type canaryBody struct {
	candidateBody
	Percent     float64  `json:"percent"`
	For         string   `json:"for"`          // like 1h
	MaxUnrouted *float64 `json:"max_unrouted"` // in percent
	MaxAccept   *float64 `json:"max_accept"`   // times
	MinLeads    *int     `json:"min_leads"`
	Note        string   `json:"note"`
}

func (b canaryBody) terms(author string) (playbook.CanaryTerms, error) {
	t := playbook.DefaultCanary
	t.Percent, t.Author, t.Note = b.Percent, author, strings.TrimSpace(b.Note)
	var err error
	if t.For, err = time.ParseDuration(b.For); err != nil {
		return t, fault.New(fault.Malformed, "Say in for how long the canary runs, like 1h.")
	}
	if b.MaxUnrouted != nil {
		t.MaxUnrouted = *b.MaxUnrouted
	}
	if b.MaxAccept != nil {
		t.MaxAccept = *b.MaxAccept
	}
	if b.MinLeads != nil {
		t.MinLeads = *b.MinLeads
	}
	return t, nil
}

// Canary is GET /v1/routing/canary: the canary that runs, or ran last, with its figures; null when there was none.
func (r *Routing) Canary(c *fiber.Ctx) error {
	newest, err := playbook.NewestCanary(c.UserContext(), r.db)
	if fault.Is(err, fault.NotFound) {
		return c.JSON(fiber.Map{"canary": nil})
	}
	if err != nil {
		return err
	}
	return c.JSON(fiber.Map{"canary": newest})
}

// StartCanary is POST /v1/routing/canary {draft or version, percent, for, max_unrouted, max_accept, min_leads, note}: its rules decide for so
// many percent of the leads that come from now on.
func (r *Routing) StartCanary(c *fiber.Ctx) error {
	var body canaryBody
	if err := decode(c, &body); err != nil {
		return err
	}
	terms, err := body.terms(tokenName(c))
	if err != nil {
		return err
	}
	of, err := r.candidate(c.UserContext(), body.candidateBody)
	if err != nil {
		return err
	}
	if _, err := playbook.StartCanary(c.UserContext(), r.db, of, terms); err != nil {
		return err
	}
	return r.Canary(c.Status(fiber.StatusCreated))
}

// StopCanary is DELETE /v1/routing/canary: the live version decides alone again. Repeating it is harmless.
func (r *Routing) StopCanary(c *fiber.Ctx) error {
	if _, err := playbook.StopCanary(c.UserContext(), r.db, "Stopped by "+tokenName(c)+"."); err != nil {
		return err
	}
	return r.Canary(c)
}

// PromoteCanary is POST /v1/routing/canary/promote {note}: what the canary says becomes the live version.
func (r *Routing) PromoteCanary(c *fiber.Ctx) error {
	var body struct {
		Note string `json:"note"`
	}
	if err := decode(c, &body); err != nil {
		return err
	}
	if _, err := playbook.PromoteCanary(c.UserContext(), r.db, body.Note); err != nil {
		return err
	}
	return r.Canary(c)
}
