package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime/multipart"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"golang.org/x/text/encoding/charmap"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/privacy"
)

// parseAnswers reads a submission from the body, whichever of the three formats it has. Every string in it is a copy: the
// server uses the request's memory again while the submission waits for its batch. Headers win over fields of the same meaning.
func parseAnswers(c *fiber.Ctx) (lead.Raw, error) {
	raw := lead.Raw{Fields: map[string]privacy.Text{}}
	a := &answers{raw: &raw, bare: map[string]string{}}
	kind, _, _ := strings.Cut(c.Get(fiber.HeaderContentType), ";")
	var err error
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case fiber.MIMEApplicationJSON:
		err = a.parseJSON(c.Body())
	case fiber.MIMEApplicationForm:
		a.parseURLEncoded(c)
	case fiber.MIMEMultipartForm:
		err = a.parseMultipart(c)
	default:
		err = fault.New(fault.Unsupported, "Send application/json, application/x-www-form-urlencoded or multipart/form-data.")
	}
	if err != nil {
		return raw, err
	}
	a.settle()
	raw.BodyType, raw.Body = strings.Clone(c.Get(fiber.HeaderContentType)), privacy.Text(c.Body())
	if key := c.Get("Idempotency-Key"); key != "" {
		raw.ClientKey = key
	}
	if header := c.Get("X-Correlation-ID"); ValidCorrelation(header) || !ValidCorrelation(raw.CorrelationID) {
		raw.CorrelationID = CorrelationOf(c) // the header's, or the one made for this request
	}
	return raw, nil
}

// answers collects what a body says. The form is not known here: what is no standard field goes to where the form's own are, and
// lead sorts out which of those the form has.
type answers struct {
	raw  *lead.Raw
	bare map[string]string // sent by its bare name, without "fields.": counts where nothing came with it
}

// parseJSON takes one object. Text, numbers, switches and lists of those are all fine as answers; objects only where the contract has them.
func (a *answers) parseJSON(body []byte) error {
	body = bytes.TrimPrefix(body, []byte("\uFEFF"))
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
	for _, name := range slices.Sorted(maps.Keys(object)) { // in an order that is always the same, should two names mean one field
		members, nested := object[name].(map[string]any)
		if !nested {
			a.set(name, object[name])
			continue
		}
		for _, member := range slices.Sorted(maps.Keys(members)) {
			a.set(name+"."+member, members[member])
		}
	}
	return nil
}

// parseURLEncoded is lenient about bad escapes, as browsers and servers have always been.
func (a *answers) parseURLEncoded(c *fiber.Ctx) {
	c.Request().PostArgs().VisitAll(func(name, value []byte) {
		a.set(dotted(repaired(string(name))), repaired(string(value)))
	})
}

func (a *answers) parseMultipart(c *fiber.Ctx) error {
	form, err := c.MultipartForm()
	if err != nil {
		return fault.New(fault.Malformed, "The multipart body could not be read.")
	}
	if hasFiles(form) {
		return fault.New(fault.Unsupported, "Files are not accepted.")
	}
	for _, name := range slices.Sorted(maps.Keys(form.Value)) {
		for _, value := range form.Value[name] {
			a.set(dotted(repaired(strings.Clone(name))), repaired(strings.Clone(value)))
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

// repaired reads bytes that are no UTF-8: a page in an old encoding must not cost a lead. With nothing but ASCII beside them they are taken
// for the encoding of Western Europe, as browsers do; else they are replaced.
func repaired(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	for _, r := range s {
		if r != utf8.RuneError && r >= utf8.RuneSelf {
			return strings.ToValidUTF8(s, "\uFFFD")
		}
	}
	text, err := charmap.Windows1252.NewDecoder().String(s)
	if err != nil {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return text
}

// dotted gives a name the contract's dots where a form has brackets, as many tools write them: fields[size] and size[].
func dotted(name string) string {
	open := strings.IndexByte(name, '[')
	if open < 1 || !strings.HasSuffix(name, "]") {
		return name
	}
	levels := strings.Split(name[open+1:len(name)-1], "][")
	name = name[:open]
	for i, level := range levels {
		if level != "" || i < len(levels)-1 {
			name += "." + level
		}
	}
	return name
}

// set puts one answer where it belongs, by the contract's dotted names. Members of a list are answers of their own.
func (a *answers) set(name string, value any) {
	if list, ok := value.([]any); ok && scalars(list) {
		for _, member := range list {
			a.set(name, member)
		}
		return
	}
	text, ok := scalar(value)
	if !ok {
		a.unknown(name, value)
		return
	}
	group, member, dotted := strings.Cut(name, ".")
	switch {
	case !dotted:
		a.setStandard(name, text)
	case group == "fields" && member != "":
		a.raw.Fields[member] = privacy.Text(joined(a.raw.Fields[member].Plain(), text))
	case group == "consent":
		a.setConsent(member, text)
	case group == "context":
		a.setContext(member, text)
	default:
		a.unknown(name, text)
	}
}

// joined adds a further answer to what came under the same name before. Empty ones and repeats add nothing.
func joined(before, text string) string {
	switch {
	case before == "" || text == "":
		return before + text
	case before == text, strings.HasSuffix(before, ", "+text):
		return before
	}
	return before + ", " + text
}

// settle sorts out what came by its bare name or under "fields." though it is a standard field.
func (a *answers) settle() {
	for _, name := range slices.Sorted(maps.Keys(a.bare)) {
		switch sent := a.raw.Fields[name].Plain(); sent {
		case "", a.bare[name]:
			a.raw.Fields[name] = privacy.Text(a.bare[name])
		default:
			a.unknown(name, a.bare[name])
		}
	}
	for _, name := range standardInputs {
		if place := a.standard(name); *place == "" && a.raw.Fields[name] != "" {
			*place = a.raw.Fields[name].Plain()
			delete(a.raw.Fields, name)
		}
	}
}

// setStandard sets a field of the first level. Of several texts none is lost; of several values of what can have but one the last counts
// that is not empty.
func (a *answers) setStandard(name, text string) {
	place := a.standard(name)
	switch name {
	case "name", "company", "product", "intent", "notes":
		*place = joined(*place, text)
	case "submission_id":
		a.raw.ClientKey = text
	case "correlation_id":
		a.raw.CorrelationID = text
	case tokenInput:
		a.raw.Trap.Token = text
	case solutionInput:
		a.raw.Trap.Solution = text
	case hiddenInputs[0], hiddenInputs[1]:
		a.raw.Trap.Honey += text
	default:
		switch {
		case place == nil:
			a.bare[name] = joined(a.bare[name], text)
		case text != "":
			*place = text
		}
	}
}

// standard gives the place of a standard field; nil for any other name.
func (a *answers) standard(name string) *string {
	raw := a.raw
	switch name {
	case "name":
		return (*string)(&raw.Name)
	case "email":
		return (*string)(&raw.Email)
	case "phone":
		return (*string)(&raw.Phone)
	case "company":
		return (*string)(&raw.Company)
	case "notes":
		return (*string)(&raw.Notes)
	case "country":
		return &raw.Country
	case "region":
		return &raw.Region
	case "postal_code":
		return &raw.PostalCode
	case "product":
		return &raw.Product
	case "intent":
		return &raw.Intent
	}
	return nil
}

func (a *answers) setConsent(name, text string) {
	raw := a.raw
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
		a.unknown("consent."+name, text)
	}
}

func (a *answers) setContext(name, text string) {
	ctx := &a.raw.Context
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
		a.unknown("context."+name, text)
	}
}

// unknown keeps a sample of what came where no form has a field, and counts what is too much to keep.
func (a *answers) unknown(name string, value any) {
	a.raw.UnknownCount++
	if len(a.raw.Unknown) >= lead.MaxUnknown {
		return
	}
	text, ok := value.(string)
	if !ok {
		document, err := json.Marshal(value)
		if err != nil {
			document = nil // cannot happen: it was read from JSON
		}
		text = string(document)
	}
	a.raw.Unknown = append(a.raw.Unknown, lead.NewUnknownField(name, text))
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

// scalars tells a list of answers from one of lists and objects.
func scalars(list []any) bool {
	for _, member := range list {
		if _, ok := scalar(member); !ok {
			return false
		}
	}
	return true
}
