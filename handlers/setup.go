package handlers

import (
	"net/url"

	"github.com/gofiber/fiber/v2"

	"leadline/internal/account"
	"leadline/internal/fault"
	"leadline/views"
)

// SetupPage is GET /setup/{token}: asks who the first admin is. Looking at the page uses up nothing; a link that does not work any
// more says what to do instead.
func (d *Door) SetupPage(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	if err := d.accounts.SetupOpen(c.UserContext(), c.Params("token")); err != nil {
		return err
	}
	return Render(c, views.SetupPage(views.Setup{Token: url.PathEscape(c.Params("token")), MinPassword: account.MinPassword}))
}

// UseSetup is POST /setup/{token}: makes the first admin and signs them in.
func (d *Door) UseSetup(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	first := account.NewAccount{Email: posted(c, "email"), Name: posted(c, "name"), Password: posted(c, "password")}
	token, who, err := d.accounts.UseSetup(asVisitor(c), c.Params("token"), first, device(c))
	if fault.Is(err, fault.Invalid) {
		f, status, _ := explain(err)
		return Render(c.Status(status), views.SetupPage(views.Setup{
			Token: url.PathEscape(c.Params("token")), MinPassword: account.MinPassword, Name: first.Name, Email: first.Email, Message: f.Message,
		}))
	}
	if err != nil {
		return err
	}
	return d.enter(c, token, who, "")
}
