package handlers

import (
	"context"
	"encoding/json"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/routing"
)

// apiClock is one clock of the lead's pool.
type apiClock struct {
	Clock       routing.ClockKind `json:"clock"`
	Pool        string            `json:"pool"`
	State       string            `json:"state"` // running, paused, stopped
	Target      float64           `json:"target_seconds"`
	StartedAt   string            `json:"started_at"`
	WarnAt      *string           `json:"warn_at"` // null, like the next two, while it stands with no end
	DueAt       *string           `json:"due_at"`
	EscalateAt  *string           `json:"escalate_at"`
	WarnedAt    *string           `json:"warned_at"`
	ActedAt     *string           `json:"acted_at"`
	EscalatedAt *string           `json:"escalated_at"`
	StoppedAt   *string           `json:"stopped_at"`
	StoppedBy   string            `json:"stopped_by,omitempty"`
}

// apiPause says why the clocks of a lead stand.
type apiPause struct {
	Reason string  `json:"reason"`
	Note   string  `json:"note,omitempty"` // only with the scope leads:reveal: a person's words
	By     string  `json:"by"`
	At     string  `json:"at"`
	Until  *string `json:"until"` // null: until somebody resumes it
}

func shownClocks(all []dispatch.ClockState) []apiClock {
	out := make([]apiClock, len(all))
	for i, c := range all {
		out[i] = apiClock{
			Clock: c.Kind, Pool: c.Pool, State: c.State, Target: c.Target.Seconds(), StartedAt: stamp(c.StartedAt),
			WarnAt: stampOf(c.WarnAt), DueAt: stampOf(c.DueAt), EscalateAt: stampOf(c.EscalateAt),
			WarnedAt: stampOf(c.WarnedAt), ActedAt: stampOf(c.ActedAt), EscalatedAt: stampOf(c.EscalatedAt),
			StoppedAt: stampOf(c.StoppedAt), StoppedBy: c.StoppedBy,
		}
	}
	return out
}

func shownPause(p *dispatch.PauseState, noted bool) *apiPause {
	if p == nil {
		return nil
	}
	out := &apiPause{Reason: p.Reason, By: p.By, At: stamp(p.At), Until: stampOf(p.Until)}
	if noted {
		out.Note = p.Note
	}
	return out
}

// addClocks adds the clocks of the lead's pool, its pause, and what the system and people took each.
func (a *API) addClocks(ctx context.Context, page *apiLeadPage, l lead.Lead, events []lead.Event, noted bool) error {
	all, paused, err := a.dispatch.Clocks(ctx, l.ID)
	if err != nil {
		return err
	}
	page.Clocks.SLA, page.Pause = shownClocks(all), shownPause(paused, noted)
	page.Clocks.Contact = contactAfter(l, events)
	page.Clocks.System = page.Clocks.Shown
	for _, c := range all {
		if c.Kind == routing.ClockSystem && c.StoppedBy == "painted" && page.Clocks.System == nil {
			seconds := c.StoppedAt.Sub(c.StartedAt).Seconds()
			page.Clocks.System = &seconds
		}
	}
	if page.Clocks.System == nil {
		page.Clocks.System = page.Clocks.Offered
	}
	if page.Clocks.System != nil && page.Clocks.FirstTouch != nil {
		human := max(0, *page.Clocks.FirstTouch-*page.Clocks.System)
		page.Clocks.Human = &human
	}
	return nil
}

// contactAfter is when both sides first spoke, in seconds since the lead was stored; nil: they have not.
func contactAfter(l lead.Lead, events []lead.Event) *float64 {
	for _, e := range events {
		var data struct {
			Disposition string `json:"disposition"`
		}
		if e.Kind != lead.EventOutcome || json.Unmarshal(e.Data, &data) != nil || !dispatch.Spoke(data.Disposition) {
			continue
		}
		seconds := e.At.Sub(l.AcceptedAt).Seconds()
		return &seconds
	}
	return nil
}

// Pause is POST /v1/leads/{id}/pause {reason, until, note}: the clocks for people stand until then. Pausing again changes why and until when.
func (a *API) Pause(c *fiber.Ctx) error {
	var body struct {
		Reason string `json:"reason"`
		Until  string `json:"until"`
		Note   string `json:"note"`
	}
	id, err := leadID(c)
	if err == nil {
		err = decode(c, &body)
	}
	if err != nil {
		return err
	}
	request := dispatch.PauseRequest{Reason: body.Reason, Note: body.Note, By: byAPI}
	if body.Until != "" {
		if request.Until, err = time.Parse(time.RFC3339, body.Until); err != nil {
			return &fault.Error{
				Kind: fault.Invalid, Message: "That is not a time.",
				Fields: []fault.Field{{Field: "until", Code: "format", Message: "Write it like 2026-11-30T09:00:00+01:00."}},
			}
		}
	}
	if request.LeadID, err = a.leads.Resolve(c.UserContext(), GrantOf(c).Leads, id); err != nil {
		return err
	}
	if err := a.dispatch.Pause(c.UserContext(), request); err != nil {
		return a.tooLate(c, request.LeadID, err)
	}
	return a.nowOf(c, request.LeadID)
}

// Resume is POST /v1/leads/{id}/resume: the clocks of a paused lead run again.
func (a *API) Resume(c *fiber.Ctx) error {
	id, err := leadID(c)
	if err != nil {
		return err
	}
	if id, err = a.leads.Resolve(c.UserContext(), GrantOf(c).Leads, id); err != nil {
		return err
	}
	if err := a.dispatch.Resume(c.UserContext(), id, uuid.Nil, byAPI); err != nil {
		return a.tooLate(c, id, err)
	}
	return a.nowOf(c, id)
}

// nowOf answers with the clocks of a lead as they are.
func (a *API) nowOf(c *fiber.Ctx, id uuid.UUID) error {
	all, paused, err := a.dispatch.Clocks(c.UserContext(), id)
	if err != nil {
		return err
	}
	return c.JSON(fiber.Map{"lead_id": id.String(), "pause": shownPause(paused, true), "sla": shownClocks(all)})
}
