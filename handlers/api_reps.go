package handlers

import (
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"leadline/internal/fault"
	"leadline/internal/rep"
)

// apiRep is a rep as programs see them.
type apiRep struct {
	Email          string       `json:"email"`
	Name           string       `json:"name"`
	Team           string       `json:"team"`
	Timezone       string       `json:"timezone"`
	Hours          string       `json:"hours"`
	Active         bool         `json:"active"`
	Presence       rep.Presence `json:"presence"`
	PresenceBy     string       `json:"presence_by"`
	PresenceReason string       `json:"presence_reason"`
	PresenceAt     string       `json:"presence_at"`
	Reachable      bool         `json:"reachable"` // an offer would reach them now
	Tags           []string     `json:"tags"`
	Working        bool         `json:"working"`               // by hours, dates, absences and holidays
	NotWorking     rep.Code     `json:"not_working,omitempty"` // why not
	ChangesAt      *string      `json:"changes_at"`            // when that changes by itself; null: not within two weeks
}

// Reps is GET /v1/reps.
func (a *API) Reps(c *fiber.Ctx) error {
	all, err := a.reps.All(c.UserContext())
	if err != nil {
		return err
	}
	out := make([]apiRep, len(all))
	for i, r := range all {
		out[i] = shownRep(r, a.playbook.Roster(), a.now())
	}
	return c.JSON(fiber.Map{"reps": out})
}

// Presence is PUT /v1/reps/{email}/presence {presence, reason}. A rep set available here counts as reachable without a console.
func (a *API) Presence(c *fiber.Ctx) error {
	var body struct {
		Presence rep.Presence `json:"presence"`
		Reason   string       `json:"reason"`
	}
	if err := decode(c, &body); err != nil {
		return err
	}
	email, err := url.PathUnescape(c.Params("email"))
	if err != nil {
		return fault.New(fault.NotFound, "There is no such rep.")
	}
	changed, err := a.reps.SetPresence(c.UserContext(), email, body.Presence, rep.ByAPI, body.Reason)
	if err != nil {
		return err
	}
	a.dispatch.PresenceChanged()
	return c.JSON(shownRep(changed, a.playbook.Roster(), a.now()))
}

func shownRep(r rep.Rep, roster *rep.Roster, now time.Time) apiRep {
	status := roster.At(r, now)
	var changes *string
	if !status.Until.IsZero() {
		at := stamp(status.Until)
		changes = &at
	}
	return apiRep{
		Email: r.Email, Name: r.Name, Team: r.Team, Timezone: r.Timezone, Hours: r.Hours, Active: r.Active, Presence: r.Presence,
		PresenceBy: r.PresenceBy, PresenceReason: r.PresenceReason, PresenceAt: stamp(r.PresenceAt), Reachable: r.Reachable(now),
		Tags: append([]string{}, strings.Fields(r.Tags)...), Working: status.Working(), NotWorking: status.Code, ChangesAt: changes,
	}
}
