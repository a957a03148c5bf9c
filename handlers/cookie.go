package handlers

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"leadline/internal/account"
)

// SessionCookie gives the name of the session cookie. Over https its prefix makes browsers insist on Secure, our host and Path=/.
func SessionCookie(publicURL string) string {
	if secure(publicURL) {
		return "__Host-leadline"
	}
	return "leadline"
}

func secure(publicURL string) bool { return strings.HasPrefix(publicURL, "https://") }

// SetSession gives a session's token to the browser. On a trusted device it outlives the browser and is kept as long as the session
// can last; elsewhere it goes when the browser is closed.
func SetSession(c *fiber.Ctx, publicURL, token string, who account.Who, left time.Duration, now time.Time) {
	cookie := sessionCookie(publicURL, token)
	if who.Trusted {
		cookie.Expires = now.Add(left)
	}
	c.Cookie(cookie)
}

func clearSession(c *fiber.Ctx, publicURL string, now time.Time) {
	cookie := sessionCookie(publicURL, "")
	cookie.Expires = now.Add(-24 * time.Hour)
	c.Cookie(cookie)
}

func sessionCookie(publicURL, token string) *fiber.Cookie {
	return &fiber.Cookie{
		Name: SessionCookie(publicURL), Value: token, Path: "/",
		HTTPOnly: true, Secure: secure(publicURL), SameSite: fiber.CookieSameSiteLaxMode,
	}
}
