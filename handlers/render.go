package handlers

import (
	"github.com/a-h/templ"
	"github.com/gofiber/fiber/v2"
)

// Render answers with a view. A status set before is kept.
func Render(c *fiber.Ctx, view templ.Component) error {
	c.Type("html", "utf-8")
	return view.Render(c.UserContext(), c.Response().BodyWriter())
}
