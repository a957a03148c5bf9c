package handlers

import (
	"github.com/gofiber/fiber/v2"

	"leadline/internal/lead"
	"leadline/internal/rep"
)

// Grant is what the matrix lets the sender of a request do here. web leaves it, from the line of the route; the zero Grant allows
// nothing.
type Grant struct {
	Leads  lead.Scope // whose leads
	Masked bool       // contact details of leads that are not the sender's are shown masked; otherwise not at all
	Reveal bool       // and whole after a reveal that is recorded

	// May tells whether the sender may use another route, named like "POST /leads/:id/reveal", so that pages show no control that
	// would be refused. Nil: may not.
	May func(route string) bool
}

type grantKey struct{}

// SetGrant notes what the sender may; web calls it.
func SetGrant(c *fiber.Ctx, g Grant) { c.Locals(grantKey{}, g) }

// GrantOf gives what the sender may.
func GrantOf(c *fiber.Ctx) Grant {
	g, _ := c.Locals(grantKey{}).(Grant)
	if g.May == nil {
		g.May = func(string) bool { return false }
	}
	return g
}

// sight says how much of a contact the sender of a request may be given.
func sight(c *fiber.Ctx, me *rep.Rep) lead.Sight {
	g := GrantOf(c)
	s := lead.Sight{Masked: g.Masked}
	if me != nil {
		s.Rep = me.ID
	}
	switch {
	case g.Reveal && WhoOf(c).SignedIn():
		s.Looker = WhoOf(c).AccountID
	case g.Reveal:
		s.Looker = TokenOf(c).ID
	}
	return s
}
