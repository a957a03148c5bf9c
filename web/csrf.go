package web

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"leadline/handlers"
	"leadline/internal/account"
	"leadline/internal/fault"
)

// Three things keep other sites from acting as a signed-in person, each enough by itself: the cookie is SameSite=Lax, the browser
// says where a request comes from (checkOrigin), and the request shows a token that only pages of this session know (checkToken).
// Nothing changes anything on GET or HEAD.

func safe(c *fiber.Ctx) bool { return c.Method() == fiber.MethodGet || c.Method() == fiber.MethodHead }

// checkOrigin refuses what another site makes a signed-in browser send.
func (s *server) checkOrigin(c *fiber.Ctx, always bool) error {
	if (safe(c) && !always) || handlers.SameOrigin(c, s.public) {
		return nil
	}
	return fault.New(fault.Forbidden, "This was sent from another site. Open Leadline and do it there.")
}

// checkToken refuses what does not come from a page of this very session.
func (s *server) checkToken(c *fiber.Ctx, who account.Who) error {
	if safe(c) {
		return nil
	}
	kind, _, _ := strings.Cut(c.Get(fiber.HeaderContentType), ";")
	if len(c.Body()) > 0 && !strings.EqualFold(strings.TrimSpace(kind), fiber.MIMEApplicationForm) {
		return fault.New(fault.Unsupported, "Send the fields of a form.")
	}
	if !s.Accounts.CSRFValid(who.SessionID, handlers.CSRFGiven(c)) {
		return handlers.StalePage(c)
	}
	return nil
}
