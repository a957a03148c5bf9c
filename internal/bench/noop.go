package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// answerSize is about what intake's own answer has.
const answerSize = 470

// playNoop is a web server that reads a form post and answers it with as many bytes as intake would, and does nothing.
func playNoop(ctx context.Context, _ []string) error {
	answer := `{"lead_id":"` + strings.Repeat("0", answerSize-14) + `"}`
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Post("/v1/forms/:slug/leads", func(c *fiber.Ctx) error {
		if len(c.Body()) == 0 {
			return fiber.ErrBadRequest
		}
		c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
		return c.Status(fiber.StatusCreated).SendString(answer)
	})
	return serveFiber(ctx, app)
}

// serveFiber serves on a port of its own until the context ends.
func serveFiber(ctx context.Context, app *fiber.App) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- app.Listener(listener) }()
	ready(listener.Addr().String())
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
