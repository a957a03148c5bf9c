package handlers

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/fault"
)

// apiAlarm is an alarm as programs see it.
type apiAlarm struct {
	ID             string  `json:"id"`
	Kind           string  `json:"kind"`
	LeadID         *string `json:"lead_id"` // null: not about one lead
	Pool           string  `json:"pool"`
	OpenedAt       string  `json:"opened_at"`
	ClosedAt       *string `json:"closed_at"`
	AcknowledgedAt *string `json:"acknowledged_at"`
}

// Alarms is GET /v1/alarms?state=open|all&kind=: what somebody must look at, newest first, at most a thousand. Without a state the open
// ones are meant.
func (a *API) Alarms(c *fiber.Ctx) error {
	state := c.Query("state", "open")
	if state != "open" && state != "all" {
		return fault.New(fault.Malformed, "There is no such state. Use open or all.")
	}
	found, err := a.dispatch.Alarms(c.UserContext(), dispatch.AlarmFilter{Kind: c.Query("kind"), Closed: state == "all"})
	if err != nil {
		return err
	}
	alarms := make([]apiAlarm, len(found))
	for i, f := range found {
		alarms[i] = shownAlarm(f)
	}
	return c.JSON(fiber.Map{"alarms": alarms})
}

// Acknowledge is POST /v1/alarms/{id}/acknowledge: a person saw it. The alarm stays open until what it is about is over. Repeating it
// changes nothing.
func (a *API) Acknowledge(c *fiber.Ctx) error {
	id, err := uuid.Parse(c.Params("id"))
	if err != nil {
		return fault.New(fault.NotFound, "There is no such alarm.")
	}
	seen, err := a.dispatch.Acknowledge(c.UserContext(), id)
	if err != nil {
		return err
	}
	return c.JSON(shownAlarm(seen))
}

func shownAlarm(f dispatch.Alarm) apiAlarm {
	out := apiAlarm{
		ID: f.ID.String(), Kind: f.Kind, Pool: f.Pool, OpenedAt: stamp(f.OpenedAt), ClosedAt: stampOf(f.ClosedAt), AcknowledgedAt: stampOf(f.AcknowledgedAt),
	}
	if f.LeadID != nil {
		id := f.LeadID.String()
		out.LeadID = &id
	}
	return out
}
