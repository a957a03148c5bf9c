package web_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"leadline/web"
)

func TestSetup_MakesTheFirstAdminByALink(t *testing.T) {
	s := setup(t)
	link, needed, err := s.accounts.SetupLink(t.Context())
	if err != nil || !needed {
		t.Fatal(needed, err)
	}
	gone := s.do(http.MethodGet, "/setup/nonsense", "", "Accept", "text/html")
	expect(t, "a wrong link", gone, http.StatusNotFound)
	if !strings.Contains(gone.body, "leadline user add") {
		t.Errorf("the page does not say what to do:\n%s", gone.body)
	}
	page := s.do(http.MethodGet, "/setup/"+link, "", "Accept", "text/html")
	expect(t, "the page", page, http.StatusOK)
	form := parse(t, page).Find(`[data-testid="setup"]`)
	action := form.AttrOr("action", "")
	if action != "/setup/"+link || form.Find(`input[name="password"]`).AttrOr("minlength", "") != "12" {
		t.Errorf("the form is\n%s", page.body)
	}
	answers := url.Values{"name": {"First Admin"}, "email": {"First@example.com"}, "password": {"too short"}}
	send := func(headers ...string) answer {
		return s.postForm(action, answers.Encode(), append([]string{"Accept", "text/html"}, headers...)...)
	}
	expect(t, "from another site", send("Sec-Fetch-Site", "cross-site"), http.StatusForbidden)
	short := send("Sec-Fetch-Site", "same-origin")
	expect(t, "a short password", short, http.StatusUnprocessableEntity)
	if again := parse(t, short); again.Find(`input[name="email"]`).AttrOr("value", "") != "First@example.com" || again.Find(`input[name="password"]`).AttrOr("value", "") != "" ||
		!strings.Contains(again.Find(`[data-testid="setup-message"]`).Text(), "12 characters") {
		t.Errorf("what was typed is lost, or the password shown:\n%s", short.body)
	}
	answers.Set("password", "a few words I know")
	in := send("Sec-Fetch-Site", "same-origin")
	expect(t, "made", in, http.StatusSeeOther)
	cookie, _, _ := strings.Cut(in.Header.Get("Set-Cookie"), ";")
	if in.Header.Get("Location") != "/live" || s.csrf(cookie) == "" {
		t.Errorf("sent to %q with %q", in.Header.Get("Location"), in.Header.Get("Set-Cookie"))
	}
	expect(t, "once more", send("Sec-Fetch-Site", "same-origin"), http.StatusNotFound)
	expect(t, "the page once more", s.do(http.MethodGet, action, "", "Accept", "text/html"), http.StatusNotFound)
	var actions string
	if err := s.db.Console.QueryRow(t.Context(), `SELECT string_agg(action || ' ' || actor_kind, ',' ORDER BY seq) FROM audit WHERE action NOT IN ('link.made', 'data_key.made', 'key.used')
		AND action NOT LIKE 'config%' AND action NOT LIKE 'reps%'`).Scan(&actions); err != nil {
		t.Fatal(err)
	}
	if actions != "account.added visitor,setup.used visitor,session.began person" {
		t.Errorf("recorded %s", actions)
	}
	by := s.postForm("/signin", "email=first%40example.com&password=a+few+words+I+know", "Sec-Fetch-Site", "same-origin")
	expect(t, "by the password", by, http.StatusSeeOther)
}

func TestServer_TakesReportsOfItsPolicy(t *testing.T) {
	var log bytes.Buffer
	s := setup(t, func(d *web.Deps) {
		d.Log = slog.New(slog.NewTextHandler(&log, nil))
		now := time.Now()
		d.Now = func() time.Time { return now } // so that the minute does not end
	})
	report := func(body string) answer {
		return s.do(http.MethodPost, "/csp-report", body, "Content-Type", "application/csp-report")
	}
	expect(t, "a report", report(`{"csp-report":{"document-uri":"https://us.example/signin/link/SECRET?x=SECRET","effective-directive":"script-src-elem","blocked-uri":"https://evil.example/x.js?SECRET"}}`), http.StatusNoContent)
	expect(t, "of an older browser", report(`{"csp-report":{"violated-directive":"img-src 'self'","blocked-uri":"inline"}}`), http.StatusNoContent)
	expect(t, "of something unknown", report(`{"csp-report":{"effective-directive":"made-up-SECRET","blocked-uri":"SECRET"}}`), http.StatusNoContent)
	expect(t, "nonsense", report(`nonsense`), http.StatusBadRequest)
	expect(t, "too long", report(`{"csp-report":{"blocked-uri":"`+strings.Repeat("x", 9000)+`"}}`), http.StatusRequestEntityTooLarge)
	if text := log.String(); strings.Contains(text, "SECRET") || !strings.Contains(text, "blocked=https://evil.example ") || !strings.Contains(text, "directive=img-src") {
		t.Errorf("the log says\n%s", text)
	}
	metrics := s.do(http.MethodGet, "/metrics", "").body
	for _, want := range []string{`leadline_csp_violations_total{directive="script-src-elem"} 1`, `{directive="img-src"} 1`, `{directive="other"} 1`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	limited := 0
	for range 70 {
		if res := report(`{"csp-report":{}}`); res.StatusCode == http.StatusTooManyRequests && res.Header.Get("Retry-After") != "" {
			limited++
		}
	}
	if limited < 10 {
		t.Errorf("%d of 70 further reports were too many", limited)
	}
}
