package sandbox_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"leadline/internal/sandbox"
)

const (
	secret = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
	token  = "xoxb-test"
)

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 23, 16, 2, 7, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// box is a running sandbox.
type box struct {
	t     *testing.T
	clock *clock
	url   string
}

func newBox(t *testing.T) *box {
	t.Helper()
	c := newClock()
	server := sandbox.New(sandbox.Options{
		Now: c.now, WebhookSecret: secret, SlackToken: token,
		SlackChannels: []string{"dach"}, SlackUsers: []string{"mia@example.com"},
	})
	return serve(t, server, c)
}

func serve(t *testing.T, server *sandbox.Server, c *clock) *box {
	t.Helper()
	h := httptest.NewServer(server)
	t.Cleanup(func() {
		if err := server.Close(); err != nil { // first, so that no hanging call holds the listener open
			t.Error(err)
		}
		h.Close()
	})
	return &box{t: t, clock: c, url: h.URL}
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

func (b *box) do(req *http.Request) (reply, error) {
	b.t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return reply{}, err
	}
	r := reply{status: res.StatusCode, header: res.Header, body: string(text)}
	_ = json.Unmarshal(text, &r.json) // pages and lists are looked at as text
	return r, nil
}

func (b *box) call(method, path, body string) reply {
	b.t.Helper()
	r, err := b.do(b.request(method, path, body))
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *box) request(method, path, body string) *http.Request {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	return req
}

func (b *box) list(path string) []map[string]any {
	b.t.Helper()
	var out []map[string]any
	if err := json.Unmarshal([]byte(b.call(http.MethodGet, path, "").body), &out); err != nil {
		b.t.Fatal(err)
	}
	return out
}

// signed is a write to the generic CRM as the contract says it.
func (b *box) signed(id, body string) *http.Request {
	b.t.Helper()
	req := b.request(http.MethodPost, "/webhook", body)
	stamp := strconv.FormatInt(b.clock.now().Unix(), 10)
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", stamp)
	req.Header.Set("webhook-signature", sign(id, stamp, body))
	return req
}

func sign(id, stamp, body string) string {
	mac := hmac.New(sha256.New, []byte("secret-secret-secret"))
	mac.Write([]byte(id + "." + stamp + "." + body))
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func leadBody(external, stage string) string {
	return fmt.Sprintf(`{"event":"lead.created","external_id":%q,"stage":%q,"reference":"7F3K-92QD",`+
		`"lead":{"name":"Anna <b>Kovacs</b>","email":"anna@acme.example"},"owner":null}`, external, stage)
}

func (b *box) write(id, body string) reply {
	b.t.Helper()
	r, err := b.do(b.signed(id, body))
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func TestWebhook_RefusesWhatACRMWouldRefuse(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	good := leadBody("lead-1", "new")
	for name, c := range map[string]struct {
		change func(*http.Request)
		body   string
		status int
		code   string
	}{
		"no id":              {func(r *http.Request) { r.Header.Del("webhook-id") }, good, 400, "headers_missing"},
		"no timestamp":       {func(r *http.Request) { r.Header.Del("webhook-timestamp") }, good, 400, "headers_missing"},
		"timestamp in words": {func(r *http.Request) { r.Header.Set("webhook-timestamp", "noon") }, good, 400, "bad_timestamp"},
		"no signature":       {func(r *http.Request) { r.Header.Del("webhook-signature") }, good, 401, "bad_signature"},
		"other version":      {func(r *http.Request) { r.Header.Set("webhook-signature", "v2,"+r.Header.Get("webhook-signature")[3:]) }, good, 401, "bad_signature"},
		"other id signed":    {func(r *http.Request) { r.Header.Set("webhook-id", "other") }, good, 401, "bad_signature"},
		"stale": {func(r *http.Request) {
			stamp := strconv.FormatInt(b.clock.now().Add(-6*time.Minute).Unix(), 10)
			r.Header.Set("webhook-timestamp", stamp)
			r.Header.Set("webhook-signature", sign("w", stamp, good))
		}, good, 401, "stale_timestamp"},
		"not JSON":          {nil, "lead=1", 400, "not_json"},
		"an array":          {nil, "[]", 400, "not_json"},
		"no external id":    {nil, `{"lead":{}}`, 422, "external_id_missing"},
		"empty external id": {nil, `{"external_id":""}`, 422, "external_id_missing"},
		"GET":               {func(r *http.Request) { r.Method = http.MethodGet }, good, 405, "method_not_allowed"},
	} {
		req := b.signed("w", c.body)
		if c.change != nil {
			c.change(req)
		}
		got, err := b.do(req)
		if err != nil {
			t.Fatal(err)
		}
		problem, _ := got.json["error"].(map[string]any)
		if got.status != c.status || problem["code"] != c.code {
			t.Errorf("%s: answered %d %s, want %d %s", name, got.status, got.body, c.status, c.code)
		}
	}
	if n := len(b.list("/_control/records?vendor=webhook")); n != 0 {
		t.Errorf("refused calls left %d records", n)
	}
}

func TestWebhook_UpsertsByExternalIDOncePerWebhookID(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	first := b.write("w1", leadBody("lead-1", "new"))
	second := b.write("w2", leadBody("lead-1", "claimed"))
	repeat := b.write("w1", leadBody("lead-1", "new"))
	if first.status != 201 || second.status != 200 || repeat.status != 200 {
		t.Errorf("answers %d, %d, %d; want 201, 200, 200", first.status, second.status, repeat.status)
	}
	if first.body != second.body || first.body != repeat.body {
		t.Errorf("one lead became several records: %s %s %s", first.body, second.body, repeat.body)
	}
	records := b.list("/_control/records?vendor=webhook")
	if len(records) != 1 || records[0]["writes"] != 2.0 || records[0]["repeats"] != 1.0 {
		t.Fatalf("records %v; want one with 2 writes and 1 repeat", records)
	}
	if body, _ := records[0]["body"].(map[string]any); body["stage"] != "claimed" {
		t.Errorf("the repeat of an older write changed the record: %v", body)
	}
	calls := b.list("/_control/requests?vendor=webhook")
	if len(calls) != 3 || calls[0]["repeat"] != false || calls[2]["repeat"] != true || calls[2]["status"] != 200.0 {
		t.Errorf("calls %v; want three, the last marked as a repeat", calls)
	}
}

func TestWebhook_RotatedSecretsAndReadablePage(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	req := b.signed("w1", leadBody("lead-1", "new"))
	req.Header.Set("webhook-signature", "v1,b2xk "+req.Header.Get("webhook-signature"))
	got, err := b.do(req)
	if err != nil || got.status != 201 {
		t.Fatalf("several signatures: %v %v", got, err)
	}
	link, _ := got.json["url"].(string)
	page := b.call(http.MethodGet, strings.TrimPrefix(link, b.url), "")
	if page.status != 200 || !strings.Contains(page.body, "anna@acme.example") || strings.Contains(page.body, "<b>Kovacs") {
		t.Errorf("the record's page (%s) is unreadable or lets markup through: %d\n%s", link, page.status, page.body)
	}
	if page := b.call(http.MethodGet, "/", ""); !strings.Contains(page.body, "anna@acme.example") || !strings.Contains(page.body, "Everything works") {
		t.Errorf("the front page does not show the record:\n%s", page.body)
	}
}

func (b *box) slack(method, body string, change func(*http.Request)) reply {
	b.t.Helper()
	req := b.request(http.MethodPost, "/slack/api/"+method, body)
	req.Header.Set("Authorization", "Bearer "+token)
	if change != nil {
		change(req)
	}
	r, err := b.do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func message(blocks string) string {
	return `{"channel":"leads","text":"New lead","blocks":[` + blocks + `]}`
}

func TestSlack_AnswersItsOwnErrorsWith200(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("ä", n) }
	for name, c := range map[string]struct {
		method, body string
		change       func(*http.Request)
		want         string
	}{
		"no token":          {"auth.test", `{}`, func(r *http.Request) { r.Header.Del("Authorization") }, "not_authed"},
		"wrong token":       {"auth.test", `{}`, func(r *http.Request) { r.Header.Set("Authorization", "Bearer xoxb-other") }, "invalid_auth"},
		"unknown method":    {"chat.shout", `{}`, nil, "unknown_method"},
		"not JSON":          {"chat.postMessage", `{`, nil, "invalid_json"},
		"no content type":   {"chat.postMessage", `{}`, func(r *http.Request) { r.Header.Del("Content-Type") }, "invalid_post_type"},
		"unknown channel":   {"chat.postMessage", `{"channel":"sales","text":"x"}`, nil, "channel_not_found"},
		"no text":           {"chat.postMessage", `{"channel":"leads"}`, nil, "no_text"},
		"text too long":     {"chat.postMessage", `{"channel":"leads","text":"` + long(40_001) + `"}`, nil, "msg_too_long"},
		"51 blocks":         {"chat.postMessage", message(strings.TrimSuffix(strings.Repeat(`{"type":"divider"},`, 51), ",")), nil, "invalid_blocks"},
		"unknown block":     {"chat.postMessage", message(`{"type":"carousel"}`), nil, "invalid_blocks"},
		"header too long":   {"chat.postMessage", message(`{"type":"header","text":{"type":"plain_text","text":"` + long(151) + `"}}`), nil, "invalid_blocks"},
		"header in mrkdwn":  {"chat.postMessage", message(`{"type":"header","text":{"type":"mrkdwn","text":"x"}}`), nil, "invalid_blocks"},
		"section too long":  {"chat.postMessage", message(`{"type":"section","text":{"type":"mrkdwn","text":"` + long(3001) + `"}}`), nil, "invalid_blocks"},
		"empty section":     {"chat.postMessage", message(`{"type":"section"}`), nil, "invalid_blocks"},
		"11 fields":         {"chat.postMessage", message(`{"type":"section","fields":[` + strings.TrimSuffix(strings.Repeat(`{"type":"mrkdwn","text":"x"},`, 11), ",") + `]}`), nil, "invalid_blocks"},
		"field too long":    {"chat.postMessage", message(`{"type":"section","fields":[{"type":"mrkdwn","text":"` + long(2001) + `"}]}`), nil, "invalid_blocks"},
		"11 context parts":  {"chat.postMessage", message(`{"type":"context","elements":[` + strings.TrimSuffix(strings.Repeat(`{"type":"mrkdwn","text":"x"},`, 11), ",") + `]}`), nil, "invalid_blocks"},
		"26 buttons":        {"chat.postMessage", message(`{"type":"actions","elements":[` + strings.TrimSuffix(strings.Repeat(`{"type":"button","text":{"type":"plain_text","text":"x"}},`, 26), ",") + `]}`), nil, "invalid_blocks"},
		"button text long":  {"chat.postMessage", message(`{"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"` + long(76) + `"}}]}`), nil, "invalid_blocks"},
		"button value long": {"chat.postMessage", message(`{"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"x"},"value":"` + long(2001) + `"}]}`), nil, "invalid_blocks"},
		"block id twice":    {"chat.postMessage", message(`{"type":"divider","block_id":"a"},{"type":"divider","block_id":"a"}`), nil, "invalid_blocks"},
		"update by name":    {"chat.update", `{"channel":"leads","ts":"1.0","text":"x"}`, nil, "channel_not_found"},
		"update of nothing": {"chat.update", `{"channel":"C0123ABCD","ts":"1.000000","text":"x"}`, nil, "message_not_found"},
		"history by name":   {"conversations.history", `{"channel":"leads"}`, nil, "channel_not_found"},
		"lookup by JSON":    {"users.lookupByEmail", `{"email":"mia@example.com"}`, nil, "invalid_arguments"},
		"unknown user":      {"users.lookupByEmail?email=ben@example.com", ``, nil, "users_not_found"},
		"unknown member":    {"conversations.open", `{"users":"U1"}`, nil, "user_not_found"},
	} {
		b := newBox(t) // each has a pace of its own
		got := b.slack(c.method, c.body, c.change)
		if got.status != 200 || got.json["ok"] != false || got.json["error"] != c.want {
			t.Errorf("%s: answered %d %.200s, want ok:false %s", name, got.status, got.body, c.want)
		}
		if n := len(b.list("/_control/records?vendor=slack")); n != 0 {
			t.Errorf("%s: left %d messages", name, n)
		}
	}
}

func TestSlack_PostsUpdatesAndReadsBack(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	posted := b.slack("chat.postMessage", `{"channel":"#leads","text":"New lead","metadata":{"event_type":"lead","event_payload":{"lead_id":"l1"}},
		"blocks":[{"type":"header","text":{"type":"plain_text","text":"New lead &amp; hot"}},
		{"type":"actions","elements":[{"type":"button","action_id":"open","text":{"type":"plain_text","text":"Open"},"url":"http://127.0.0.1:8080/leads/l1"}]}]}`, nil)
	next := b.slack("chat.postMessage", `{"channel":"C0123ABCD","text":"Another"}`, nil)
	ts, _ := posted.json["ts"].(string)
	after, _ := next.json["ts"].(string)
	if posted.json["ok"] != true || posted.json["channel"] != "C0123ABCD" || ts >= after || len(ts) != len("1760176800.000100") {
		t.Fatalf("posted %s then %s", posted.body, next.body)
	}
	updated := b.slack("chat.update", fmt.Sprintf(`{"channel":"C0123ABCD","ts":%q,"text":"Mia has it"}`, ts), nil)
	if updated.json["ok"] != true || updated.json["text"] != "Mia has it" {
		t.Fatalf("update answered %s", updated.body)
	}
	history := b.slack("conversations.history", `{"channel":"C0123ABCD","include_all_metadata":true,"limit":1,"latest":"`+after+`"}`, nil)
	if !strings.Contains(history.body, `"lead_id":"l1"`) || !strings.Contains(history.body, "Mia has it") || strings.Contains(history.body, "Another") {
		t.Errorf("history: %s", history.body)
	}
	records := b.list("/_control/records?vendor=slack")
	if len(records) != 2 || records[0]["edits"] != 1.0 || records[0]["channel_name"] != "leads" {
		t.Errorf("messages: %v", records)
	}
	if page := b.call(http.MethodGet, "/", ""); !strings.Contains(page.body, "Mia has it") {
		t.Errorf("the page does not show the message:\n%s", page.body)
	}
}

func TestSlack_AnotherBotsMessageCannotBeUpdated(t *testing.T) {
	t.Parallel()
	c := newClock()
	b := serve(t, sandbox.New(sandbox.Options{Now: c.now}), c)
	posted := b.slack("chat.postMessage", `{"channel":"leads","text":"Mine"}`, nil)
	got := b.slack("chat.update", fmt.Sprintf(`{"channel":"C0123ABCD","ts":%q,"text":"Yours"}`, posted.json["ts"]), func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer xoxb-somebody-else")
	})
	if got.json["error"] != "cant_update_message" {
		t.Errorf("answered %s", got.body)
	}
}

func TestSlack_FormCallsAndDirectMessages(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	form := func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }
	found := b.slack("users.lookupByEmail", "email="+url.QueryEscape("Mia@example.com"), form)
	user, _ := found.json["user"].(map[string]any)
	opened := b.slack("conversations.open", fmt.Sprintf(`{"users":%q}`, user["id"]), nil)
	channel, _ := opened.json["channel"].(map[string]any)
	id, _ := channel["id"].(string)
	sent := b.slack("chat.postMessage", url.Values{"channel": {id}, "text": {"Hello"}, "blocks": {`[{"type":"divider"}]`}}.Encode(), form)
	if !strings.HasPrefix(id, "D") || sent.json["ok"] != true {
		t.Errorf("lookup %s, open %s, post %s", found.body, opened.body, sent.body)
	}
}

func TestSlack_LimitsEachChannelToAboutOneMessageASecond(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	post := func(channel string) reply {
		return b.slack("chat.postMessage", `{"channel":"`+channel+`","text":"x"}`, nil)
	}
	sent := 0
	for post("leads").status == 200 {
		sent++
	}
	limited := post("leads")
	if sent < 2 || sent > 10 || limited.status != 429 || limited.header.Get("Retry-After") != "1" || limited.json["error"] != "ratelimited" {
		t.Errorf("after %d messages: %d %s, Retry-After %q", sent, limited.status, limited.body, limited.header.Get("Retry-After"))
	}
	if other := post("dach"); other.status != 200 {
		t.Errorf("another channel is limited too: %s", other.body)
	}
	b.clock.forward(time.Second)
	if first, second := post("leads"), post("leads"); first.status != 200 || second.status != 429 {
		t.Errorf("a second later: %d, %d; want 200, 429", first.status, second.status)
	}
}

func (b *box) fault(body string) {
	b.t.Helper()
	if r := b.call(http.MethodPost, "/_control/faults", body); r.status != 201 {
		b.t.Fatalf("the fault was refused: %d %s", r.status, r.body)
	}
}

func TestFault_StatusIsAnsweredAndNothingIsStored(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.fault(`{"vendor":"webhook","status":503}`)
	b.fault(`{"vendor":"slack","status":429}`)
	if r := b.write("w1", leadBody("lead-1", "new")); r.status != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("webhook answered %d", r.status)
	}
	if r := b.slack("chat.postMessage", `{"channel":"leads","text":"x"}`, nil); r.status != 429 || r.json["error"] != "ratelimited" {
		t.Errorf("slack answered %d %s", r.status, r.body)
	}
	if n := len(b.list("/_control/faults")); n != 2 {
		t.Errorf("%d faults are on, want one per vendor", n)
	}
	b.fault(`{"vendor":"webhook","status":500}`)
	if r := b.write("w1", leadBody("lead-1", "new")); r.status != 500 {
		t.Errorf("the newer fault did not win: %d", r.status)
	}
	b.call(http.MethodDelete, "/_control/faults", "")
	if r := b.write("w1", leadBody("lead-1", "new")); r.status != 201 {
		t.Errorf("after the fault: %d, want 201 because the failed calls stored nothing", r.status)
	}
	if calls := b.list("/_control/requests?vendor=webhook"); len(calls) != 3 || calls[0]["status"] != 503.0 || calls[2]["repeat"] != false {
		t.Errorf("calls: %v", calls)
	}
}

func TestFault_DropStoresButGivesNoAnswer(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.fault(`{"vendor":"webhook","drop":true}`)
	if r, err := b.do(b.signed("w1", leadBody("lead-1", "new"))); err == nil {
		t.Fatalf("answered %d", r.status)
	}
	b.call(http.MethodDelete, "/_control/faults", "")
	if r := b.write("w1", leadBody("lead-1", "new")); r.status != 200 {
		t.Errorf("the retry was answered %d, want 200 for a write that was stored", r.status)
	}
	// Go's client may have sent the dropped call twice by itself, so only the outcome is exact.
	records := b.list("/_control/records?vendor=webhook")
	if len(records) != 1 || records[0]["writes"] != 1.0 {
		t.Errorf("records: %v; want one, written once", records)
	}
}

func TestFault_HangIsRecordedAndEndsWithTheFault(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*box){
		"deleted":  func(b *box) { b.call(http.MethodDelete, "/_control/faults", "") },
		"replaced": func(b *box) { b.fault(`{"vendor":"webhook","latency_ms":1}`) },
		"expired":  func(*box) {},
	} {
		b := newBox(t)
		span := `60`
		if name == "expired" {
			span = `"300ms"`
		}
		b.fault(`{"vendor":"webhook","hang":true,"for":` + span + `}`)
		done := make(chan error, 1)
		req := b.signed("w1", leadBody("lead-1", "new"))
		go func() {
			_, err := b.do(req)
			done <- err
		}()
		for len(b.list("/_control/requests")) == 0 {
			select {
			case err := <-done:
				t.Fatalf("%s: answered at once: %v", name, err)
			case <-time.After(5 * time.Millisecond):
			}
		}
		end(b)
		select {
		case err := <-done:
			if err == nil {
				t.Errorf("%s: a hanging call was answered", name)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: the call still hangs", name)
		}
		if n := len(b.list("/_control/records?vendor=webhook")); n != 0 {
			t.Errorf("%s: a hanging call stored %d records", name, n)
		}
		if r := b.write("w1", leadBody("lead-1", "new")); r.status != 201 {
			t.Errorf("%s: afterwards answered %d", name, r.status)
		}
	}
}

func TestFault_LatencyDelaysTheAnswerNotTheRecord(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.fault(`{"vendor":"webhook","latency_ms":60000}`)
	done := make(chan reply, 1)
	req := b.signed("w1", leadBody("lead-1", "new"))
	go func() {
		r, err := b.do(req)
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	for len(b.list("/_control/records?vendor=webhook")) == 0 {
		time.Sleep(time.Millisecond) // polls the condition
	}
	select {
	case <-done:
		t.Error("the answer was not delayed")
	default:
	}
	b.call(http.MethodDelete, "/_control/faults?vendor=webhook", "")
	if r := <-done; r.status != 201 {
		t.Errorf("answered %d", r.status)
	}
}

func TestControl_RefusesBadInputInJSON(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	for body, status := range map[string]int{
		`{`:                             400,
		`{"vendor":"webhook"}`:          422,
		`{"vendor":"acme","hang":true}`: 422,
		`{"vendor":"webhook","hang":true,"drop":true}`:     422,
		`{"vendor":"webhook","status":200}`:                422,
		`{"vendor":"webhook","error_rate":2}`:              422,
		`{"vendor":"webhook","latency_ms":-1}`:             422,
		`{"vendor":"webhook","hang":true,"for":"soon"}`:    400,
		`{"vendor":"webhook","hang":true,"duration":"1s"}`: 400,
		`{"vendor":"webhook","hang":true,"for":"-3s"}`:     422,
	} {
		if r := b.call(http.MethodPost, "/_control/faults", body); r.status != status || r.json["error"] == nil {
			t.Errorf("%s: answered %d %s, want %d", body, r.status, r.body, status)
		}
	}
	if r := b.call(http.MethodGet, "/_control/requests?vendor=acme", ""); r.status != 422 {
		t.Errorf("unknown vendor answered %d", r.status)
	}
	if r := b.call(http.MethodPost, "/hubspot/crm", "{}"); r.status != 404 || !strings.Contains(r.body, "/webhook") {
		t.Errorf("a vendor that is not here answered %d %s", r.status, r.body)
	}
}

func TestControl_DeletingRecordsForgetsCallsToo(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.write("w1", leadBody("lead-1", "new"))
	b.slack("chat.postMessage", `{"channel":"leads","text":"x"}`, nil)
	calls := b.list("/_control/requests")
	if headers, _ := calls[1]["headers"].(map[string]any); strings.Contains(fmt.Sprint(headers), token) {
		t.Errorf("a credential is readable: %v", headers)
	}
	b.call(http.MethodDelete, "/_control/records?vendor=webhook", "")
	if len(b.list("/_control/requests")) != 1 || len(b.list("/_control/records?vendor=webhook")) != 0 || len(b.list("/_control/records?vendor=slack")) != 1 {
		t.Error("one vendor's records were not forgotten alone")
	}
	b.call(http.MethodDelete, "/_control/records", "")
	if r := b.call(http.MethodGet, "/_control/records", ""); r.body != `{"slack":[],"smtp":[],"webhook":[]}` {
		t.Errorf("left over: %s", r.body)
	}
	if r := b.write("w1", leadBody("lead-1", "new")); r.status != 201 {
		t.Errorf("a write after the deletion answered %d", r.status)
	}
}

func TestServer_AnswersThisMachineOnly(t *testing.T) {
	t.Parallel()
	server := sandbox.New(sandbox.Options{Now: newClock().now})
	for name, c := range map[string]struct {
		remote, host, site string
		status             int
	}{
		"this machine":     {"127.0.0.1:5", "127.0.0.1:9090", "", 200},
		"by IPv6":          {"[::1]:5", "localhost:9090", "", 200},
		"another machine":  {"192.0.2.1:5", "127.0.0.1:9090", "", 403},
		"a rebound name":   {"127.0.0.1:5", "evil.example:9090", "", 403},
		"a page elsewhere": {"127.0.0.1:5", "127.0.0.1:9090", "cross-site", 403},
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/_control/faults", nil)
		req.RemoteAddr, req.Host = c.remote, c.host
		if c.site != "" {
			req.Header.Set("Sec-Fetch-Site", c.site)
		}
		w := httptest.NewRecorder()
		server.ServeHTTP(w, req)
		if got := w.Code; got != c.status && (c.status != 200 || got != 204) {
			t.Errorf("%s: answered %d, want %d", name, got, c.status)
		}
	}
	for addr, fine := range map[string]bool{"127.0.0.1:0": true, "[::1]:9090": true, "localhost:1": true, "0.0.0.0:9090": false, ":9090": false, "10.0.0.1:1": false, "nonsense": false} {
		if err := sandbox.CheckAddr(addr); (err == nil) != fine {
			t.Errorf("CheckAddr(%q) = %v", addr, err)
		}
	}
}

func TestOpen_RemembersAcrossRestartsAndKills(t *testing.T) {
	t.Parallel()
	c := newClock()
	file := filepath.Join(t.TempDir(), "sandbox.jsonl")
	start := func() (*sandbox.Server, *box) {
		server, err := sandbox.Open(sandbox.Options{Now: c.now, Journal: file, WebhookSecret: secret, SlackToken: token})
		if err != nil {
			t.Fatal(err)
		}
		return server, serve(t, server, c)
	}
	_, b := start() // never closed before the next one starts, like a killed process
	b.write("gone", leadBody("lead-0", "new"))
	b.call(http.MethodDelete, "/_control/records", "")
	first := b.write("w1", leadBody("lead-1", "new"))
	b.write("w2", leadBody("lead-1", "claimed"))
	ts := b.slack("chat.postMessage", `{"channel":"leads","text":"New"}`, nil).json["ts"]
	b.slack("chat.update", fmt.Sprintf(`{"channel":"C0123ABCD","ts":%q,"text":"Taken"}`, ts), nil)
	before := b.call(http.MethodGet, "/_control/records", "").body

	_, b = start()
	if after := b.call(http.MethodGet, "/_control/records", "").body; after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	if r := b.write("w1", leadBody("lead-1", "new")); r.status != 200 || r.json["id"] != first.json["id"] {
		t.Errorf("a repeat after the restart answered %d %s", r.status, r.body)
	}
}

func BenchmarkWebhook(b *testing.B) {
	server := sandbox.New(sandbox.Options{Now: time.Now, WebhookSecret: secret})
	for i := 0; b.Loop(); i++ {
		id, body := "w"+strconv.Itoa(i), leadBody("lead-"+strconv.Itoa(i), "new")
		stamp := strconv.FormatInt(time.Now().Unix(), 10)
		req := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/webhook", bytes.NewReader([]byte(body)))
		req.RemoteAddr, req.Host = "127.0.0.1:5", "127.0.0.1:9090"
		req.Header.Set("webhook-id", id)
		req.Header.Set("webhook-timestamp", stamp)
		req.Header.Set("webhook-signature", sign(id, stamp, body))
		w := httptest.NewRecorder()
		server.ServeHTTP(w, req)
		if w.Code != http.StatusCreated {
			b.Fatal(w.Code, w.Body)
		}
	}
}
