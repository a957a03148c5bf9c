package journey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres"
)

// canaryPeople is how many made-up people are planted; each has five values that exist nowhere else.
const canaryPeople = 40

// canaryPlaybook sends every lead to a CRM that repeats what it refuses.
const canaryPlaybook = `
version: 1
forms:
  - slug: demo
    name: Demo request
    owners: [owner@acme.example]
    fields: [{name: seats, type: number}, {name: wish, type: text}]
  - {slug: strict, name: Strict, fields: [{name: product, type: choice, options: [platform], required: true}]}
reps:
  - {email: mia@example.com, name: Mia}
pools:
  - {slug: open, strategy: pull, members: [{rep: mia@example.com}]}
rules:
  - {name: Everything, band: default, when: {}, then: {pool: open}}
connections:
  - {slug: crm, kind: webhook, base_url: "PARROT/hooks", secret: "env:WEBHOOK_SECRET"}
  - {slug: chat, kind: slack, base_url: "SANDBOX/slack", token: "env:SLACK_TOKEN", channel: leads}
`

// planted is one made-up person and the values that must not turn up anywhere but in the contact table.
type planted struct{ name, email, phone, company, notes string }

func plant(n int) planted {
	return planted{
		name: fmt.Sprintf("Kanari%02dQuux Vogel%02dZyx", n, n), email: fmt.Sprintf("kanari%02dq@acme.example", n), phone: fmt.Sprintf("+4930790%02d731", n),
		company: fmt.Sprintf("Pm%02dPiepmatz GmbH", n), notes: fmt.Sprintf("Zwitscher%02dnote, call after six", n),
	}
}

// marks are what is searched for: the telling part of each value, as it could appear cut or escaped.
func (p planted) marks() []string {
	first, last, _ := strings.Cut(p.name, " ")
	return []string{first, last, p.email[:10], p.phone[4:], p.company[:6], p.notes[:11]}
}

func (p planted) json() map[string]any {
	return map[string]any{
		"name": p.name, "email": p.email, "phone": p.phone, "company": p.company, "notes": p.notes, "country": "DE",
		"fields": map[string]any{"wish": p.notes}, "context": map[string]any{"page_url": "https://www.example.com/?email=" + p.email, "utm_term": p.name},
		"consent": map[string]any{"phone": true, "text_version": "v3"},
	}
}

// parrot is a CRM whose errors repeat the person in every way that one can: plain, escaped, cut, as a code.
func parrot(t *testing.T) *httptest.Server {
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var sent struct {
			Lead struct{ Name, Email, Phone, Company, Notes string }
		}
		_ = json.Unmarshal(body, &sent)
		first, _, _ := strings.Cut(sent.Lead.Name, " ")
		escaped := strings.ReplaceAll(fmt.Sprintf("%+q", sent.Lead.Email), "@", "\\u0040")
		answer := fmt.Sprintf(`{"error":%q,"code":%q,"message":"no %s, %s","detail":%s,"field":"email","type":"invalid_value"}`,
			first, sent.Lead.Company[:min(8, len(sent.Lead.Company))], sent.Lead.Phone, sent.Lead.Notes, escaped)
		switch calls.Add(1) % 4 {
		case 0:
			w.WriteHeader(http.StatusUnprocessableEntity)
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		case 2:
			w.WriteHeader(http.StatusBadRequest)
			answer = string(body)
		default:
			w.WriteHeader(http.StatusConflict)
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server
}

// TestCanary_NothingPersonalOrSecretLeavesItsPlace plants people and secrets, sends them along every way there is, the wrong ones
// included, and then looks through everything that Leadline writes down.
func TestCanary_NothingPersonalOrSecretLeavesItsPlace(t *testing.T) {
	t.Parallel()
	const webhookKey, slackToken = "whsec_S2FuYXJpZW52b2dlbC1zZWNyZXQtbnVtYmVyLTE=", "xoxb-kanarienvogel-token"
	secrets := []string{"S2FuYXJpZW52b2dlbC1z", "kanarienvogel-token", "Kanari password 4711", "kanari-stored-secret", "kanari-wrong-password"}
	crm := parrot(t)
	w := newWorld(t, strings.ReplaceAll(canaryPlaybook, "PARROT", crm.URL), "LEADLINE_LOG_LEVEL=debug", "WEBHOOK_SECRET="+webhookKey, "SLACK_TOKEN="+slackToken)
	w.present("mia@example.com")
	w.addUser("mia@example.com", "rep", "Kanari password 4711")
	w.command("kanari-stored-secret\n", "secret", "set", "spare")
	secrets = append(secrets, w.token)

	var marks []string
	var answers bytes.Buffer // what programs were told when something was wrong
	var leads []string
	for n := range canaryPeople {
		p := plant(n)
		marks = append(marks, p.marks()...)
		leads = append(leads, w.submit(p.json()).LeadID)
		w.misuse(p, n, &answers)
	}
	w.eventually("the parrot to have been asked about everybody", func() bool {
		var n int
		w.query(`SELECT count(*) FROM delivery WHERE connection = 'crm' AND calls > 0`, &n)
		return n >= canaryPeople
	})
	for i, id := range leads {
		l := w.lead(id)
		status, body := w.call(http.MethodPost, w.url+"/v1/leads/"+id+"/claim", map[string]any{"rep": "mia@example.com", "attempt": l.Attempt})
		if status != http.StatusOK {
			t.Fatalf("claim of %s: %d %s", id, status, body)
		}
		if i%2 == 0 {
			w.call(http.MethodPost, w.url+"/v1/leads/"+id+"/outcome", map[string]any{"rep": "mia@example.com", "disposition": "connected"})
		}
	}
	w.eventually("River to have retried a write", func() bool {
		var n int
		w.query(`SELECT count(*) FROM river_job WHERE kind = 'crm_write' AND attempt > 0`, &n)
		return n > 0
	})

	w.eventually("the owner to have been told of what was wrong", func() bool {
		var n int
		w.query(`SELECT count(*) FROM drift_mail WHERE state = 'sent'`, &n)
		return n > 0
	})

	sinks := map[string]string{"answers with errors": answers.String(), "log": w.server.stderr.String() + w.server.stdout.String()}
	_, metrics := w.get("/metrics")
	sinks["metrics"] = string(metrics)
	_, mails := w.call(http.MethodGet, w.sandbox+"/_control/records?vendor=smtp", nil)
	sinks["mails"] = string(mails)
	sinks["export"] = w.command("", "export")
	for name, text := range w.tables("contact") {
		sinks["table "+name] = text
	}
	w.server.stop()
	for name, text := range w.files("log") {
		sinks[name] = text
	}
	if planted := len(marks) + len(secrets); planted < 200 {
		t.Errorf("only %d values were planted", planted)
	}
	if !strings.Contains(sinks["log"], `"level":"DEBUG"`) || len(sinks["table river_job"]) == 0 || len(sinks["table event"]) == 0 {
		t.Error("the sinks were empty: nothing was proved")
	}
	for sink, text := range sinks {
		lower := strings.ToLower(text)
		for _, mark := range append(slices.Clone(marks), secrets...) {
			if at := strings.Index(lower, strings.ToLower(mark)); at >= 0 {
				t.Errorf("%s holds %q: …%s…", sink, mark, text[max(0, at-80):min(len(text), at+80)])
			}
		}
	}
	var contacts int
	w.serve()
	w.query(`SELECT count(*) FROM contact WHERE name LIKE 'Kanari%'`, &contacts)
	if contacts == 0 {
		t.Error("nobody was planted at all")
	}
}

// misuse sends what is wrong in every way that a visitor, a stranger and a careless program find, and keeps what programs are told.
func (w *world) misuse(p planted, n int, answers *bytes.Buffer) {
	w.t.Helper()
	form := func(slug, kind, body string, headers ...string) {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, w.url+"/v1/forms/"+slug+"/leads", strings.NewReader(body))
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		w.keep(req, answers)
	}
	values := url.Values{"name": {p.name}, "email": {p.email}, "phone": {p.phone}, "company": {p.company}, "notes": {p.notes}}
	switch n % 8 {
	case 0: // wrong values in each field
		form("demo", "application/json", fmt.Sprintf(`{"email":"%s@","phone":"%s00000000","name":%q}`, p.email, p.phone, p.name))
		form("strict", "application/json", fmt.Sprintf(`{"email":%q,"product":%q}`, p.email, p.notes))
	case 1: // broken JSON, too large, an unknown form, unknown fields
		form("demo", "application/json", fmt.Sprintf(`{"email":%q,"name":%q`, p.email, p.name))
		form("demo", "application/json", fmt.Sprintf(`{"email":%q,"notes":%q}`, p.email, strings.Repeat(p.notes, 2000)))
		form(url.PathEscape(p.company), "application/json", `{}`)
		form("demo", "application/json", fmt.Sprintf(`{"email":%q,%q:"x","fields":{%q:%q}}`, p.email, p.name, p.company, p.notes))
	case 2: // a form post, again with the same key, and again as somebody else
		values.Set("submission_id", fmt.Sprintf("kkkkkkkkkkkkkkkkkkkkkkkk-%04d", n))
		form("demo", "application/x-www-form-urlencoded", values.Encode())
		values.Set("notes", p.notes+" more")
		form("demo", "application/x-www-form-urlencoded", values.Encode())
		values.Set("email", "other."+p.email)
		form("demo", "application/x-www-form-urlencoded", values.Encode())
	case 3: // multipart with a file, and a content encoding
		var body bytes.Buffer
		m := multipart.NewWriter(&body)
		_ = m.WriteField("email", p.email)
		part, _ := m.CreateFormFile("cv", p.name+".pdf")
		_, _ = io.WriteString(part, p.notes)
		_ = m.Close()
		form("demo", m.FormDataContentType(), body.String())
		form("demo", "application/json", `{"email":"`+p.email+`"}`, "Content-Encoding", "gzip")
		form("demo", p.company+"/"+p.email, values.Encode())
	case 4: // foreign origins and odd headers
		form("demo", "application/json", `{"email":"`+p.email+`"}`, "Origin", "https://"+p.email, "Referer", "https://x.example/?"+values.Encode())
		form("demo", "application/json", `{"email":"`+p.email+`"}`, "X-Correlation-ID", p.email, "traceparent", p.name, "User-Agent", p.name, "X-Forwarded-For", p.email)
	case 5: // addresses that do not exist, with values in path and query
		for _, path := range []string{
			"/f/demo?" + values.Encode(), "/nowhere/" + url.PathEscape(p.name), "/v1/leads/" + url.PathEscape(p.email), "/leads/" + url.PathEscape(p.name),
			"/v1/leads?form=" + url.QueryEscape(p.name) + "&since=" + url.QueryEscape(p.email) + "&cursor=" + url.QueryEscape(p.phone), "/signin?next=/" + url.QueryEscape(p.email),
			"/f/demo/thanks/" + url.PathEscape(p.email), "/signin/link/" + url.PathEscape(p.name),
		} {
			req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, w.url+path, nil)
			if err != nil {
				w.t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+w.token)
			if n%16 < 8 {
				req.Header.Set("Accept", "text/html")
			}
			if strings.HasPrefix(path, "/signin") || strings.HasPrefix(path, "/f/demo?") {
				w.keepLog(req) // may give back to its sender what its sender gave
			} else {
				w.keep(req, answers)
			}
		}
	case 6: // signing in with somebody's address, and a password into the wrong field
		for _, f := range []url.Values{{"email": {p.email}, "password": {"kanari-wrong-password"}}, {"email": {"kanari-wrong-password"}, "password": {p.email}}} {
			req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, w.url+"/signin", strings.NewReader(f.Encode()))
			if err != nil {
				w.t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Origin", w.public)
			w.keepLog(req)
		}
	case 7: // programs that mistake one thing for another
		for _, body := range []string{`{"rep":"` + p.email + `","attempt":1}`, `{"rep":` + p.name, `{"rep":"` + p.name + `","disposition":"` + p.notes + `"}`} {
			for _, path := range []string{"/claim", "/outcome"} {
				req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, w.url+"/v1/leads/0192f000-0000-7000-8000-000000000000"+path, strings.NewReader(body))
				if err != nil {
					w.t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Authorization", "Bearer "+w.token)
				w.keepLog(req)
			}
		}
	}
}

// keep sends a request and keeps an answer that is an error: it must not repeat what was sent.
func (w *world) keep(req *http.Request, answers *bytes.Buffer) {
	w.t.Helper()
	res, err := client.Do(req)
	if err != nil {
		return // cut off for its size
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode < 400 {
		return
	}
	_ = res.Header.Write(answers)
	_, _ = io.Copy(answers, res.Body)
}

// keepLog sends a request whose answer may repeat what its sender typed into it, so that only what is written down counts.
func (w *world) keepLog(req *http.Request) {
	w.t.Helper()
	res, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = res.Body.Close()
}

// connect opens the private database of a running server.
func (w *world) connect() *pgx.Conn {
	w.t.Helper()
	dsn, running := postgres.FindPrivate(filepath.Join(w.dir, "data"))
	if !running {
		w.t.Fatal("the private PostgreSQL is not up")
	}
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// query reads one row of the private database.
func (w *world) query(sql string, into ...any) {
	w.t.Helper()
	conn := w.connect()
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(context.Background(), sql).Scan(into...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// tables gives every table of the database as text, but those named.
func (w *world) tables(except ...string) map[string]string {
	w.t.Helper()
	conn := w.connect()
	ctx := context.Background()
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, `SELECT c.relname FROM pg_class c WHERE c.relkind IN ('r','p') AND c.relnamespace = current_schema()::regnamespace ORDER BY 1`)
	if err != nil {
		w.t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]string{}
	for _, name := range names {
		if slices.Contains(except, name) {
			continue
		}
		var text string
		if err := conn.QueryRow(ctx, `SELECT coalesce(string_agg(t::text, E'\n'), '') FROM `+pgx.Identifier{name}.Sanitize()+` t`).Scan(&text); err != nil {
			w.t.Fatalf("read %s: %v", name, err)
		}
		out[name] = text
	}
	return out
}

// files gives the text files below the data directory whose name contains a word, such as PostgreSQL's own log.
func (w *world) files(word string) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(strings.ToLower(d.Name()), word) {
			return nil //nolint:nilerr // a file that vanished meanwhile holds nothing
		}
		text, err := os.ReadFile(path)
		if err == nil {
			out[path] = string(text)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}
