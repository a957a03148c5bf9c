package web

import (
	"github.com/gofiber/fiber/v2"

	"leadline/handlers"
)

// route says what answers at an address. Who may is in matrix.txt: neither works without the other.
type route struct {
	method  string
	path    string
	handler fiber.Handler
}

// routes is the table of contents of everything that Leadline answers.
func (s *server) routes() []route {
	visitor := handlers.NewVisitors(s.Handlers)
	api := handlers.NewAPI(s.Handlers)
	routing := handlers.NewRouting(s.Handlers)
	versions := handlers.NewVersions(s.Handlers)
	people := handlers.NewPeople(s.Handlers)
	door := handlers.NewDoor(s.Handlers)
	devices := handlers.NewDevices(s.Handlers)
	health := handlers.NewHealth(s.Handlers)

	const get, post, put, patch, head, options = fiber.MethodGet, fiber.MethodPost, fiber.MethodPut, fiber.MethodPatch, fiber.MethodHead, fiber.MethodOptions
	table := []route{
		// Visitors
		{post, "/v1/forms/:slug/leads", visitor.Submit},
		{head, "/v1/forms/:slug/leads", visitor.Warm},
		{options, "/v1/forms/:slug/leads", visitor.Preflight},
		{get, "/v1/forms/:slug", visitor.Config},
		{options, "/v1/forms/:slug", visitor.Preflight},
		{get, "/v1/forms/:slug/leads/:id", visitor.Status},
		{patch, "/v1/forms/:slug/leads/:id", visitor.Amend},
		{options, "/v1/forms/:slug/leads/:id", visitor.Preflight},
		{post, "/v1/rum", visitor.RUM},
		{get, "/f/:slug", visitor.Page},
		{get, "/f/:slug/thanks/:token", visitor.Thanks},
		{get, "/leadline.js", serveFormScript},
		{get, "/static/:name", serveStatic},

		// Signing in and out
		{get, "/signin", door.Page},
		{post, "/signin", door.SignIn},
		{get, "/signin/link/:token", door.LinkPage},
		{post, "/signin/link/:token", door.UseLink},
		{post, "/signout", door.SignOut},
		{get, "/setup/:token", door.SetupPage},
		{post, "/setup/:token", door.UseSetup},
		{get, "/me/devices", devices.Page},
		{post, "/me/devices/:id/end", devices.End},
		{post, "/me/devices/end-others", devices.EndOthers},

		// Programs
		{get, "/v1/leads", api.Leads},
		{get, "/v1/leads/:id", api.Lead},
		{get, "/v1/leads/:id/payloads", handlers.NewPayloads(s.Handlers).List},
		{post, "/v1/leads/:id/claim", api.Claim},
		{post, "/v1/leads/:id/pass", api.Pass},
		{post, "/v1/leads/:id/outcome", api.Outcome},
		{post, "/v1/leads/:id/pause", api.Pause},
		{post, "/v1/leads/:id/resume", api.Resume},
		{post, "/v1/leads/:id/handover", api.HandOver},
		{get, "/v1/alarms", api.Alarms},
		{post, "/v1/alarms/:id/acknowledge", api.Acknowledge},
		{get, "/v1/leads/:id/why", routing.Why},
		{post, "/v1/routing/simulate", routing.Simulate},
		{get, "/v1/routing/shadow", routing.Shadow},
		{post, "/v1/routing/shadow", routing.StartShadow},
		{fiber.MethodDelete, "/v1/routing/shadow", routing.StopShadow},
		{get, "/v1/routing/canary", routing.Canary},
		{post, "/v1/routing/canary", routing.StartCanary},
		{fiber.MethodDelete, "/v1/routing/canary", routing.StopCanary},
		{post, "/v1/routing/canary/promote", routing.PromoteCanary},
		{post, "/v1/routing/backtest", routing.Backtest},
		{get, "/v1/routing/backtest/:id", routing.BacktestResult},
		{fiber.MethodDelete, "/v1/routing/backtest/:id", routing.CancelBacktest},
		{get, "/v1/routing/versions", versions.List},
		{get, "/v1/routing/versions/:id", versions.Text},
		{post, "/v1/routing/versions/:id/rollback", versions.Rollback},
		{get, "/v1/routing/drafts", versions.Drafts},
		{post, "/v1/routing/drafts", versions.Add},
		{get, "/v1/routing/drafts/:id", versions.Draft},
		{put, "/v1/routing/drafts/:id", versions.Revise},
		{post, "/v1/routing/drafts/:id/approve", versions.Approve},
		{post, "/v1/routing/drafts/:id/publish", versions.Publish},
		{post, "/v1/routing/drafts/:id/discard", versions.Discard},
		{get, "/v1/reps", api.Reps},
		{put, "/v1/reps/:email/presence", api.Presence},
		{get, "/v1/reps/:email/absences", people.Absences},
		{post, "/v1/reps/:email/absences", people.AddAbsence},
		{fiber.MethodDelete, "/v1/reps/:email/absences/:absence", people.RemoveAbsence},
		{put, "/v1/reps/:email/active", people.Active},
		{get, "/v1/pools/:slug/credits", people.Credits},
		{post, "/v1/pools/:slug/credits", people.Adjust},
		{get, "/v1/drift", handlers.NewDrift(s.Handlers).List},

		// Machines that watch
		{post, "/csp-report", newReports(s).Accept},
		{get, "/healthz", health.Alive},
		{get, "/readyz", health.Ready},
		{get, "/metrics", health.Metrics},
		{get, "/.well-known/acme-challenge/:token", s.challenge()},
	}
	return append(table, s.consoleRoutes()...)
}
