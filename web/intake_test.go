package web_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/uuid"

	"leadline/web"
)

const leads = "/v1/forms/demo/leads"

func TestIntake_TakesEachFormatOfTheContract(t *testing.T) {
	s := setup(t)
	var multi bytes.Buffer
	w := multipart.NewWriter(&multi)
	for _, pair := range [][2]string{{"email", "c@acme.example"}, {"product", "platform"}, {"fields.team_size", "12"}, {"consent.phone", "on"}} {
		_ = w.WriteField(pair[0], pair[1])
	}
	_ = w.Close()
	for name, sent := range map[string][2]string{
		"json":      {typeJSON, `{"name":"Ada","email":"a@acme.example","product":"platform","fields":{"team_size":12},"consent":{"phone":true},"context":{"utm_source":"news"}}`},
		"form":      {typeForm + "; charset=UTF-8", "name=Ada&email=b%40acme.example&product=platform&fields.team_size=12&consent.phone=true&context.utm_source=news"},
		"multipart": {w.FormDataContentType(), multi.String()},
	} {
		res := s.do(http.MethodPost, leads, sent[1], "Content-Type", sent[0], "X-Correlation-ID", "corr-"+name)
		expect(t, name, res, http.StatusCreated)
		got := res.json(t)
		id, err := uuid.Parse(got["lead_id"].(string))
		if err != nil {
			t.Fatal(err)
		}
		if got["correlation_id"] != "corr-"+name || res.Header.Get("X-Correlation-ID") != "corr-"+name || got["duplicate"] != false {
			t.Errorf("%s: got %v", name, got)
		}
		if next := got["next"].(map[string]any); next["kind"] != "finding" || next["status_url"] != s.url+leads+"/"+id.String() || len(next) != 2 {
			t.Errorf("%s: next is %v", name, next)
		}
		if len(got) != 7 {
			t.Errorf("%s: members %v", name, got)
		}
		stored, contact, err := s.stored(id)
		if err != nil {
			t.Fatal(err)
		}
		if contact.Fields["team_size"] != "12" || !contact.Consent.Phone || contact.Consent.TextVersion != "v3" || stored.Product != "platform" {
			t.Errorf("%s: stored %+v of %+v", name, contact, stored)
		}
	}
}

func TestIntake_RefusesInTheWordsOfTheContract(t *testing.T) {
	s := setup(t)
	good := `{"email":"a@acme.example","product":"platform"}`
	for _, c := range []struct {
		name, path, body string
		headers          []string
		status           int
	}{
		{"no JSON", leads, `{"email":`, []string{"Content-Type", typeJSON}, 400},
		{"an array", leads, `[]`, []string{"Content-Type", typeJSON}, 400},
		{"null", leads, `null`, []string{"Content-Type", typeJSON}, 400},
		{"something behind", leads, good + `{}`, []string{"Content-Type", typeJSON}, 400},
		{"no UTF-8", leads, "{\"email\":\"\xff\"}", []string{"Content-Type", typeJSON}, 400},
		{"foreign page", leads, good, []string{"Content-Type", typeJSON, "Origin", "https://evil.example"}, 403},
		{"null origin", leads, good, []string{"Content-Type", typeJSON, "Origin", "null"}, 403},
		{"no such form", "/v1/forms/none/leads", good, []string{"Content-Type", typeJSON}, 404},
		{"too long", leads, `{"notes":"` + strings.Repeat("x", 33*1024) + `"}`, []string{"Content-Type", typeJSON}, 413},
		{"plain text", leads, good, []string{"Content-Type", "text/plain"}, 415},
		{"no type", leads, good, nil, 415},
		{"compressed", leads, good, []string{"Content-Type", typeJSON, "Content-Encoding", "gzip"}, 415},
		{"wrong fields", leads, `{"email":"nonsense","product":"platform"}`, []string{"Content-Type", typeJSON}, 422},
	} {
		res := s.do(http.MethodPost, c.path, c.body, c.headers...)
		expect(t, c.name, res, c.status)
		doc := res.json(t)
		if res.Header.Get("Content-Type") != "application/problem+json" || doc["status"] != float64(c.status) || doc["title"] == "" || doc["type"] == "" || doc["detail"] == "" {
			t.Errorf("%s: problem %v (%s)", c.name, doc, res.Header.Get("Content-Type"))
		}
		if id := doc["correlation_id"]; id == "" || id != res.Header.Get("X-Correlation-ID") {
			t.Errorf("%s: correlation id %v, header %q", c.name, id, res.Header.Get("X-Correlation-ID"))
		}
		if c.status == 422 {
			first := doc["errors"].([]any)[0].(map[string]any)
			if first["field"] != "email" || first["code"] == "" || first["message"] == "" {
				t.Errorf("%s: errors %v", c.name, doc["errors"])
			}
		}
	}
}

func TestIntake_SameKeyIsTheSameLead(t *testing.T) {
	s := setup(t)
	body := `{"email":"twice@acme.example","product":"platform","submission_id":"in-the-body"}`
	first := s.postJSON(leads, body, "Idempotency-Key", "in-the-header")
	expect(t, "first", first, http.StatusCreated)
	again := s.postJSON(leads, body, "Idempotency-Key", "in-the-header")
	expect(t, "again", again, http.StatusOK)
	if a, b := first.json(t), again.json(t); a["lead_id"] != b["lead_id"] || b["duplicate"] != true || a["receipt"] != b["receipt"] {
		t.Errorf("got %v then %v", a, b)
	}
	form := "email=form%40acme.example&product=platform&submission_id=only-in-the-form-post-123"
	expect(t, "form", s.postForm(leads, form), http.StatusCreated)
	expect(t, "form again", s.postForm(leads, form), http.StatusOK)
}

// Knowing an e-mail address must not tell whether its owner wrote to us before.
func TestIntake_RepeatOfAPersonLooksLikeAFirstSubmission(t *testing.T) {
	s := setup(t)
	body := `{"email":"known@acme.example","product":"platform"}`
	first := s.postJSON(leads, body, "Idempotency-Key", "one-one-one-one-one-one")
	repeat := s.postJSON(leads, body, "Idempotency-Key", "two-two-two-two-two-two")
	expect(t, "first", first, http.StatusCreated)
	expect(t, "repeat", repeat, http.StatusCreated)
	a, b := first.json(t), repeat.json(t)
	if !reflect.DeepEqual(shape(a), shape(b)) || a["duplicate"] != b["duplicate"] {
		t.Errorf("shapes differ: %v and %v", a, b)
	}
	if a["lead_id"] == b["lead_id"] || a["receipt"] == b["receipt"] {
		t.Error("the repeat was told the first one's ids")
	}
	own, other := b["lead_id"].(string), a["lead_id"].(string)
	receipt := "Receipt " + b["receipt"].(string)
	status := s.do(http.MethodGet, leads+"/"+own, "", "Authorization", receipt)
	expect(t, "status of the repeat", status, http.StatusOK)
	if status.json(t)["state"] != "finding" {
		t.Errorf("got %s", status.body)
	}
	expect(t, "status of the other", s.do(http.MethodGet, leads+"/"+other, "", "Authorization", receipt), http.StatusNotFound)
	expect(t, "no receipt", s.do(http.MethodGet, leads+"/"+own, ""), http.StatusUnauthorized)
	amended := s.do(http.MethodPatch, leads+"/"+own, `{"fields":{"team_size":"40"}}`, "Content-Type", typeJSON, "Authorization", receipt)
	expect(t, "amend", amended, http.StatusNoContent)

	alias := s.do(http.MethodGet, "/v1/leads/"+own, "", "Authorization", s.token("leads:read"))
	expect(t, "alias", alias, http.StatusOK)
	if alias.json(t)["lead_id"] != other {
		t.Errorf("the alias leads to %v, want %s", alias.json(t)["lead_id"], other)
	}
}

func shape(doc map[string]any) []string {
	var out []string
	for name, value := range doc {
		out = append(out, fmt.Sprintf("%s %T %d", name, value, len(fmt.Sprint(value))))
	}
	slices.Sort(out)
	return out
}

func TestIntake_BrowsersOfNamedSitesMayCall(t *testing.T) {
	s := setup(t)
	const site = "https://www.example.com"
	pre := s.do(http.MethodOptions, leads, "", "Origin", site, "Access-Control-Request-Method", "POST")
	expect(t, "preflight", pre, http.StatusNoContent)
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": site, "Access-Control-Allow-Methods": "POST, GET, PATCH, HEAD",
		"Access-Control-Allow-Headers": "Content-Type, Idempotency-Key, X-Correlation-ID, traceparent, Authorization", "Access-Control-Max-Age": "86400",
	} {
		if got := pre.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	res := s.postForm(leads, "email=cors%40acme.example&product=platform", "Origin", site)
	expect(t, "post", res, http.StatusCreated)
	if res.Header.Get("Access-Control-Allow-Origin") != site || !strings.Contains(res.Header.Get("Access-Control-Expose-Headers"), "Retry-After") ||
		!strings.Contains(res.Header.Get("Vary"), "Origin") || res.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("headers %v", res.Header)
	}
	expect(t, "our own origin", s.postForm(leads, "email=own%40acme.example&product=platform", "Origin", s.url), http.StatusCreated)
	expect(t, "foreign preflight", s.do(http.MethodOptions, leads, "", "Origin", "https://www.example.com.evil.example"), http.StatusForbidden)
	expect(t, "warm-up", s.do(http.MethodHead, leads, "", "Origin", site), http.StatusNoContent)
	expect(t, "GET", s.do(http.MethodGet, leads, ""), http.StatusMethodNotAllowed)
}

func TestIntake_WithoutScriptsAPageLeadsToAPage(t *testing.T) {
	s := setup(t)
	page := s.do(http.MethodGet, "/f/demo?utm_source=news", "", "Accept", "text/html", "Accept-Language", "de-AT,de;q=0.8")
	expect(t, "form", page, http.StatusOK)
	doc := parse(t, page)
	key, _ := doc.Find("input[name=submission_id]").Attr("value")
	if len(key) < 22 {
		t.Errorf("key %q is too short", key)
	}
	if got, _ := doc.Find("select[name=country] option[selected]").Attr("value"); got != "AT" {
		t.Errorf("country preset to %q", got)
	}
	if got, _ := doc.Find(`input[name="context.utm_source"]`).Attr("value"); got != "news" {
		t.Errorf("campaign %q", got)
	}
	other, _ := parse(t, s.do(http.MethodGet, "/f/demo", "")).Find("input[name=submission_id]").Attr("value")
	if other == key {
		t.Error("two renderings share a key")
	}

	filled := "submission_id=" + key + "&name=Ada+%3Cb%3E&email=nonsense&product=platform&consent.phone=true&phone="
	wrong := s.postForm(leads, filled, "Accept", "text/html")
	expect(t, "wrong", wrong, http.StatusUnprocessableEntity)
	doc = parse(t, wrong)
	email := doc.Find("input[name=email]")
	if v, _ := email.Attr("value"); v != "nonsense" {
		t.Errorf("email shows %q", v)
	}
	if invalid, _ := email.Attr("aria-invalid"); invalid != "true" {
		t.Error("email is not marked")
	}
	described, _ := email.Attr("aria-describedby")
	if doc.Find("#"+described).Text() == "" || doc.Find("#problems a").Length() != 1 {
		t.Errorf("no message beside the field or in the summary:\n%s", wrong.body)
	}
	if v, _ := doc.Find("input[name=name]").Attr("value"); v != "Ada <b>" {
		t.Errorf("name shows %q", v)
	}
	if v, _ := doc.Find("input[name=submission_id]").Attr("value"); v != key {
		t.Error("the key changed with a mistake")
	}

	filled = strings.Replace(filled, "nonsense", "ada%40acme.example", 1)
	sent := s.postForm(leads, filled, "Accept", "text/html")
	expect(t, "sent", sent, http.StatusSeeOther)
	twice := s.postForm(leads, filled, "Accept", "text/html")
	expect(t, "pressed twice", twice, http.StatusSeeOther)
	if sent.Header.Get("Location") != twice.Header.Get("Location") {
		t.Error("pressing twice made two requests")
	}
	thanks := s.do(http.MethodGet, sent.Header.Get("Location"), "", "Accept", "text/html")
	expect(t, "thanks", thanks, http.StatusOK)
	doc = parse(t, thanks)
	if got := doc.Find("[data-testid=headline]").Text(); got != "Thanks. We are finding the right person." {
		t.Errorf("headline %q", got)
	}
	if doc.Find("[data-testid=reference]").Text() == "" || strings.Contains(thanks.body, "ada@acme") {
		t.Error("the thank-you page has no reference, or shows contact details")
	}
	expect(t, "forged receipt", s.do(http.MethodGet, "/f/demo/thanks/AAAA", "", "Accept", "text/html"), http.StatusNotFound)
}

func parse(t *testing.T, res answer) *goquery.Document {
	t.Helper()
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(res.body))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestIntake_PublicConfigurationIsCached(t *testing.T) {
	s := setup(t)
	res := s.do(http.MethodGet, "/v1/forms/demo", "")
	expect(t, "config", res, http.StatusOK)
	etag := res.Header.Get("ETag")
	if etag == "" || res.Header.Get("Cache-Control") == "" || res.json(t)["slug"] != "demo" {
		t.Errorf("got %v %s", res.Header, res.body)
	}
	expect(t, "unchanged", s.do(http.MethodGet, "/v1/forms/demo", "", "If-None-Match", etag), http.StatusNotModified)
}

func TestIntake_LimitsEachNetworkAndBelievesOnlyTrustedProxies(t *testing.T) {
	post := func(s *site, n int, via string) answer {
		return s.postForm("/v1/forms/limited/leads", fmt.Sprintf("email=p%d%%40acme.example", n), "X-Forwarded-For", via)
	}
	s := setup(t)
	expect(t, "first", post(s, 1, "203.0.113.1"), http.StatusCreated)
	expect(t, "second", post(s, 2, "203.0.113.2"), http.StatusCreated)
	third := post(s, 3, "203.0.113.3")
	expect(t, "third, with a forged address", third, http.StatusTooManyRequests)
	if third.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}

	s = setup(t, func(d *web.Deps) { d.TrustedProxies = prefixes("127.0.0.0/8") })
	expect(t, "one", post(s, 1, "198.51.100.9, 203.0.113.1"), http.StatusCreated)
	expect(t, "one", post(s, 2, "198.51.100.8, 203.0.113.1"), http.StatusCreated)
	expect(t, "the same behind the proxy", post(s, 3, "198.51.100.7, 203.0.113.1"), http.StatusTooManyRequests)
	expect(t, "a neighbour", post(s, 4, "203.0.113.2"), http.StatusCreated)
}

func TestIntake_CountsWithoutLettingVisitorsMakeLabels(t *testing.T) {
	s := setup(t)
	s.postJSON(leads, `{"email":"m@acme.example","product":"platform"}`)
	s.postJSON(leads, `{}`)
	s.postJSON("/v1/forms/made-up-by-a-visitor/leads", `{}`)
	text := s.do(http.MethodGet, "/metrics", "").body
	for _, want := range []string{
		`leadline_intake_total{form="demo",outcome="created"} 1`, `leadline_intake_total{form="demo",outcome="invalid"} 1`,
		`leadline_intake_total{form="unknown",outcome="not_found"} 1`, `leadline_intake_seconds_count 3`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text, "made-up") {
		t.Error("a visitor made a label")
	}
}
