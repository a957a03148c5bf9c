package handlers

import (
	"context"
	"fmt"
	"strings"

	"github.com/a-h/templ"
	"github.com/andybalholm/brotli"
	"github.com/gofiber/fiber/v2"

	"leadline/views"
)

// Render answers with a view, whose forms carry the token of the session. A status set before is kept.
func Render(c *fiber.Ctx, view templ.Component) error {
	c.Type("html", "utf-8")
	return view.Render(context.WithValue(c.UserContext(), views.CSRFKey{}, csrfOf(c)), c.Response().BodyWriter())
}

// renderSmall is Render for pages that are long, open to everybody and hold no secret that compression could betray: the hosted
// form names every country.
func renderSmall(c *fiber.Ctx, view templ.Component) error {
	c.Vary(fiber.HeaderAcceptEncoding)
	if !strings.Contains(c.Get(fiber.HeaderAcceptEncoding), "br") {
		return Render(c, view)
	}
	c.Type("html", "utf-8")
	c.Set(fiber.HeaderContentEncoding, "br")
	w := brotli.NewWriterLevel(c.Response().BodyWriter(), brotli.DefaultCompression)
	if err := view.Render(c.UserContext(), w); err != nil {
		return fmt.Errorf("render a page: %w", err)
	}
	return w.Close()
}
