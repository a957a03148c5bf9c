package handlers

import (
	"slices"

	"github.com/gofiber/fiber/v2"

	"leadline/internal/fault"
	"leadline/internal/lead"
)

// allowOrigin lets pages of the sites that a form names call from a browser. Our own pages and callers without an Origin (no
// browser, or an old one) always may; credentials are never allowed, since nothing here looks at a cookie.
func (v *Visitors) allowOrigin(c *fiber.Ctx, form *lead.Form) error {
	c.Vary(fiber.HeaderOrigin)
	origin := c.Get(fiber.HeaderOrigin)
	if origin == "" || OwnOrigin(c, v.publicURL, origin) {
		return nil
	}
	if !slices.Contains(form.AllowedOrigins, origin) {
		return fault.New(fault.Forbidden, "This form does not accept answers from pages of that site.")
	}
	c.Set(fiber.HeaderAccessControlAllowOrigin, origin)
	c.Set(fiber.HeaderAccessControlExposeHeaders, "Retry-After, X-Correlation-ID")
	return nil
}

// Preflight is OPTIONS on the addresses of a form: what a browser asks before it sends a request that is more than a plain form.
func (v *Visitors) Preflight(c *fiber.Ctx) error {
	if _, err := v.form(c); err != nil {
		return err
	}
	c.Set(fiber.HeaderAccessControlAllowMethods, "POST, GET, PATCH, HEAD")
	c.Set(fiber.HeaderAccessControlAllowHeaders, "Content-Type, Idempotency-Key, X-Correlation-ID, traceparent, Authorization")
	c.Set(fiber.HeaderAccessControlMaxAge, "86400")
	return c.SendStatus(fiber.StatusNoContent)
}
