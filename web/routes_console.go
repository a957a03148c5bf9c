package web

import (
	"github.com/gofiber/fiber/v2"

	"leadline/handlers"
	"leadline/internal/account"
)

// consoleRoutes is the part of the table for people who work here.
func (s *server) consoleRoutes() []route {
	console := handlers.NewConsole(s.Handlers)
	const get, post = fiber.MethodGet, fiber.MethodPost
	rep, staff := roles(account.RoleRep), roles(account.Roles...)
	return []route{
		{get, "/", staff, toConsole},
		{get, "/live", staff, console.Live},
		{get, "/live/delta", staff, console.Delta},
		{get, "/live/socket", socket(account.Roles...), console.Socket},
		{get, "/leads/:id", staff, console.Lead},
		{get, "/leads/:id/card", rep, console.Card},
		{post, "/leads/:id/claim", rep, console.Claim},
		{post, "/leads/:id/pass", rep, console.Pass},
		{post, "/leads/:id/outcome", rep, console.Outcome},
		{post, "/live/next", rep, console.Next},
		{post, "/me/presence", rep, console.Presence},
	}
}

// GET / — the console is the start page.
func toConsole(c *fiber.Ctx) error { return c.Redirect("/live", fiber.StatusSeeOther) }
