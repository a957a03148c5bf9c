package handlers

import (
	"errors"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/drift"
	"leadline/internal/failpoint"
	"leadline/internal/fault"
	"leadline/internal/intake"
	"leadline/internal/lead"
	"leadline/internal/playbook"
	"leadline/internal/spam"
	"leadline/internal/telemetry"
)

// Visitors answers people who fill in forms, and the scripts on their pages. Nobody signs in here and no cookie is read.
type Visitors struct {
	intake    *intake.Service
	playbook  *playbook.Live
	drift     *drift.Service
	metrics   *telemetry.Metrics
	publicURL string
	now       func() time.Time
	spam      *spam.Guard
}

// NewVisitors makes the handlers of forms.
func NewVisitors(d Deps) *Visitors {
	return &Visitors{
		intake: d.Intake, playbook: d.Playbook, drift: d.Drift, metrics: d.Metrics, publicURL: d.PublicURL, now: d.Now,
		spam: d.Spam,
	}
}

// accepted is the answer to a submission.
type accepted struct {
	LeadID        string `json:"lead_id"`
	Reference     string `json:"reference"`
	CorrelationID string `json:"correlation_id"`
	Duplicate     bool   `json:"duplicate"`
	AcceptedAt    string `json:"accepted_at"`
	Receipt       string `json:"receipt"`
	Next          next   `json:"next"`
}

// next is what the visitor can expect: a person is being found. A booking link joins it when a form has one.
type next struct {
	Kind       string `json:"kind"`
	StatusURL  string `json:"status_url"`
	BookingURL string `json:"booking_url,omitempty"`
}

// Submit is POST /v1/forms/{slug}/leads: takes a form and answers once it is durable. Routing and the CRM come later and are
// never waited for.
func (v *Visitors) Submit(c *fiber.Ctx) error {
	started, label := v.now(), "unknown"
	outcome := "created"
	form, err := v.named(c)
	if err == nil {
		label = form.Slug
		var done intake.Accepted
		if done, err = v.submit(c, form); done.Duplicate {
			outcome = "duplicate"
		}
	}
	var f *fault.Error
	if errors.As(err, &f) {
		outcome = string(f.Kind)
	} else if err != nil {
		outcome = "error"
	}
	v.metrics.Intake(label, outcome, v.now().Sub(started).Seconds())
	return v.failed(c, form, err)
}

// submit parses, stores and answers.
func (v *Visitors) submit(c *fiber.Ctx, form *lead.Form) (intake.Accepted, error) {
	failpoint.At(failpoint.Read)
	arrival, err := v.admit(c, form)
	if err != nil {
		return intake.Accepted{}, err
	}
	raw, err := parseAnswers(c)
	if err != nil {
		v.drift.NoteUnreadable(form, c.Get(fiber.HeaderContentType), err)
		return intake.Accepted{}, err
	}
	if arrival.Machine != "" {
		raw.ClientKey = machineKey(c, arrival)
	}
	SetCorrelation(c, raw.CorrelationID)
	if err := v.screen(c, form, &raw, &arrival); err != nil {
		return intake.Accepted{}, &refused{raw: raw, err: err}
	}
	done, err := v.intake.Accept(c.UserContext(), form, raw, arrival)
	v.drift.Note(form, &raw, err)
	if err != nil {
		return intake.Accepted{}, &refused{raw: raw, err: err}
	}
	if arrival.Machine != "" && done.Replayed {
		c.Set("Idempotent-Replayed", "true")
	}
	return done, v.answer(c, form, done)
}

// answer tells the visitor that the lead is safe: a page for browsers without script, else the document of the contract.
func (v *Visitors) answer(c *fiber.Ctx, form *lead.Form, done intake.Accepted) error {
	failpoint.At(failpoint.Stored)
	receipt := v.intake.Receipt(done.SubmissionID)
	SetCorrelation(c, done.CorrelationID)
	c.Set(fiber.HeaderCacheControl, "no-store")
	if WantsHTML(c) {
		return c.Redirect(thanksPath(form.Slug, receipt), fiber.StatusSeeOther)
	}
	status := v.publicURL + submitPath(form) + "/" + done.SubmissionID.String()
	if !done.Duplicate {
		c.Status(fiber.StatusCreated)
		c.Set(fiber.HeaderLocation, status)
	}
	return c.JSON(accepted{
		LeadID: done.SubmissionID.String(), Reference: lead.Reference(done.SubmissionID), CorrelationID: done.CorrelationID,
		Duplicate: done.Duplicate, AcceptedAt: stamp(done.AcceptedAt), Receipt: receipt,
		Next: next{Kind: "finding", StatusURL: status},
	})
}

// Warm is HEAD /v1/forms/{slug}/leads: nothing is done; the connection is open when the form is sent.
func (v *Visitors) Warm(c *fiber.Ctx) error {
	if _, err := v.form(c); err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}

// refused carries what was sent along with why it was not taken, so that a page can show it again.
type refused struct {
	raw lead.Raw
	err error
}

func (r *refused) Error() string { return r.err.Error() }
func (r *refused) Unwrap() error { return r.err }

// failed shows people the form again with what they sent; programs get a problem document.
func (v *Visitors) failed(c *fiber.Ctx, form *lead.Form, err error) error {
	var r *refused
	if err == nil || !errors.As(err, &r) || !WantsHTML(c) {
		return err
	}
	f, status, _ := explain(r.err)
	if status >= 500 {
		c.Locals(localFailure, r.err)
	}
	setRetryAfter(c, f)
	return v.showForm(c.Status(status), form, shownForm{raw: r.raw, fault: &f})
}

// form finds the form that the address names and settles whether the page that calls may.
func (v *Visitors) form(c *fiber.Ctx) (*lead.Form, error) {
	form, err := v.named(c)
	if err != nil {
		return nil, err
	}
	return form, v.allowOrigin(c, form)
}

// named finds the form that the address names.
func (v *Visitors) named(c *fiber.Ctx) (*lead.Form, error) {
	form := v.playbook.Current().Forms[c.Params("slug")]
	if form == nil || form.Paused {
		return nil, fault.New(fault.NotFound, "There is no form at this address, or it is not taking answers now.")
	}
	return form, nil
}

// submission finds the submission that a receipt in the Authorization header opens; it must be the one in the address.
func (v *Visitors) submission(c *fiber.Ctx) (uuid.UUID, error) {
	token, ok := bearer(c, "Receipt ")
	if !ok {
		c.Set(fiber.HeaderWWWAuthenticate, "Receipt")
		return uuid.Nil, fault.New(fault.Unauthenticated, "Send the receipt: Authorization: Receipt TOKEN.")
	}
	id, ok := v.intake.OpenReceipt(token)
	if !ok || id.String() != c.Params("id") {
		return uuid.Nil, fault.New(fault.NotFound, "This receipt does not open this address.")
	}
	return id, nil
}

func thanksPath(slug, receipt string) string { return "/f/" + slug + "/thanks/" + receipt }

// stamp is a moment as the contract writes it: UTC, milliseconds.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
