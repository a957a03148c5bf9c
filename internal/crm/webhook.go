package crm

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"leadline/internal/lead"
	"leadline/internal/outbound"
	"leadline/internal/outbox"
	"leadline/internal/privacy"
)

// webhookAnswerLimit is how much of an answer is read.
const webhookAnswerLimit = 64 << 10

// webhook is the generic CRM: JSON by POST, signed as Standard Webhooks has it.
type webhook struct {
	http *outbound.Client
	url  string
	key  []byte
	now  func() time.Time
}

func newWebhook(c outbox.Connection, client *outbound.Client, now func() time.Time) (*webhook, error) {
	address, err := url.Parse(c.BaseURL)
	if err != nil || outbound.CheckURL(address) != nil {
		return nil, errors.New("base_url is not a usable address")
	}
	key, err := webhookKey(c.Secret)
	if err != nil {
		return nil, err
	}
	return &webhook{http: client, url: c.BaseURL, key: key, now: now}, nil
}

// webhookKey is the part after whsec_, decoded; a secret without that prefix is used as it is. Empty: the call is not signed.
func webhookKey(secret privacy.Secret) ([]byte, error) {
	encoded, ok := strings.CutPrefix(secret.Plain(), "whsec_")
	if !ok {
		return []byte(encoded), nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		key, err = base64.RawStdEncoding.DecodeString(encoded)
	}
	if err != nil || len(key) == 0 {
		return nil, errors.New("the secret is not base64 after whsec_")
	}
	return key, nil
}

type webhookBody struct {
	Event         string       `json:"event"`
	ExternalID    string       `json:"external_id"`
	Reference     string       `json:"reference"`
	CorrelationID string       `json:"correlation_id"`
	Lead          webhookLead  `json:"lead"`
	Owner         *Owner       `json:"owner"`
	Stage         lead.Stage   `json:"stage"`
	Consent       lead.Consent `json:"consent"`
	Context       lead.Context `json:"context"`
}

type webhookLead struct {
	Name        string            `json:"name"`
	Email       string            `json:"email"`
	Phone       string            `json:"phone"`
	Company     string            `json:"company"`
	Country     string            `json:"country"`
	Region      string            `json:"region"`
	PostalCode  string            `json:"postal_code"`
	Product     string            `json:"product"`
	Intent      string            `json:"intent"`
	Notes       string            `json:"notes"`
	Form        string            `json:"form"`
	Fields      map[string]string `json:"fields"`
	Timezone    string            `json:"timezone,omitempty"`
	Language    string            `json:"language,omitempty"`
	Source      string            `json:"source,omitempty"`
	Disposition string            `json:"disposition,omitempty"`
	AcceptedAt  time.Time         `json:"accepted_at"`
	Demo        bool              `json:"demo,omitempty"`
}

func bodyOf(w Write) webhookBody {
	fields := lead.PlainFields(w.Contact.Fields)
	if fields == nil {
		fields = map[string]string{}
	}
	body := webhookBody{
		Event: "lead.created", ExternalID: w.Lead.ID.String(), Reference: lead.Reference(w.Lead.ID), CorrelationID: w.Lead.CorrelationID,
		Lead: webhookLead{
			Name: w.Contact.Name.Plain(), Email: w.Contact.Email.Plain(), Phone: w.Contact.Phone.Plain(), Company: w.Contact.Company.Plain(), Country: w.Lead.Country,
			Region: w.Lead.Region, PostalCode: w.Lead.PostalCode, Product: w.Lead.Product, Intent: w.Lead.Intent, Notes: w.Contact.Notes.Plain(),
			Form: w.Lead.Form, Fields: fields, Timezone: w.Lead.Timezone, Language: w.Lead.Language, Source: w.Lead.Source,
			Disposition: w.Lead.Disposition, AcceptedAt: w.Lead.AcceptedAt.UTC(), Demo: w.Lead.Demo,
		},
		Owner: w.Owner, Stage: w.Lead.Stage, Consent: w.Contact.Consent, Context: w.Contact.Context,
	}
	if w.Update {
		body.Event = "lead.updated"
	}
	return body
}

// Write implements Client.
func (h *webhook) Write(ctx context.Context, w Write) (Record, error) {
	body, err := json.Marshal(bodyOf(w))
	if err != nil {
		return Record{}, &Error{Class: Refuse, Reason: "the lead cannot be written as JSON", Err: err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return Record{}, &Error{Class: Pause, Reason: "base_url is not a usable address", Err: err}
	}
	h.sign(req, w, body)
	resp, err := h.http.Do(req)
	if err != nil {
		return Record{}, transportError(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, webhookAnswerLimit))
	if resp.StatusCode/100 == 2 {
		// The status is the answer. A body that is cut or no JSON costs the link on the card, nothing else.
		return recordOf(answer), nil
	}
	if err != nil {
		answer = nil
	}
	return Record{}, statusError(resp, answer, w, h.now())
}

func (h *webhook) sign(req *http.Request, w Write, body []byte) {
	timestamp := strconv.FormatInt(h.now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Leadline")
	req.Header.Set("X-Correlation-ID", w.Lead.CorrelationID)
	req.Header.Set("Webhook-Id", w.ID)
	req.Header.Set("Webhook-Timestamp", timestamp)
	if len(h.key) == 0 {
		return
	}
	mac := hmac.New(sha256.New, h.key)
	mac.Write([]byte(w.ID + "." + timestamp + "."))
	mac.Write(body)
	req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// recordName is what a record may be called: an identifier, not a sentence and not an e-mail address.
var recordName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:=/+-]{0,127}$`)

func recordOf(answer []byte) Record {
	var said struct {
		ID  json.RawMessage `json:"id"`
		URL string          `json:"url"`
	}
	if json.Unmarshal(answer, &said) != nil {
		return Record{}
	}
	var record Record
	var number json.Number
	if json.Unmarshal(said.ID, &record.ID) != nil && json.Unmarshal(said.ID, &number) == nil {
		record.ID = number.String()
	}
	if !recordName.MatchString(record.ID) {
		record.ID = "" // words, or an address of somebody: it would be kept and shown
	}
	if link, err := url.Parse(said.URL); err == nil && link.Host != "" && (link.Scheme == "http" || link.Scheme == "https") {
		record.URL = link.String()
	}
	return record
}

// transportError classes a call without an answer. Only what failed before anything was sent is known not to be written; for
// a webhook that makes no difference, because its receiver knows the repeat by its id.
func transportError(err error) *Error {
	switch {
	case errors.Is(err, outbound.ErrURL):
		return &Error{Class: Pause, Reason: "base_url is not a usable address"}
	case errors.Is(err, outbound.ErrForbidden):
		return &Error{Class: Pause, Reason: "base_url leads to a private address that is not in LEADLINE_OUTBOUND_ALLOW"}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Class: Unknown, Reason: "no answer within the time limit"}
	case errors.Is(err, context.Canceled):
		return &Error{Class: Unknown, Reason: "stopped while waiting for the answer"}
	}
	return &Error{Class: Unknown, Reason: "no answer: " + transportReason(err)}
}

func statusError(resp *http.Response, answer []byte, w Write, now time.Time) *Error {
	said := fmt.Sprintf("HTTP %d", resp.StatusCode)
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests:
		return &Error{Class: Throttle, Reason: said, After: retryAfter(resp.Header.Get("Retry-After"), now)}
	case code == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
		return &Error{Class: Throttle, Reason: said, After: retryAfter(resp.Header.Get("Retry-After"), now)}
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code >= 500:
		return &Error{Class: Unknown, Reason: said, After: retryAfter(resp.Header.Get("Retry-After"), now)}
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusGone:
		return &Error{Class: Pause, Reason: said + ": check the connection's credentials and address"}
	case code/100 == 3:
		return &Error{Class: Pause, Reason: said + ": redirects are not followed, configure the final address"}
	}
	return &Error{Class: Refuse, Reason: said + codes(answer, w)}
}

// retryAfterMost bounds what a vendor may ask for.
const retryAfterMost = time.Hour

// retryAfter reads seconds or a date; what is in the past or makes no sense is no wish.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if n, err := strconv.ParseInt(header, 10, 32); err == nil {
		return min(max(0, time.Duration(n)*time.Second), retryAfterMost)
	}
	if at, err := http.ParseTime(header); err == nil {
		return min(max(0, at.Sub(now)), retryAfterMost)
	}
	return 0
}
