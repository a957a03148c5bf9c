package web

import (
	"github.com/gofiber/fiber/v2"

	"leadline/handlers"
)

// consoleRoutes is the part of the table for people who work here.
func (s *server) consoleRoutes() []route {
	console := handlers.NewConsole(s.Handlers)
	record := handlers.NewAudit(s.Handlers)
	drift := handlers.NewDrift(s.Handlers)
	held := handlers.NewHeld(s.Handlers)
	const get, post = fiber.MethodGet, fiber.MethodPost
	return []route{
		{get, "/", toConsole},
		{get, "/live", console.Live},
		{get, "/live/delta", console.Delta},
		{get, "/live/socket", console.Socket},
		{get, "/leads/:id", console.Lead},
		{get, "/leads/:id/card", console.Card},
		{post, "/leads/:id/claim", console.Claim},
		{post, "/leads/:id/pass", console.Pass},
		{post, "/leads/:id/outcome", console.Outcome},
		{post, "/leads/:id/pause", console.Pause},
		{post, "/leads/:id/resume", console.Resume},
		{post, "/leads/:id/reveal", console.Reveal},
		{post, "/live/next", console.Next},
		{post, "/me/presence", console.Presence},
		{get, "/held", held.Page},
		{post, "/held/release", held.Release},
		{post, "/held/discard", held.Discard},
		{post, "/held/restore", held.Restore},
		{get, "/audit", record.Page},
		{post, "/audit.csv", record.Export},
		{post, "/audit/verify", record.Check},
		{get, "/drift", drift.Page},
		{post, "/drift/:id/resolve", drift.Resolve},
	}
}

// GET / — the console is the start page.
func toConsole(c *fiber.Ctx) error { return c.Redirect("/live", fiber.StatusSeeOther) }
