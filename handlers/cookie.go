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

func setSession(c *fiber.Ctx, publicURL, token string, now time.Time) {
	c.Cookie(&fiber.Cookie{
		Name: SessionCookie(publicURL), Value: token, Path: "/", Expires: now.Add(account.SessionAbsolute),
		HTTPOnly: true, Secure: secure(publicURL), SameSite: fiber.CookieSameSiteLaxMode,
	})
}

func clearSession(c *fiber.Ctx, publicURL string, now time.Time) {
	c.Cookie(&fiber.Cookie{
		Name: SessionCookie(publicURL), Path: "/", Expires: now.Add(-24 * time.Hour),
		HTTPOnly: true, Secure: secure(publicURL), SameSite: fiber.CookieSameSiteLaxMode,
	})
}
