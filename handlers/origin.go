package handlers

import (
	"strings"

	"github.com/gofiber/fiber/v2"
)

// OwnOrigin tells whether an Origin header names this server: by its public address, or by the host that this very request
// was sent to (somebody opened localhost instead of 127.0.0.1). "null" and the empty origin are nobody's.
func OwnOrigin(c *fiber.Ctx, publicURL, origin string) bool {
	if origin == publicURL {
		return origin != ""
	}
	scheme, host, ok := strings.Cut(origin, "://")
	return ok && (scheme == "http" || scheme == "https") && host != "" && host == string(c.Request().Host())
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
