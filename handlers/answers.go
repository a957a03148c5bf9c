package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/privacy"
)

// maxUnknown is how many unknown names are kept for the drift count; more are evidence enough.
const maxUnknown = 65

// parseAnswers reads a submission from the body, whichever of the three formats it has. Every string in it is a copy: the
// server uses the request's memory again while the submission waits for its batch. Headers win over fields of the same meaning.
func parseAnswers(c *fiber.Ctx) (lead.Raw, error) {
	raw := lead.Raw{Fields: map[string]privacy.Text{}}
	kind, _, _ := strings.Cut(c.Get(fiber.HeaderContentType), ";")
	var err error
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case fiber.MIMEApplicationJSON:
		err = parseJSON(&raw, c.Body())
	case fiber.MIMEApplicationForm:
		parseURLEncoded(&raw, c)
	case fiber.MIMEMultipartForm:
		err = parseMultipart(&raw, c)
	default:
		err = fault.New(fault.Unsupported, "Send application/json, application/x-www-form-urlencoded or multipart/form-data.")
	}
	if err != nil {
		return raw, err
	}
	raw.BodyType, raw.Body = strings.Clone(c.Get(fiber.HeaderContentType)), privacy.Text(c.Body())
	if key := c.Get("Idempotency-Key"); key != "" {
		raw.ClientKey = key
	}
	if header := c.Get("X-Correlation-ID"); ValidCorrelation(header) || !ValidCorrelation(raw.CorrelationID) {
		raw.CorrelationID = CorrelationOf(c) // the header's, or the one made for this request
	}
	return raw, nil
}

// parseJSON takes one object. Text, numbers and switches are all fine as answers; objects only where the contract has them.
func parseJSON(raw *lead.Raw, body []byte) error {
	if !utf8.Valid(body) {
		return fault.New(fault.Malformed, "The body is not valid UTF-8.")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var object map[string]any
	if err := dec.Decode(&object); err != nil || object == nil {
		return fault.New(fault.Malformed, "The body is not a JSON object.")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Malformed, "Something follows the JSON object.")
	}
	for name, value := range object {
		members, nested := value.(map[string]any)
		if !nested {
			set(raw, name, value)
			continue
		}
		for member, value := range members {
			set(raw, name+"."+member, value)
		}
	}
	return nil
}

// parseURLEncoded is lenient about bad escapes, as browsers and servers have always been.
func parseURLEncoded(raw *lead.Raw, c *fiber.Ctx) {
	c.Request().PostArgs().VisitAll(func(name, value []byte) {
		set(raw, repaired(string(name)), repaired(string(value)))
	})
}

func parseMultipart(raw *lead.Raw, c *fiber.Ctx) error {
	form, err := c.MultipartForm()
	if err != nil {
		return fault.New(fault.Malformed, "The multipart body could not be read.")
	}
	if hasFiles(form) {
		return fault.New(fault.Unsupported, "Files are not accepted.")
	}
	for name, values := range form.Value {
		for _, value := range values {
			set(raw, repaired(strings.Clone(name)), repaired(strings.Clone(value)))
		}
	}
	return nil
}

func hasFiles(form *multipart.Form) bool {
	for _, files := range form.File {
		for _, file := range files {
			if file.Filename != "" || file.Size > 0 {
				return true
			}
		}
	}
	return false
}

// repaired replaces bytes that are no text: a page in an old encoding must not cost a lead.
func repaired(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// set puts one answer where it belongs, by the contract's dotted names. Of several values under a name the last counts.
func set(raw *lead.Raw, name string, value any) {
	text, ok := scalar(value)
	if !ok {
		unknown(raw, name)
		return
	}
	group, member, dotted := strings.Cut(name, ".")
	switch {
	case !dotted:
		setStandard(raw, name, text)
	case group == "fields" && member != "":
		raw.Fields[member] = privacy.Text(text)
	case group == "consent":
		setConsent(raw, member, text)
	case group == "context":
		setContext(raw, member, text)
	default:
		unknown(raw, name)
	}
}

func setStandard(raw *lead.Raw, name, text string) {
	switch name {
	case "name":
		raw.Name = privacy.Text(text)
	case "email":
		raw.Email = privacy.Text(text)
	case "phone":
		raw.Phone = privacy.Text(text)
	case "company":
		raw.Company = privacy.Text(text)
	case "country":
		raw.Country = text
	case "region":
		raw.Region = text
	case "postal_code":
		raw.PostalCode = text
	case "product":
		raw.Product = text
	case "intent":
		raw.Intent = text
	case "notes":
		raw.Notes = privacy.Text(text)
	case "submission_id":
		raw.ClientKey = text
	case "correlation_id":
		raw.CorrelationID = text
	case tokenInput:
		raw.Trap.Token = text
	case solutionInput:
		raw.Trap.Solution = text
	case hiddenInputs[0], hiddenInputs[1]:
		raw.Trap.Honey += text
	default:
		unknown(raw, name)
	}
}

func setConsent(raw *lead.Raw, name, text string) {
	switch name {
	case "phone":
		raw.Consent.Phone = ticked(text)
	case "sms":
		raw.Consent.SMS = ticked(text)
	case "email":
		raw.Consent.Email = ticked(text)
	case "text_version":
		raw.Consent.TextVersion = text
	default:
		unknown(raw, "consent."+name)
	}
}

func setContext(raw *lead.Raw, name, text string) {
	ctx := &raw.Context
	switch name {
	case "page_url":
		ctx.PageURL = text
	case "referrer":
		ctx.Referrer = text
	case "utm_source":
		ctx.UTMSource = text
	case "utm_medium":
		ctx.UTMMedium = text
	case "utm_campaign":
		ctx.UTMCampaign = text
	case "utm_term":
		ctx.UTMTerm = text
	case "utm_content":
		ctx.UTMContent = text
	case "submitted_at":
		ctx.SubmittedAt = text
	case "timezone":
		ctx.Timezone = text
	case "locale":
		ctx.Locale = text
	case "device":
		ctx.Device = text
	case "network":
		ctx.Network = text
	default:
		unknown(raw, "context."+name)
	}
}

func unknown(raw *lead.Raw, name string) {
	if len(raw.Unknown) < maxUnknown {
		raw.Unknown = append(raw.Unknown, name)
	}
}

// ticked reads a box: only a clear yes is consent.
func ticked(text string) bool {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "on", "1", "yes":
		return true
	}
	return false
}

// scalar gives the text of anything that is not a list or an object. Null is an empty answer.
func scalar(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	case nil:
		return "", true
	default:
		return "", false
	}
}
