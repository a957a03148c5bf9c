package handlers

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"

	"leadline/internal/fault"
	"leadline/internal/postgres"
	"leadline/internal/telemetry"
)

// Health answers machines that watch.
type Health struct {
	db      *postgres.DB
	metrics fiber.Handler
}

// NewHealth makes the handlers of health checks and metrics.
func NewHealth(d Deps) *Health {
	return &Health{db: d.DB, metrics: serveMetrics(d.Metrics)}
}

func serveMetrics(m *telemetry.Metrics) fiber.Handler { return adaptor.HTTPHandler(m.Handler()) }

// Alive is GET /healthz: the process answers. It says nothing about anything behind it, so that a database that is away does
// not get the process killed.
func (h *Health) Alive(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.SendString("alive\n")
}

// Ready is GET /readyz: leads can be taken now.
func (h *Health) Ready(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	ctx, cancel := context.WithTimeout(c.UserContext(), time.Second)
	defer cancel()
	if err := h.db.Console.Ping(ctx); err != nil {
		return fault.Wrap(fault.Unavailable, err, "The database does not answer, so no leads can be taken.")
	}
	return c.SendString("ready\n")
}

// Metrics is GET /metrics: Prometheus text.
func (h *Health) Metrics(c *fiber.Ctx) error { return h.metrics(c) }
