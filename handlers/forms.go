package handlers

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/views"
)

// formConfig is what the public may know of a form.
type formConfig struct {
	Slug      string        `json:"slug"`
	Name      string        `json:"name"`
	SubmitURL string        `json:"submit_url"`
	Fields    []fieldConfig `json:"fields"`
	Consent   struct {
		TextVersion string `json:"text_version"`
	} `json:"consent"`
}

// formToken says when a page was made.
type formToken struct {
	Token string `json:"form_token"`
}

type fieldConfig struct {
	Name     string   `json:"name"`
	Label    string   `json:"label"`
	Type     string   `json:"type"`
	Options  []string `json:"options,omitempty"`
	Required bool     `json:"required"`
}

// Config is GET /v1/forms/{slug}: the public form configuration, with an ETag. With ?token=1 it answers only the token of a page that was
// just made, which nobody may keep.
func (v *Visitors) Config(c *fiber.Ctx) error {
	form, err := v.form(c)
	if err != nil {
		return err
	}
	if c.Query("token") != "" {
		c.Set(fiber.HeaderCacheControl, "no-store")
		return c.JSON(formToken{Token: v.spam.Token(form.Slug)})
	}
	config := formConfig{Slug: form.Slug, Name: form.Name, SubmitURL: v.publicURL + submitPath(form), Fields: []fieldConfig{}}
	config.Consent.TextVersion = form.ConsentTextVersion
	for _, f := range form.Fields {
		config.Fields = append(config.Fields, fieldConfig{Name: inputName(f.Name), Label: f.Title(), Type: f.Type, Options: f.Options, Required: f.Required})
	}
	body, err := json.Marshal(config)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	c.Set(fiber.HeaderETag, etag)
	c.Set(fiber.HeaderCacheControl, "public, max-age=60")
	if c.Get(fiber.HeaderIfNoneMatch) == etag {
		return c.SendStatus(fiber.StatusNotModified)
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Send(body)
}

// Page is GET /f/{slug}: the hosted form. It works as a plain form; the script only adds speed and kindness.
func (v *Visitors) Page(c *fiber.Ctx) error {
	form, err := v.form(c)
	if err != nil {
		return err
	}
	raw := lead.Raw{Country: preferredCountry(c.Get(fiber.HeaderAcceptLanguage))}
	raw.Context.PageURL, raw.Context.Referrer = v.publicURL+c.Path(), c.Get(fiber.HeaderReferer)
	for name, place := range map[string]*string{
		"utm_source": &raw.Context.UTMSource, "utm_medium": &raw.Context.UTMMedium, "utm_campaign": &raw.Context.UTMCampaign,
		"utm_term": &raw.Context.UTMTerm, "utm_content": &raw.Context.UTMContent,
	} {
		*place = c.Query(name)
	}
	return v.showForm(c, form, shownForm{raw: raw})
}

// shownForm is a form with what was filled in so far, and what is wrong with it.
type shownForm struct {
	raw   lead.Raw
	fault *fault.Error
}

// showForm renders the form. Each rendering carries a key of its own, so that pressing twice without scripts makes one lead; a
// form shown again after a mistake keeps its key.
func (v *Visitors) showForm(c *fiber.Ctx, form *lead.Form, shown shownForm) error {
	key, token := shown.raw.ClientKey, shown.raw.Trap.Token
	if key == "" {
		key = uuid.NewString()
	}
	if token == "" {
		token = v.spam.Token(form.Slug)
	}
	page := views.Form{
		Slug: form.Slug, Name: form.Name, Action: submitPath(form), Key: key, Token: token, Aside: hiddenInputs, ConsentVersion: form.ConsentTextVersion,
		ConsentPhone: shown.raw.Consent.Phone, Hidden: contextInputs(shown.raw.Context), Fields: formFields(form, shown),
		Demo: v.playbook.Current().Demo,
	}
	if shown.fault != nil {
		page.Message = shown.fault.Message
		page.Problems = problemsOf(page.Fields, shown.fault.Fields)
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	v.allowFrames(c, form)
	return renderSmall(c, views.FormPage(page))
}

// allowFrames lets the sites that may post to a form also show it in a frame.
func (v *Visitors) allowFrames(c *fiber.Ctx, form *lead.Form) {
	if len(form.AllowedOrigins) == 0 {
		return
	}
	policy := string(c.Response().Header.Peek(fiber.HeaderContentSecurityPolicy))
	c.Set(fiber.HeaderContentSecurityPolicy,
		strings.Replace(policy, "frame-ancestors 'none'", "frame-ancestors 'self' "+strings.Join(form.AllowedOrigins, " "), 1))
}

func submitPath(form *lead.Form) string { return "/v1/forms/" + form.Slug + "/leads" }

// contextInputs are the hidden fields that remember where the visitor came from.
func contextInputs(ctx lead.Context) []views.Hidden {
	var out []views.Hidden
	for _, h := range []views.Hidden{
		{Name: "context.page_url", Value: ctx.PageURL},
		{Name: "context.referrer", Value: ctx.Referrer},
		{Name: "context.utm_source", Value: ctx.UTMSource},
		{Name: "context.utm_medium", Value: ctx.UTMMedium},
		{Name: "context.utm_campaign", Value: ctx.UTMCampaign},
		{Name: "context.utm_term", Value: ctx.UTMTerm},
		{Name: "context.utm_content", Value: ctx.UTMContent},
	} {
		if h.Value != "" {
			out = append(out, h)
		}
	}
	return out
}

// problemsOf orders what is wrong as the fields stand on the page. What belongs to no field on it comes last.
func problemsOf(fields []views.Field, wrong []fault.Field) []views.FieldProblem {
	var out []views.FieldProblem
	placed := map[string]bool{}
	for _, f := range fields {
		if f.Error != "" {
			out = append(out, views.FieldProblem{ID: f.ID, Message: f.Error})
			placed[f.Name] = true
		}
	}
	for _, w := range wrong {
		if !placed[w.Field] {
			out = append(out, views.FieldProblem{Message: w.Message})
		}
	}
	return out
}
