package handlers

import (
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"leadline/internal/account"
	"leadline/internal/fault"
	"leadline/views"
)

// Door lets people in and out.
type Door struct {
	accounts  *account.Store
	publicURL string
	now       func() time.Time
}

// NewDoor makes the handlers of signing in and out.
func NewDoor(d Deps) *Door {
	return &Door{accounts: d.Accounts, publicURL: d.PublicURL, now: d.Now}
}

// Page is GET /signin.
func (d *Door) Page(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	return Render(c, views.SignInPage(views.SignIn{Next: safeNext(c.Query("next"))}))
}

// SignIn is POST /signin: a password for a session.
func (d *Door) SignIn(c *fiber.Ctx) error {
	email, to := c.FormValue("email"), safeNext(c.FormValue("next"))
	c.Set(fiber.HeaderCacheControl, "no-store")
	token, _, err := d.accounts.SignIn(c.UserContext(), email, c.FormValue("password"), network(AddressOf(c)).String(), c.Get(fiber.HeaderUserAgent))
	if fault.Is(err, fault.Unauthenticated) || fault.Is(err, fault.Throttled) {
		f, status, _ := explain(err)
		setRetryAfter(c, f)
		return Render(c.Status(status), views.SignInPage(views.SignIn{Email: email, Next: to, Message: f.Message}))
	}
	if err != nil {
		return err
	}
	return d.enter(c, token, to)
}

// LinkPage is GET /signin/link/{token}: a button. Looking at the page uses up nothing.
func (d *Door) LinkPage(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	return Render(c, views.LinkPage(url.PathEscape(c.Params("token"))))
}

// UseLink is POST /signin/link/{token}: a one-time link for a session.
func (d *Door) UseLink(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	token, _, err := d.accounts.UseLink(c.UserContext(), c.Params("token"), c.Get(fiber.HeaderUserAgent))
	if err != nil {
		return err
	}
	return d.enter(c, token, "")
}

// enter ends a session that the browser still carries, so that none is ever taken over, and starts the new one.
func (d *Door) enter(c *fiber.Ctx, token, to string) error {
	if old := c.Cookies(SessionCookie(d.publicURL)); old != "" {
		if err := d.accounts.SignOut(c.UserContext(), old); err != nil {
			return err
		}
	}
	setSession(c, d.publicURL, token, d.now())
	if to == "" {
		to = "/live"
	}
	return c.Redirect(to, fiber.StatusSeeOther)
}

// SignOut is POST /signout.
func (d *Door) SignOut(c *fiber.Ctx) error {
	if token := c.Cookies(SessionCookie(d.publicURL)); token != "" {
		if err := d.accounts.SignOut(c.UserContext(), token); err != nil {
			return err
		}
	}
	clearSession(c, d.publicURL, d.now())
	c.Set("Clear-Site-Data", `"cache", "storage"`)
	return c.Redirect("/signin", fiber.StatusSeeOther)
}

// safeNext lets through paths of ours alone: nothing that a browser could read as another host.
func safeNext(to string) string {
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t\x00") {
		return ""
	}
	parsed, err := url.Parse(to)
	if err != nil || parsed.IsAbs() || parsed.Host != "" || parsed.User != nil || strings.HasPrefix(parsed.Path, "//") {
		return ""
	}
	if parsed.Path != "/live" && !strings.HasPrefix(parsed.Path, "/leads/") {
		return ""
	}
	return parsed.RequestURI()
}
