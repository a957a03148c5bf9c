package web

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"leadline/handlers"
	"leadline/internal/fault"
)

// headers sets what makes browsers careful. Handlers of hosted forms widen frame-ancestors for the sites that may embed them.
func (s *server) headers(c *fiber.Ctx) error {
	s.setHeaders(c)
	return c.Next()
}

func (s *server) setHeaders(c *fiber.Ctx) {
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	if s.secure {
		c.Set(fiber.HeaderStrictTransportSecurity, "max-age=31536000; includeSubDomains")
	}
	path := c.Path()
	// A form posted without script is answered with a page, at the address it was posted to.
	visitorsPage := strings.HasPrefix(path, "/f/") || strings.HasPrefix(path, "/v1/forms/") && handlers.WantsHTML(c)
	if strings.HasPrefix(path, "/v1/") && !visitorsPage { // data for programs: nothing in it may run
		c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'")
		return
	}
	c.Set(fiber.HeaderContentSecurityPolicy, s.policy())
	c.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()")
	if visitorsPage {
		c.Set(fiber.HeaderReferrerPolicy, "strict-origin-when-cross-origin")
		return
	}
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	c.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// policy is the content security policy of all pages. Nothing on them is inline, so no nonce is needed.
func (s *server) policy() string {
	socket := "ws://" + s.PublicURL.Host
	upgrade := ""
	if s.secure {
		socket, upgrade = "wss://"+s.PublicURL.Host, "; upgrade-insecure-requests"
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self' " + socket +
		"; manifest-src 'self'; worker-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'" + upgrade
}

// refuseEncoded keeps compressed bodies out before anything looks at them: a few bytes could unpack to gigabytes.
func refuseEncoded(c *fiber.Ctx) error {
	if len(c.Request().Header.Peek(fiber.HeaderContentEncoding)) > 0 {
		return fault.New(fault.Unsupported, "Send the body without Content-Encoding.")
	}
	return c.Next()
}
