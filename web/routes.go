package web

import (
	"github.com/gofiber/fiber/v2"

	"leadline/handlers"
	"leadline/internal/account"
)

// route is one line of the table: nothing is reachable without one.
type route struct {
	method  string
	path    string
	who     access
	handler fiber.Handler
}

// routes is the table of contents of everything that Leadline answers.
func (s *server) routes() []route {
	visitor := handlers.NewVisitors(s.Handlers)
	api := handlers.NewAPI(s.Handlers)
	door := handlers.NewDoor(s.Handlers)
	health := handlers.NewHealth(s.Handlers)

	const get, post, put, patch, head, options = fiber.MethodGet, fiber.MethodPost, fiber.MethodPut, fiber.MethodPatch, fiber.MethodHead, fiber.MethodOptions
	table := []route{
		// Visitors
		{post, "/v1/forms/:slug/leads", anyone, visitor.Submit},
		{head, "/v1/forms/:slug/leads", anyone, visitor.Warm},
		{options, "/v1/forms/:slug/leads", anyone, visitor.Preflight},
		{get, "/v1/forms/:slug", anyone, visitor.Config},
		{options, "/v1/forms/:slug", anyone, visitor.Preflight},
		{get, "/v1/forms/:slug/leads/:id", anyone, visitor.Status}, // asks for the receipt itself
		{patch, "/v1/forms/:slug/leads/:id", anyone, visitor.Amend},
		{options, "/v1/forms/:slug/leads/:id", anyone, visitor.Preflight},
		{get, "/f/:slug", anyone, visitor.Page},
		{get, "/f/:slug/thanks/:token", anyone, visitor.Thanks},
		{get, "/leadline.js", anyone, serveFormScript},
		{get, "/static/:name", anyone, serveStatic},

		// Signing in and out
		{get, "/signin", ourPage, door.Page},
		{post, "/signin", ourPage, door.SignIn},
		{get, "/signin/link/:token", ourPage, door.LinkPage},
		{post, "/signin/link/:token", ourPage, door.UseLink},
		{post, "/signout", ourPage, door.SignOut},

		// Programs
		{get, "/v1/leads", scope(account.ScopeLeadsRead), api.Leads},
		{get, "/v1/leads/:id", scope(account.ScopeLeadsRead), api.Lead},
		{post, "/v1/leads/:id/claim", scope(account.ScopeLeadsAct), api.Claim},
		{post, "/v1/leads/:id/outcome", scope(account.ScopeLeadsAct), api.Outcome},
		{get, "/v1/reps", scope(account.ScopeLeadsRead), api.Reps},
		{put, "/v1/reps/:email/presence", scope(account.ScopeLeadsAct), api.Presence},

		// Machines that watch
		{get, "/healthz", anyone, health.Alive},
		{get, "/readyz", anyone, health.Ready},
		{get, "/metrics", monitor, health.Metrics},
	}
	return append(table, s.consoleRoutes()...)
}
