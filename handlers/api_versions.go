package handlers

import (
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/fault"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
)

// Versions lets programs look after versions of the configuration and drafts of the next one. What a text is worth is judged when it comes;
// the author and the approver of a draft are tokens, told apart by their names.
type Versions struct {
	db *postgres.DB
}

// NewVersions makes the handlers.
func NewVersions(d Deps) *Versions { return &Versions{db: d.DB} }

// versionsListed is how many versions one answer holds.
const versionsListed = 200

// List is GET /v1/routing/versions: the published versions, the live one first.
func (v *Versions) List(c *fiber.Ctx) error {
	all, err := playbook.Versions(c.UserContext(), v.db, versionsListed)
	if err != nil {
		return err
	}
	return c.JSON(fiber.Map{"versions": all})
}

// Text is GET /v1/routing/versions/{n}: a version as it was written.
func (v *Versions) Text(c *fiber.Ctx) error {
	number, err := versionParam(c)
	if err != nil {
		return err
	}
	text, err := playbook.Text(c.UserContext(), v.db, number)
	if err != nil {
		return err
	}
	return c.JSON(fiber.Map{"version": number, "text": text})
}

// Rollback is POST /v1/routing/versions/{n}/rollback {note, live}: the content of an earlier version, published again. live is the version
// that the program takes to be live.
func (v *Versions) Rollback(c *fiber.Ctx) error {
	var body struct {
		Note string `json:"note"`
		Live int64  `json:"live"`
	}
	number, err := versionParam(c)
	if err == nil {
		err = decode(c, &body)
	}
	if err != nil {
		return err
	}
	published, err := playbook.Rollback(c.UserContext(), v.db, number, body.Live, tokenName(c), body.Note)
	if err != nil {
		return err
	}
	return c.JSON(fiber.Map{"version": published})
}

// Drafts is GET /v1/routing/drafts: those that are open, have a time, or could not be published.
func (v *Versions) Drafts(c *fiber.Ctx) error {
	drafts, err := playbook.Drafts(c.UserContext(), v.db)
	if err != nil {
		return err
	}
	return c.JSON(fiber.Map{"drafts": drafts})
}

// draftBody is a draft as programs send it. Revision is the one that they have seen; 0: whichever it is. Acknowledge lists the
// warnings that are meant, as CODE or CODE:PATH.
type draftBody struct {
	Text        string   `json:"text"`
	Note        string   `json:"note"`
	Revision    int      `json:"revision"`
	Acknowledge []string `json:"acknowledge"`
}

// config reads the text. Errors are Invalid faults.
func (b *draftBody) config() (*playbook.Config, error) {
	cfg, problems := playbook.Parse("draft", []byte(b.Text))
	if cfg == nil {
		return nil, playbook.Refusal(problems)
	}
	return cfg, nil
}

// shownDraft is a draft with its text and what the checks say of it.
type shownDraft struct {
	playbook.Draft
	Text     string             `json:"text"`
	Warnings []playbook.Finding `json:"warnings"`
}

func (v *Versions) show(c *fiber.Ctx, status int, id uuid.UUID) error {
	d, text, err := playbook.OneDraft(c.UserContext(), v.db, id)
	if err != nil {
		return err
	}
	shown := shownDraft{Draft: d, Text: text, Warnings: []playbook.Finding{}}
	if cfg, _ := playbook.Parse("draft", []byte(text)); cfg != nil {
		shown.Warnings = playbook.Findings(playbook.Check(cfg))
	}
	return c.Status(status).JSON(shown)
}

// draftAnd reads which draft a request is about, and its body.
func draftAnd(c *fiber.Ctx, body any) (uuid.UUID, error) {
	id, err := draftID(c)
	if err != nil {
		return id, err
	}
	return id, decode(c, body)
}

// Add is POST /v1/routing/drafts {text, note}.
func (v *Versions) Add(c *fiber.Ctx) error {
	var body draftBody
	if err := decode(c, &body); err != nil {
		return err
	}
	cfg, err := body.config()
	if err != nil {
		return err
	}
	d, err := playbook.AddDraft(c.UserContext(), v.db, cfg, tokenName(c), body.Note, body.Acknowledge...)
	if err != nil {
		return err
	}
	return v.show(c, fiber.StatusCreated, d.ID)
}

// Draft is GET /v1/routing/drafts/{id}: its text, and what the checks say of it.
func (v *Versions) Draft(c *fiber.Ctx) error {
	id, err := draftID(c)
	if err != nil {
		return err
	}
	return v.show(c, fiber.StatusOK, id)
}

// Revise is PUT /v1/routing/drafts/{id} {text, note, revision}: another text. Approvals of the former one count no more.
func (v *Versions) Revise(c *fiber.Ctx) error {
	var body draftBody
	id, err := draftAnd(c, &body)
	if err != nil {
		return err
	}
	if body.Revision == 0 {
		return seenRevision()
	}
	cfg, err := body.config()
	if err != nil {
		return err
	}
	if _, err := playbook.ReviseDraft(c.UserContext(), v.db, id, body.Revision, cfg, tokenName(c), body.Note, body.Acknowledge...); err != nil {
		return err
	}
	return v.show(c, fiber.StatusOK, id)
}

// Approve is POST /v1/routing/drafts/{id}/approve {revision}: by another token than the one that wrote it.
func (v *Versions) Approve(c *fiber.Ctx) error {
	var body struct {
		Revision int `json:"revision"`
	}
	id, err := draftAnd(c, &body)
	if err != nil {
		return err
	}
	if body.Revision == 0 {
		return seenRevision()
	}
	if _, err := playbook.ApproveDraft(c.UserContext(), v.db, id, body.Revision, tokenName(c)); err != nil {
		return err
	}
	return v.show(c, fiber.StatusOK, id)
}

// Publish is POST /v1/routing/drafts/{id}/publish {revision, at}: makes it live, now or at a time.
func (v *Versions) Publish(c *fiber.Ctx) error {
	var body struct {
		Revision int        `json:"revision"`
		At       *time.Time `json:"at"`
	}
	id, err := draftAnd(c, &body)
	if err != nil {
		return err
	}
	if body.Revision == 0 {
		return seenRevision()
	}
	if body.At != nil {
		_, err = playbook.ScheduleDraft(c.UserContext(), v.db, id, body.Revision, *body.At)
	} else {
		_, err = playbook.PublishDraft(c.UserContext(), v.db, id, body.Revision)
	}
	if err != nil {
		return err
	}
	return v.show(c, fiber.StatusOK, id)
}

// Discard is POST /v1/routing/drafts/{id}/discard {revision}.
func (v *Versions) Discard(c *fiber.Ctx) error {
	var body struct {
		Revision int `json:"revision"`
	}
	id, err := draftAnd(c, &body)
	if err != nil {
		return err
	}
	if _, err := playbook.DiscardDraft(c.UserContext(), v.db, id, body.Revision); err != nil {
		return err
	}
	return v.show(c, fiber.StatusOK, id)
}

func seenRevision() error {
	return &fault.Error{
		Kind: fault.Invalid, Message: "Say which revision of the draft you have seen.",
		Fields: []fault.Field{{Field: "revision", Code: "required", Message: "Give the revision of the draft as it was read."}},
	}
}

func tokenName(c *fiber.Ctx) string { return "token " + TokenOf(c).Name }

func draftID(c *fiber.Ctx) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Params("id"))
	if err != nil {
		return uuid.Nil, fault.New(fault.NotFound, "There is no such draft.")
	}
	return id, nil
}

func versionParam(c *fiber.Ctx) (int64, error) {
	number, err := strconv.ParseInt(c.Params("id"), 10, 64)
	if err != nil || number < 1 {
		return 0, fault.New(fault.NotFound, "There is no such version.")
	}
	return number, nil
}
