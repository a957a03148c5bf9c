package web

import (
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"

	"leadline/handlers"
	"leadline/internal/account"
	"leadline/internal/audit"
	"leadline/internal/fault"
)

// person lets a request on to its handler when it is by somebody signed in who may. Whatever the business records for it from here
// on is theirs.
func (s *server) person(c *fiber.Ctx, who access) error {
	if err := s.checkOrigin(c, who.kind == bySocket); err != nil {
		return err
	}
	token := c.Cookies(handlers.SessionCookie(s.public))
	person, err := s.Accounts.SessionByToken(c.UserContext(), token)
	if fault.Is(err, fault.Unauthenticated) {
		return signInFirst(c, err)
	}
	if err != nil {
		return err
	}
	if !person.Has(who.roles...) {
		return s.notYours(c, who.roles)
	}
	if who.strict && person.Away >= account.StrictIdle {
		return signInFirst(c, fault.New(fault.Unauthenticated, "You did nothing here for a while. Sign in again to go on."))
	}
	if err := s.checkToken(c, person); err != nil {
		return err
	}
	c.SetUserContext(audit.WithActor(c.UserContext(), audit.Actor{Kind: audit.Person, ID: &person.AccountID, CorrelationID: handlers.CorrelationOf(c)}))
	if who.kind == byRole {
		if err := s.keepSession(c, token, person); err != nil {
			return err
		}
	}
	handlers.SetWho(c, person)
	handlers.SetCSRF(c, s.Accounts.CSRFToken(person.SessionID))
	return c.Next()
}

// keepSession notes that the person is there and, with a page, gives the browser a new token when the old one has become old. Polls
// and parts of pages do neither, because they come by themselves and several at once; but when the page with a new token was lost on
// the way, any answer brings it again.
func (s *server) keepSession(c *fiber.Ctx, token string, person account.Who) error {
	page := c.Method() == fiber.MethodGet && c.Get("HX-Request") == "" && handlers.WantsHTML(c) && c.Get("Sec-Purpose") == ""
	if page || !safe(c) {
		if err := s.Accounts.Acted(c.UserContext(), person); err != nil {
			return err
		}
	}
	if !page && !person.Late() {
		return nil
	}
	next, left, err := s.Accounts.Renew(c.UserContext(), token, person)
	if err != nil || next == "" {
		return err
	}
	handlers.SetSession(c, s.public, next, person, left, s.Now())
	return nil
}

// signInFirst takes people to the sign-in page and back afterwards; scripts get a 401.
func signInFirst(c *fiber.Ctx, err error) error {
	to := "/signin"
	if back := pageBefore(c); back != "" && back != "/" {
		to += "?next=" + url.QueryEscape(back)
	}
	if c.Get("HX-Request") == "true" {
		c.Set("HX-Redirect", to)
		return err
	}
	if !handlers.WantsHTML(c) {
		return err
	}
	return c.Redirect(to, fiber.StatusSeeOther)
}

// pageBefore is the page that a person was on, as far as the browser tells: the one asked for, or the one that a form or a part of a
// page was sent from. The sign-in page takes it for one of ours only if it is.
func pageBefore(c *fiber.Ctx) string {
	if c.Method() == fiber.MethodGet && c.Get("HX-Request") == "" {
		return c.OriginalURL()
	}
	from := c.Get("HX-Current-URL")
	if from == "" {
		from = c.Get(fiber.HeaderReferer)
	}
	page, err := url.Parse(from)
	if err != nil {
		return ""
	}
	return page.RequestURI()
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
	c.SetUserContext(audit.WithActor(c.UserContext(), audit.Actor{Kind: audit.Token, ID: &token.ID, CorrelationID: handlers.CorrelationOf(c)}))
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
