package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"leadline/internal/drift"
	"leadline/internal/lead"
	"leadline/internal/live"
	"leadline/web"
)

// withDrift counts what differs, with nobody to mail to.
func withDrift(service **drift.Service) func(*web.Deps) {
	return func(d *web.Deps) {
		forms := d.Handlers.Playbook.Current
		*service = drift.NewService(drift.Options{
			DB: d.Handlers.DB, Forms: func() map[string]*lead.Form { return forms().Forms }, Now: time.Now, Log: d.Log, Metrics: d.Metrics, PublicURL: d.PublicURL.String(),
		})
		d.Handlers.Drift = *service
		d.Handlers.Hub = live.New(live.Options{DB: d.Handlers.DB, Log: d.Log, Now: time.Now, Pools: func(string) []string { return nil }}) // its clock is on every page
	}
}

func TestDrift_PageShowsWhatIntakeNoted(t *testing.T) {
	var service *drift.Service
	s := setup(t, withDrift(&service))
	ops := []string{"Cookie", s.signIn("ops@example.com", "ops")}
	if page := parse(t, s.do(http.MethodGet, "/drift", "", ops...)); page.Find(`[data-testid="drift-empty"]`).Length() != 1 {
		t.Error("nothing says that all is well")
	}
	for body, status := range map[string]int{
		`{"email":"nonsense","product":"platform"}`:                                                               http.StatusUnprocessableEntity,
		`{"email":"a@acme.example","product":"platform","<img src=x onerror=alert(1)>":"x","budget":"5 000 EUR"}`: http.StatusCreated,
		`{"email":`: http.StatusBadRequest,
		`{"email":"b@acme.example","product":"platform"}`: http.StatusCreated,
	} {
		expect(t, body, s.postJSON(leads, body), status)
	}
	expect(t, "plain text", s.do(http.MethodPost, leads, "email=a", "Content-Type", "text/plain"), http.StatusUnsupportedMediaType)
	expect(t, "no such form", s.postJSON("/v1/forms/none/leads", `{`), http.StatusNotFound)
	if err := service.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	res := s.do(http.MethodGet, "/drift", "", ops...)
	page := parse(t, res)
	groups := page.Find(`[data-testid="drift-group"]`)
	if groups.Length() != 5 || page.Find(`[data-testid="drift-mail-off"]`).Length() != 1 || strings.Contains(res.body, "<img src=x") || page.Find("svg.chart[aria-label]").Length() != 5 {
		t.Errorf("%d groups in\n%s", groups.Length(), res.body)
	}
	for _, want := range []string{"“email” sends values that do not have the right form, like xxxxx", "“budget” is sent", "{name: budget, type: text}", "text/plain", "not one JSON object"} {
		if !strings.Contains(page.Text(), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	metrics := s.do(http.MethodGet, "/metrics", "")
	for _, want := range []string{`leadline_drift_total{form="demo",kind="refused"} 1`, `leadline_drift_total{form="demo",kind="unknown"} 2`, `leadline_drift_total{form="demo",kind="unparseable"} 2`} {
		if !strings.Contains(metrics.body, want) {
			t.Errorf("no line %s", want)
		}
	}

	viewer := s.do(http.MethodGet, "/drift", "", "Cookie", s.signIn("viewer@example.com", "viewer"))
	if doc := parse(t, viewer); doc.Find(`[data-testid="drift-group"]`).Length() != 5 || doc.Find(`[data-testid="drift-resolve"]`).Length() != 0 {
		t.Error("a viewer sees something else than the list without buttons")
	}
	action, _ := groups.First().Find("form").Attr("action")
	expect(t, "resolve", s.postForm(action, "form=demo", append(ops, "Origin", s.url)...), http.StatusSeeOther)
	expect(t, "again", s.postForm(action, "", append(ops, "Origin", s.url)...), http.StatusSeeOther)
	left := func(query string) *goquery.Selection {
		return parse(t, s.do(http.MethodGet, "/drift"+query, "", ops...)).Find(`[data-testid="drift-group"]`)
	}
	if open, all, other := left(""), left("?show=all&form=demo"), left("?form=other"); open.Length() != 4 || all.Length() != 5 || other.Length() != 0 {
		t.Errorf("%d open, %d in all, %d of another form", open.Length(), all.Length(), other.Length())
	}
	expect(t, "a form that cannot be", s.do(http.MethodGet, "/drift?form=%3Cscript%3E", "", ops...), http.StatusNotFound)
	expect(t, "no such group", s.postForm("/drift/x/resolve", "", append(ops, "Origin", s.url)...), http.StatusNotFound)

	program := s.do(http.MethodGet, "/v1/drift?form=demo", "", "Authorization", s.token("leads:read"))
	expect(t, "program", program, http.StatusOK)
	if list := program.json(t)["drift"].([]any); len(list) != 4 || list[0].(map[string]any)["words"] == "" {
		t.Errorf("got %s", program.body)
	}
}
