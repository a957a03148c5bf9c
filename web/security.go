package web

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"leadline/handlers"
	"leadline/internal/fault"
)

// headers sets what makes browsers careful. Handlers of hosted forms widen frame-ancestors for the sites that may embed them, and
// those of files that may be kept or embedded say so.
func (s *server) headers(c *fiber.Ctx) error {
	s.setHeaders(c)
	return c.Next()
}

func (s *server) setHeaders(c *fiber.Ctx) {
	path := c.Path()
	// A form posted without script is answered with a page, at the address it was posted to.
	forms := strings.HasPrefix(path, "/v1/forms/")
	visitorsPage := strings.HasPrefix(path, "/f/") || forms && handlers.WantsHTML(c)
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderCacheControl, "no-store")
	if s.secure {
		c.Set(fiber.HeaderStrictTransportSecurity, "max-age=31536000; includeSubDomains")
	}
	if !visitorsPage && !forms { // what other sites embed or call is left out
		c.Set("Cross-Origin-Resource-Policy", "same-origin")
	}
	if visitorsPage {
		c.Set(fiber.HeaderReferrerPolicy, "strict-origin-when-cross-origin")
	} else {
		c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
		c.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	c.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()")
	if strings.HasPrefix(path, "/v1/") && !visitorsPage { // data for programs: nothing in it may run
		c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		return
	}
	c.Set(fiber.HeaderContentSecurityPolicy, s.policy())
}

// policy is the content security policy of all pages. Nothing on them is inline, so no nonce is needed.
func (s *server) policy() string {
	socket := "ws://" + s.PublicURL.Host
	upgrade := ""
	if s.secure {
		socket, upgrade = "wss://"+s.PublicURL.Host, "; upgrade-insecure-requests"
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self' " + socket +
		"; manifest-src 'self'; worker-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'" + upgrade + "; report-uri /csp-report"
}

// refuseEncoded keeps compressed bodies out before anything looks at them: a few bytes could unpack to gigabytes.
func refuseEncoded(c *fiber.Ctx) error {
	if len(c.Request().Header.Peek(fiber.HeaderContentEncoding)) > 0 {
		return fault.New(fault.Unsupported, "Send the body without Content-Encoding.")
	}
	return c.Next()
}
