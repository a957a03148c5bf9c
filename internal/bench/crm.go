package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
)

// crmLatency is how long the CRM takes for each write.
const crmLatency = 80 * time.Millisecond

// crmCount is what the CRM has seen.
type crmCount struct {
	Writes int `json:"writes"`
	Leads  int `json:"leads"` // different external ids
}

// playCRM is a CRM that takes its time and remembers who was written. It is written for little cost beside what is measured.
func playCRM(ctx context.Context, _ []string) error {
	var (
		mu    sync.Mutex
		count crmCount
		seen  = map[string]bool{}
	)
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Post("/webhook", func(c *fiber.Ctx) error {
		id, err := externalID(c.Body())
		if err != nil {
			return fiber.ErrBadRequest
		}
		<-time.After(crmLatency)
		mu.Lock()
		count.Writes++
		if !seen[id] {
			seen[id] = true
			count.Leads++
		}
		mu.Unlock()
		c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
		return c.SendString(`{"id":"` + id + `"}`)
	})
	app.Get("/count", func(c *fiber.Ctx) error {
		mu.Lock()
		defer mu.Unlock()
		return c.JSON(count)
	})
	return serveFiber(ctx, app)
}

// externalID is found without reading all of the body.
func externalID(body []byte) (string, error) {
	_, rest, ok := bytes.Cut(body, []byte(`"external_id":"`))
	id, _, closed := bytes.Cut(rest, []byte{'"'})
	if !ok || !closed || len(id) == 0 {
		return "", fmt.Errorf("there is no external_id")
	}
	return string(id), nil
}

// delivered asks the CRM what it has seen.
func delivered(ctx context.Context, crm *process) (crmCount, error) {
	var count crmCount
	text, err := get(ctx, crm.url()+"/count")
	if err != nil {
		return count, err
	}
	if err := json.Unmarshal(text, &count); err != nil {
		return count, fmt.Errorf("read what the CRM counted: %w", err)
	}
	return count, nil
}

// get reads a page of a process of ours.
func get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", address, err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("get %s: %s", address, res.Status)
	}
	return text, err
}
