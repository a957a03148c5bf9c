package handlers

import (
	"net/netip"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// OwnOrigin tells whether an Origin header names this server: by its public address exactly. Where that is plain http (local use),
// also by the very host the request was sent to if that is localhost or a bare address, since somebody may open localhost instead
// of 127.0.0.1; any other name could be made to point here by whoever owns it. "null" and the empty origin are nobody's.
func OwnOrigin(c *fiber.Ctx, publicURL, origin string) bool {
	if origin == publicURL {
		return origin != ""
	}
	host, ok := strings.CutPrefix(origin, "http://")
	return ok && !secure(publicURL) && host == string(c.Request().Host()) && bareHost(host)
}

// bareHost tells whether a host needs no name service: localhost or an address, with or without a port.
func bareHost(host string) bool {
	if name, _, _ := strings.Cut(host, ":"); name == "localhost" {
		return true
	}
	if _, err := netip.ParseAddrPort(host); err == nil {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// SameOrigin tells whether a page of ours caused this request. Browsers say so in Sec-Fetch-Site, older ones and plain http in
// Origin; a request with neither is not trusted.
func SameOrigin(c *fiber.Ctx, publicURL string) bool {
	switch c.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return true
	case "":
		return OwnOrigin(c, publicURL, c.Get(fiber.HeaderOrigin))
	default:
		return false
	}
}

// csrfLocal is the key under which web leaves the token that forms of this session carry.
type csrfLocal struct{}

// SetCSRF notes the token that forms of this session carry; web calls it, and whoever renders a form for a session just found.
func SetCSRF(c *fiber.Ctx, token string) { c.Locals(csrfLocal{}, token) }

func csrfOf(c *fiber.Ctx) string {
	token, _ := c.Locals(csrfLocal{}).(string)
	return token
}

// CSRFGiven is the token that a request shows: in a header by htmx, in a field by a plain form. The address is not looked at: what
// stands there is written down in many places.
func CSRFGiven(c *fiber.Ctx) string {
	if token := c.Get("X-CSRF-Token"); token != "" {
		return token
	}
	return string(c.Request().PostArgs().Peek("csrf"))
}
