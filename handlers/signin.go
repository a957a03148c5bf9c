package handlers

import (
	"context"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"leadline/internal/account"
	"leadline/internal/audit"
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
	return Render(c, views.SignInPage(views.SignIn{Next: safeNext(c.Query("next")), Trusted: true}))
}

// SignIn is POST /signin: a password for a session.
func (d *Door) SignIn(c *fiber.Ctx) error {
	form := views.SignIn{Email: posted(c, "email"), Next: safeNext(posted(c, "next")), Trusted: posted(c, "trusted") != ""}
	c.Set(fiber.HeaderCacheControl, "no-store")
	from := device(c)
	token, who, err := d.accounts.SignIn(asVisitor(c), form.Email, posted(c, "password"), from)
	if fault.Is(err, fault.Unauthenticated) || fault.Is(err, fault.Throttled) {
		f, status, _ := explain(err)
		setRetryAfter(c, f)
		form.Message = f.Message
		return Render(c.Status(status), views.SignInPage(form))
	}
	if err != nil {
		return err
	}
	return d.enter(c, token, who, form.Next)
}

// device is where a request comes from, as far as a session remembers it.
func device(c *fiber.Ctx) account.Device {
	return account.Device{Address: network(AddressOf(c)).String(), UserAgent: c.Get(fiber.HeaderUserAgent), Trusted: posted(c, "trusted") != ""}
}

// asVisitor is the context of somebody who has not signed in, for the record.
func asVisitor(c *fiber.Ctx) context.Context {
	return audit.WithActor(c.UserContext(), audit.Actor{Kind: audit.Visitor, CorrelationID: CorrelationOf(c)})
}

// LinkPage is GET /signin/link/{token}: a button. Looking at the page uses up nothing.
func (d *Door) LinkPage(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	return Render(c, views.LinkPage(url.PathEscape(c.Params("token"))))
}

// UseLink is POST /signin/link/{token}: a one-time link for a session.
func (d *Door) UseLink(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	token, who, err := d.accounts.UseLink(asVisitor(c), c.Params("token"), device(c))
	if err != nil {
		return err
	}
	return d.enter(c, token, who, "")
}

// enter ends a session that the browser still carries, so that none is ever taken over, and starts the new one.
func (d *Door) enter(c *fiber.Ctx, token string, who account.Who, to string) error {
	if old := c.Cookies(SessionCookie(d.publicURL)); old != "" {
		if err := d.accounts.SignOut(asVisitor(c), old); err != nil {
			return err
		}
	}
	SetSession(c, d.publicURL, token, who, account.SessionAbsoluteTrusted, d.now())
	if to == "" {
		to = "/live"
	}
	return c.Redirect(to, fiber.StatusSeeOther)
}

// SignOut is POST /signout. While the session stands, the form must be one of its own; when it does not, there is nothing to guard.
func (d *Door) SignOut(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	token := c.Cookies(SessionCookie(d.publicURL))
	who, err := d.accounts.SessionByToken(c.UserContext(), token)
	switch {
	case err == nil:
		if !d.accounts.CSRFValid(who.SessionID, CSRFGiven(c)) {
			return StalePage(c)
		}
		if err := d.accounts.SignOut(asVisitor(c), token); err != nil {
			return err
		}
	case !fault.Is(err, fault.Unauthenticated):
		return err
	}
	clearSession(c, d.publicURL, d.now())
	c.Set("Clear-Site-Data", `"cache", "storage"`)
	return c.Redirect("/signin", fiber.StatusSeeOther)
}

// StalePage refuses a form that carries no token of the session, mostly because the person signed in again since the page was
// opened. What they typed stays where it is.
func StalePage(c *fiber.Ctx) error {
	message := "Your sign-in has changed since this page was opened. Reload this page and do it again."
	if WantsHTML(c) && !partOfPage(c) {
		message = "Your sign-in has changed since that page was opened. Go back, reload the page and do it again."
	}
	return &fault.Error{Kind: fault.Forbidden, Code: "stale_page", Message: message}
}

// ourPages are the pages that signing in may lead to.
var ourPages = regexp.MustCompile(`^/(live|audit|leads/[A-Za-z0-9-]{1,64}|me/[a-z-]{1,32})$`)

// safeNext lets through pages of ours alone, by a list: nothing that a browser could read as another host or that acts.
func safeNext(to string) string {
	path, query, _ := strings.Cut(to, "?")
	if len(to) > 1000 || !ourPages.MatchString(path) {
		return ""
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return ""
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode() // written anew, so that nothing of it can end the address
}

// network is what one sender is likely to own: an address of IPv4, a /64 of IPv6.
func network(address string) netip.Prefix {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits) // the length fits the kind
	return prefix
}
