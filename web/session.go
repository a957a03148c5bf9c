package web

import (
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"

	"leadline/handlers"
	"leadline/internal/fault"
)

// checkOrigin refuses what another site makes a signed-in browser send.
func (s *server) checkOrigin(c *fiber.Ctx, always bool) error {
	safe := c.Method() == fiber.MethodGet || c.Method() == fiber.MethodHead
	if (safe && !always) || handlers.SameOrigin(c, s.public) {
		return nil
	}
	return fault.New(fault.Forbidden, "This was sent from another site. Open Leadline and do it there.")
}

func (s *server) person(c *fiber.Ctx, who access) error {
	if err := s.checkOrigin(c, who.kind == bySocket); err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	person, err := s.Accounts.SessionByToken(c.UserContext(), c.Cookies(handlers.SessionCookie(s.public)))
	if fault.Is(err, fault.Unauthenticated) {
		return signInFirst(c, err)
	}
	if err != nil {
		return err
	}
	if !person.Has(who.roles...) {
		return s.notYours(c, who.roles)
	}
	handlers.SetWho(c, person)
	return c.Next()
}

// signInFirst takes people to the sign-in page and back afterwards; scripts get a 401.
func signInFirst(c *fiber.Ctx, err error) error {
	if c.Get("HX-Request") == "true" {
		c.Set("HX-Redirect", "/signin")
		return err
	}
	if !handlers.WantsHTML(c) {
		return err
	}
	to := "/signin"
	if c.Method() == fiber.MethodGet && c.OriginalURL() != "/" {
		to += "?next=" + url.QueryEscape(c.OriginalURL())
	}
	return c.Redirect(to, fiber.StatusSeeOther)
}

func (s *server) notYours(c *fiber.Ctx, needed []string) error {
	admins, err := s.Accounts.Admins(c.UserContext())
	if err != nil {
		return err
	}
	giver := "An admin"
	if len(admins) > 0 {
		giver = strings.Join(admins, " or ")
	}
	return fault.New(fault.Forbidden, "You need the %s role for this. %s can give it to you.", strings.Join(needed, " or "), giver)
}

// program checks the API token of a request.
func (s *server) program(c *fiber.Ctx, scope string) error {
	value, ok := strings.CutPrefix(c.Get(fiber.HeaderAuthorization), "Bearer ")
	if !ok {
		c.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="leadline"`)
		return fault.New(fault.Unauthenticated, "Send an API token: Authorization: Bearer TOKEN.")
	}
	token, err := s.Accounts.TokenByValue(c.UserContext(), strings.TrimSpace(value))
	if fault.Is(err, fault.Unauthenticated) {
		c.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="leadline", error="invalid_token"`)
	}
	if err != nil {
		return err
	}
	if !token.Has(scope) {
		c.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="leadline", error="insufficient_scope", scope="`+scope+`"`)
		return fault.New(fault.Forbidden, "This token lacks the scope %s.", scope)
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	handlers.SetToken(c, token)
	return nil
}

// local tells whether a request comes from this machine itself. A proxy on this machine speaks for others and says so.
func local(c *fiber.Ctx) bool {
	for _, header := range []string{"Forwarded", fiber.HeaderXForwardedFor, fiber.HeaderXForwardedHost, fiber.HeaderXForwardedProto, "X-Real-Ip", fiber.HeaderVia} {
		if len(c.Request().Header.Peek(header)) > 0 {
			return false
		}
	}
	return c.Context().RemoteIP().IsLoopback()
}
