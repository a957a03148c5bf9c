package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/fault"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

// byAPI is how a claim or an outcome says that a program made it.
const byAPI = "api"

// repAndLead finds for whom a program acts, and the lead, within what the program may touch.
func (a *API) repAndLead(c *fiber.Ctx, email string, id uuid.UUID) (rep.Rep, uuid.UUID, error) {
	who, err := a.reps.ByEmail(c.UserContext(), email)
	if fault.Is(err, fault.NotFound) {
		return who, id, unknownRep()
	}
	if err != nil {
		return who, id, err
	}
	id, err = a.leads.Resolve(c.UserContext(), GrantOf(c).Leads, id)
	return who, id, err
}

// Claim is POST /v1/leads/{id}/claim {rep, attempt}: gives the lead to the rep, or 409 naming who has it. Without an attempt
// the current offer is meant. Repeating a claim that won answers 200 again.
func (a *API) Claim(c *fiber.Ctx) error {
	var body struct {
		Rep     string `json:"rep"` // e-mail address
		Attempt int    `json:"attempt"`
	}
	id, err := leadID(c)
	if err == nil {
		err = decode(c, &body)
	}
	if err != nil {
		return err
	}
	claimant, id, err := a.repAndLead(c, body.Rep, id)
	if err != nil {
		return err
	}
	won, err := a.dispatch.Claim(c.UserContext(), dispatch.ClaimRequest{LeadID: id, RepID: claimant.ID, Attempt: body.Attempt, By: byAPI})
	if err != nil {
		return a.tooLate(c, id, err)
	}
	return c.JSON(fiber.Map{
		"lead_id": won.LeadID.String(), "attempt": won.Attempt, "claimed_at": stamp(won.At), "already": won.Already,
		"rep": apiPerson{Email: claimant.Email, Name: claimant.Name},
	})
}

// Pass is POST /v1/leads/{id}/pass {rep, attempt, reason, note}: gives an offer back before its time is over. Without an attempt the
// current offer is meant, without a reason "other".
func (a *API) Pass(c *fiber.Ctx) error {
	var body struct {
		Rep     string          `json:"rep"` // e-mail address
		Attempt int             `json:"attempt"`
		Reason  routing.Decline `json:"reason"`
		Note    string          `json:"note"`
	}
	id, err := leadID(c)
	if err == nil {
		err = decode(c, &body)
	}
	if err != nil {
		return err
	}
	by, id, err := a.repAndLead(c, body.Rep, id)
	if err != nil {
		return err
	}
	err = a.dispatch.Pass(c.UserContext(), dispatch.PassRequest{LeadID: id, RepID: by.ID, Attempt: body.Attempt, Reason: body.Reason, Note: body.Note, By: byAPI})
	if err != nil {
		return a.tooLate(c, id, err)
	}
	return a.placeOf(c, id)
}

// HandOver is POST /v1/leads/{id}/handover {rep, reason}: takes a lead that was not contacted yet from its holder and gives it to others. With
// a rep, who must be the holder, they give it away by choice.
func (a *API) HandOver(c *fiber.Ctx) error {
	var body struct {
		Rep    string `json:"rep"` // e-mail address
		Reason string `json:"reason"`
	}
	id, err := leadID(c)
	if err == nil {
		err = decode(c, &body)
	}
	if err != nil {
		return err
	}
	request := dispatch.HandOverRequest{Reason: body.Reason}
	if body.Rep == "" {
		id, err = a.leads.Resolve(c.UserContext(), GrantOf(c).Leads, id)
	} else {
		var by rep.Rep
		by, id, err = a.repAndLead(c, body.Rep, id)
		request.RepID = by.ID
	}
	if err != nil {
		return err
	}
	request.LeadID = id
	if err := a.dispatch.HandOver(c.UserContext(), request); err != nil {
		return a.tooLate(c, id, err)
	}
	return a.placeOf(c, id)
}

// placeOf answers with where a lead is now.
func (a *API) placeOf(c *fiber.Ctx, id uuid.UUID) error {
	now, err := a.leads.ByID(c.UserContext(), GrantOf(c).Leads, id)
	if err != nil {
		return err
	}
	return c.JSON(fiber.Map{"lead_id": now.ID.String(), "stage": now.Stage, "pool": now.Pool, "attempt": now.Attempt})
}

// Outcome is POST /v1/leads/{id}/outcome {rep, disposition, reason}: records what came of a contact. Without a rep the holder is
// meant. "outcome" is understood for "disposition".
func (a *API) Outcome(c *fiber.Ctx) error {
	var body struct {
		Rep         string `json:"rep"` // e-mail address
		Disposition string `json:"disposition"`
		Outcome     string `json:"outcome"`
		Reason      string `json:"reason"`
	}
	id, err := leadID(c)
	if err == nil {
		err = decode(c, &body)
	}
	if err != nil {
		return err
	}
	held, err := a.leads.ByID(c.UserContext(), GrantOf(c).Leads, id)
	if err != nil {
		return err
	}
	request := dispatch.OutcomeRequest{LeadID: held.ID, Disposition: body.Disposition, Reason: body.Reason, By: byAPI}
	if request.Disposition == "" {
		request.Disposition = body.Outcome
	}
	switch {
	case body.Rep != "":
		by, err := a.reps.ByEmail(c.UserContext(), body.Rep)
		if fault.Is(err, fault.NotFound) {
			return unknownRep()
		}
		if err != nil {
			return err
		}
		request.RepID = by.ID
	case held.RepID != nil:
		request.RepID = *held.RepID
	default:
		return &fault.Error{Kind: fault.Conflict, Code: "unclaimed", Message: "Nobody has this lead yet. Claim it first."}
	}
	if err := a.dispatch.Outcome(c.UserContext(), request); err != nil {
		return a.tooLate(c, held.ID, err)
	}
	after, err := a.leads.ByID(c.UserContext(), GrantOf(c).Leads, held.ID)
	if err != nil {
		return err
	}
	return c.JSON(fiber.Map{"lead_id": after.ID.String(), "stage": after.Stage, "disposition": after.Disposition, "first_touch_at": stampOf(after.FirstTouchAt)})
}

// tooLate adds to a conflict where the lead is now, so that a program need not ask again.
func (a *API) tooLate(c *fiber.Ctx, id uuid.UUID, err error) error {
	late, ok := conflict(err)
	if !ok {
		return err
	}
	now, err := a.leads.ByID(c.UserContext(), GrantOf(c).Leads, id)
	if err != nil {
		return err
	}
	told := *late
	told.Extra = map[string]any{"stage": now.Stage, "pool": now.Pool, "attempt": now.Attempt}
	for name, value := range late.Extra {
		told.Extra[name] = value
	}
	return &told
}

func unknownRep() error {
	return &fault.Error{
		Kind: fault.Invalid, Message: "There is no such rep.",
		Fields: []fault.Field{{Field: "rep", Code: "unknown", Message: "Give the email address of a rep."}},
	}
}

// decode reads a JSON object of a program. What it does not know it refuses, so that a misspelt name is found at once.
func decode(c *fiber.Ctx, into any) error {
	kind, _, _ := strings.Cut(c.Get(fiber.HeaderContentType), ";")
	if strings.TrimSpace(strings.ToLower(kind)) != fiber.MIMEApplicationJSON {
		return fault.New(fault.Unsupported, "Send application/json.")
	}
	dec := json.NewDecoder(bytes.NewReader(c.Body()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return fault.New(fault.Malformed, "This call knows no field %s.", name)
		}
		return fault.New(fault.Malformed, "The body is not a JSON object of the right form.")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Malformed, "Something follows the JSON object.")
	}
	return nil
}
