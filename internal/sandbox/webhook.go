package sandbox

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxRecords bounds what a vendor holds; above it the oldest go.
const maxRecords = 200_000

// signatureTolerance is how far a webhook-timestamp may be from now, either way.
const signatureTolerance = 5 * time.Minute

// Record is one record of the generic CRM.
type Record struct {
	ID         string          `json:"id"`
	ExternalID string          `json:"external_id"`
	Body       json.RawMessage `json:"body"`        // as last written
	Writes     int             `json:"writes"`      // how often it was written; repeats of one write count once
	Repeats    int             `json:"repeats"`     // writes that came again under an id seen before
	WebhookIDs []string        `json:"webhook_ids"` // of the writes, oldest first
	CreatedAt  time.Time       `json:"created_at"`
	UpdatedAt  time.Time       `json:"updated_at"`
}

// webhook is the generic CRM: an upsert by external_id for each signed POST, once per webhook-id.
type webhook struct {
	now    func() time.Time
	key    []byte
	keyErr string // why the configured secret is no secret
	signed bool
	saved  func(savedLine)

	mu         sync.Mutex
	byExternal map[string]*Record
	byID       map[string]*Record
	byWrite    map[string]*Record // webhook-id to the record it wrote
	order      []*Record          // oldest first
}

func newWebhook(now func() time.Time, secret string) *webhook {
	h := &webhook{now: now, signed: secret != ""}
	h.empty()
	if h.signed {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil || len(key) == 0 {
			h.keyErr = "The sandbox's own webhook secret is not whsec_ followed by base64."
		}
		h.key = key
	}
	return h
}

func (h *webhook) empty() {
	h.byExternal, h.byID, h.byWrite, h.order = map[string]*Record{}, map[string]*Record{}, map[string]*Record{}, nil
}

func webhookError(code, message string) any {
	return map[string]any{"error": map[string]string{"code": code, "message": message}}
}

func refuse(status int, code, message string) answer {
	return answer{status: status, body: webhookError(code, message)}
}

// receive is POST /webhook.
func (h *webhook) receive(r *http.Request, body []byte) answer {
	if r.Method != http.MethodPost {
		a := refuse(http.StatusMethodNotAllowed, "method_not_allowed", "Use POST.")
		a.header = map[string]string{"Allow": http.MethodPost}
		return a
	}
	id := r.Header.Get("Webhook-Id")
	if bad := h.verify(r, id, body); bad != nil {
		return *bad
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return refuse(http.StatusBadRequest, "not_json", "The body must be a JSON object.")
	}
	var external string
	if err := json.Unmarshal(fields["external_id"], &external); err != nil || external == "" {
		return refuse(http.StatusUnprocessableEntity, "external_id_missing", "external_id must be a text that is not empty.")
	}
	rec, created, repeat := h.upsert(id, external, body)
	a := answer{status: http.StatusOK, repeat: repeat}
	if created {
		a.status = http.StatusCreated
	}
	a.body = map[string]string{"id": rec, "url": "http://" + r.Host + "/webhook/records/" + rec}
	return a
}

// verify checks the Standard Webhooks headers; nil means the call may be trusted.
func (h *webhook) verify(r *http.Request, id string, body []byte) *answer {
	stamp := r.Header.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	var bad answer
	switch {
	case id == "" || stamp == "":
		bad = refuse(http.StatusBadRequest, "headers_missing", "The headers webhook-id and webhook-timestamp are required.")
	case err != nil:
		bad = refuse(http.StatusBadRequest, "bad_timestamp", "webhook-timestamp must be Unix seconds.")
	case h.now().Sub(time.Unix(seconds, 0)).Abs() > signatureTolerance:
		bad = refuse(http.StatusUnauthorized, "stale_timestamp", "webhook-timestamp is more than five minutes away from now.")
	case !h.signed:
		return nil
	case h.keyErr != "":
		bad = refuse(http.StatusUnauthorized, "bad_secret", h.keyErr)
	case !h.signatureFits(r.Header.Get("Webhook-Signature"), id+"."+stamp+".", body):
		bad = refuse(http.StatusUnauthorized, "bad_signature", "webhook-signature does not fit the body and the secret.")
	default:
		return nil
	}
	return &bad
}

// signatureFits accepts any of several signatures, as senders give during a change of secrets.
func (h *webhook) signatureFits(header, prefix string, body []byte) bool {
	mac := hmac.New(sha256.New, h.key)
	mac.Write([]byte(prefix))
	mac.Write(body)
	want := mac.Sum(nil)
	for one := range strings.FieldsSeq(header) {
		got, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(one, "v1,"))
		if err == nil && strings.HasPrefix(one, "v1,") && hmac.Equal(got, want) {
			return true
		}
	}
	return false
}

// upsert writes a record unless this webhook-id wrote before; then it changes nothing but the count of repeats.
func (h *webhook) upsert(write, external string, body []byte) (id string, created, repeat bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if rec := h.byWrite[write]; rec != nil {
		rec.Repeats++
		return rec.ID, false, true
	}
	rec := h.byExternal[external]
	now := h.now()
	if rec == nil {
		created = true
		rec = &Record{ID: "wh_" + strings.ToLower(rand.Text()[:16]), ExternalID: external, CreatedAt: now}
	}
	rec.Body, rec.UpdatedAt = body, now
	rec.Writes++
	rec.WebhookIDs = append(rec.WebhookIDs, write)
	h.putLocked(rec, created)
	if h.saved != nil {
		h.saved(savedLine{Record: rec})
	}
	return rec.ID, created, false
}

func (h *webhook) putLocked(rec *Record, isNew bool) {
	h.byWrite[rec.WebhookIDs[len(rec.WebhookIDs)-1]] = rec
	if !isNew {
		return
	}
	h.byExternal[rec.ExternalID], h.byID[rec.ID] = rec, rec
	h.order = append(h.order, rec)
	if len(h.order) <= maxRecords {
		return
	}
	old := h.order[0]
	h.order[0] = nil
	h.order = h.order[1:]
	delete(h.byExternal, old.ExternalID)
	delete(h.byID, old.ID)
	for _, w := range old.WebhookIDs {
		delete(h.byWrite, w)
	}
}

// restore puts back a record that an earlier run stored; the newest state of a record comes last.
func (h *webhook) restore(rec *Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(rec.WebhookIDs) == 0 {
		return
	}
	old := h.byExternal[rec.ExternalID]
	if old != nil {
		*old = *rec
		rec = old
	}
	h.putLocked(rec, old == nil)
	for _, w := range rec.WebhookIDs {
		h.byWrite[w] = rec
	}
}

// list copies the records, oldest first.
func (h *webhook) list() []Record {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]Record, 0, len(h.order))
	for _, rec := range h.order {
		out = append(out, rec.copy())
	}
	return out
}

// newest copies the n records written last (by creation), newest first, and says how many there are.
func (h *webhook) newest(n int) ([]Record, int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []Record
	for i := len(h.order) - 1; i >= 0 && len(out) < n; i-- {
		out = append(out, h.order[i].copy())
	}
	return out, len(h.order)
}

func (h *webhook) byRecordID(id string) (Record, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	rec := h.byID[id]
	if rec == nil {
		return Record{}, false
	}
	return rec.copy(), true
}

func (h *webhook) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.empty()
	if h.saved != nil {
		h.saved(savedLine{Cleared: vendorWebhook})
	}
}

func (r *Record) copy() Record {
	c := *r
	c.WebhookIDs = append([]string(nil), r.WebhookIDs...)
	return c
}
