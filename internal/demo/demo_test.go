package demo_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"leadline/internal/demo"
	"leadline/internal/lead"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/privacy"
)

// demoForms are the forms of the playbook as far as a submission meets them.
var demoForms = map[string]*lead.Form{
	demo.Form: {Slug: demo.Form, Intent: lead.IntentHigh, Fields: []lead.FormField{
		{Name: "product", Type: "choice", Options: []string{"platform", "analytics"}},
		{Name: "team_size", Type: "choice", Options: []string{"1-10", "11-50", "51-200", "more than 200"}},
	}},
	demo.ContactForm: {Slug: demo.ContactForm, Intent: lead.IntentLow, Fields: []lead.FormField{
		{Name: "topic", Type: "choice", Options: []string{"question", "support", "press", "newsletter"}},
	}},
}

// sent is a lead as the trickle sends it.
type sent struct {
	Name, Email, Phone, Company, Country, Region, Product, Notes string

	PostalCode string `json:"postal_code"`
	Fields     map[string]string
	Consent    lead.Consent
	Context    lead.Context
}

func (s sent) raw(key string) lead.Raw {
	return lead.Raw{
		Name: privacy.Text(s.Name), Email: privacy.Text(s.Email), Phone: privacy.Text(s.Phone), Company: privacy.Text(s.Company), Country: s.Country, Region: s.Region,
		PostalCode: s.PostalCode, Product: s.Product, Notes: privacy.Text(s.Notes), Fields: lead.HiddenFields(s.Fields), Consent: s.Consent, Context: s.Context, ClientKey: key,
	}
}

func TestTrickle_SendsLeadsThatEveryFieldRuleAccepts(t *testing.T) {
	t.Parallel()
	const wanted = 60 // more than there are visitors, on both forms
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	emails, forms := map[string]bool{}, map[string]int{}
	enough := false // the handler runs for one lead at a time: the trickle waits for each answer
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		slug := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v1/forms/"), "/leads")
		var s sent
		if err := json.NewDecoder(r.Body).Decode(&s); err != nil || demoForms[slug] == nil {
			t.Errorf("%s: %v", r.URL.Path, err)
			return
		}
		if enough {
			return
		}
		got, err := lead.Normalise(demoForms[slug], s.raw(r.Header.Get("Idempotency-Key")))
		if err != nil {
			t.Errorf("%s is refused: %v", s.Company, err)
		}
		if got.Contact.Phone == "" || got.Country != s.Country || got.Source != demo.TrickleSource || !strings.HasSuffix(s.Email, ".example") || got.ClientKey == "" {
			t.Errorf("normalised to %+v", got)
		}
		emails[s.Email] = true
		forms[slug]++
		if enough = forms[demo.Form]+forms[demo.ContactForm] == wanted; enough {
			cancel()
		}
		w.WriteHeader(http.StatusCreated)
	}))
	defer server.Close()
	trickle := demo.Trickle{Target: server.URL + "/", Form: demo.Form, First: time.Millisecond, Every: 2 * time.Millisecond, Now: time.Now}
	if err := trickle.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if len(emails) < wanted-1 || forms[demo.ContactForm] == 0 || forms[demo.ContactForm] > forms[demo.Form] {
		t.Errorf("%d different people, by form %v", len(emails), forms)
	}
}

func TestTrickle_SendsNothingWhileItIsSwitchedOff(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var asked, taken atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { taken.Add(1) }))
	defer server.Close()
	trickle := demo.Trickle{Target: server.URL, Form: demo.Form, First: time.Millisecond, Every: time.Millisecond, Now: time.Now, Enabled: func() bool {
		if asked.Add(1) == 5 {
			cancel()
		}
		return false
	}}
	if err := trickle.Run(ctx); err != nil || taken.Load() != 0 {
		t.Errorf("%d leads, %v", taken.Load(), err)
	}
}

func exec(t *testing.T, db *postgres.DB, sql string) {
	t.Helper()
	if _, err := db.Console.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
}

func TestInspect_TellsWhoseConfigurationIsLive(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, step := range []struct {
		sql  string
		want demo.State
	}{
		{`SELECT 1`, demo.Empty},
		{`INSERT INTO config_version (number, hash, body, demo) VALUES (1, '', '', true)`, demo.Ours},
		{`INSERT INTO config_version (number, hash, body, demo) VALUES (2, '', '', false)`, demo.Foreign},
	} {
		exec(t, db, step.sql)
		if got, err := demo.Inspect(t.Context(), db.Console); err != nil || got != step.want {
			t.Errorf("after %q: %v, %v; want %v", step.sql, got, err, step.want)
		}
	}
}

// mixedData is a demo with leads in every table beside a real installation: lead 1 was taken by the demo and carries its mark,
// lead 2 only was routed by a demo version, lead 3 is real and held by demo rep 2.
const mixedData = `
INSERT INTO config_version (number, hash, body, demo) VALUES (1, '', '', true), (2, '', '', false);
INSERT INTO rep (id, email, name, demo) VALUES
  ('00000000-0000-0000-0000-0000000000a1', 'one@demo.example', 'One', true),
  ('00000000-0000-0000-0000-0000000000a2', 'two@demo.example', 'Two', true),
  ('00000000-0000-0000-0000-0000000000a3', 'real@acme.example', 'Real', false);
INSERT INTO account (id, email, roles, demo) VALUES
  ('00000000-0000-0000-0000-0000000000b1', 'one@demo.example', 'rep', true), ('00000000-0000-0000-0000-0000000000b2', 'real@acme.example', 'rep', false);
INSERT INTO session (token_hash, account_id) VALUES ('\x01', '00000000-0000-0000-0000-0000000000b1'), ('\x02', '00000000-0000-0000-0000-0000000000b2');
INSERT INTO pool_state (pool, members, credits, last_at) VALUES
  ('mixed', '{00000000-0000-0000-0000-0000000000a1,00000000-0000-0000-0000-0000000000a3}', '{0.25,0.75}', '{2026-01-01Z,2026-01-02Z}'),
  ('demo', '{00000000-0000-0000-0000-0000000000a1}', '{0}', '{NULL}');
INSERT INTO lead (id, correlation_id, form, intent, node, dispatch_lease, demo, rep_id)
  SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, 'c', 'demo', 'high', 1, now(), n = 1,
         CASE WHEN n = 3 THEN '00000000-0000-0000-0000-0000000000a2'::uuid END FROM generate_series(1, 3) AS n;
INSERT INTO contact (lead_id) SELECT id FROM lead;
INSERT INTO client_key (form, key, submission, fingerprint, digest) SELECT 'demo', 'lead ' || id, id, '\x', '\x' FROM lead;
INSERT INTO touch (id, lead_id, kind, payload) SELECT ('1' || substr(id::text, 2))::uuid, id, 'repeat', '{}' FROM lead;
INSERT INTO client_key (form, key, submission, fingerprint, digest) SELECT 'demo', 'touch ' || id, id, '\x', '\x' FROM touch;
INSERT INTO payload (submission, data_key, wrapped, sealed) SELECT id, 1, ''::bytea, ''::bytea FROM lead UNION ALL SELECT id, 1, '', '' FROM touch;
INSERT INTO reveal (id, lead_id, account_id, audit_seq, until) SELECT id, id, id, 1, now() FROM lead;
INSERT INTO fingerprint (fp, lead_id, last_seen) SELECT decode(md5(id::text), 'hex'), id, now() FROM lead;
INSERT INTO decision (lead_id, version, rule, pool, trace) SELECT id, CASE WHEN id::text LIKE '%3' THEN 2 ELSE 1 END, 'r', 'mixed', '{}' FROM lead;
INSERT INTO offer (lead_id, attempt, kind, pool, cause) SELECT id, 1, 'pool', 'mixed', 'first' FROM lead;
INSERT INTO lead_clock (lead_id, kind, pool, target, started_at) SELECT id, 'accept', 'mixed', '1 h', now() FROM lead;
INSERT INTO lead_pause (lead_id, reason, by) SELECT id, 'on_hold', 'console' FROM lead;
INSERT INTO delivery (lead_id, connection, kind, destination) SELECT id, 'crm', 'webhook', 'crm' FROM lead;
SELECT append_events(array_agg(id), array_agg('routed'::text), array_agg('mixed'::text), array_agg(NULL::uuid), array_agg(0), array_agg('{}'::jsonb)) FROM lead;`

func TestRemove_TakesAllOfTheDemoAndNothingElse(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	exec(t, db, mixedData)
	for range 2 { // a second time changes nothing
		if err := demo.Remove(t.Context(), db.Console); err != nil {
			t.Fatal(err)
		}
	}
	for table, want := range map[string]string{
		`lead`:    "00000000-0000-0000-0000-000000000003",
		`contact`: "00000000-0000-0000-0000-000000000003",
		`(SELECT key AS lead_id FROM client_key) AS k`: "lead 00000000-0000-0000-0000-000000000003, touch 10000000-0000-0000-0000-000000000003",
		`touch`: "00000000-0000-0000-0000-000000000003",
		`(SELECT submission AS lead_id FROM payload) AS p`: "00000000-0000-0000-0000-000000000003, 10000000-0000-0000-0000-000000000003",
		`(SELECT action AS lead_id FROM audit) AS a`:       "demo.removed, demo.removed",
		`reveal`:      "00000000-0000-0000-0000-000000000003",
		`fingerprint`: "00000000-0000-0000-0000-000000000003",
		`decision`:    "00000000-0000-0000-0000-000000000003",
		`offer`:       "00000000-0000-0000-0000-000000000003",
		`lead_clock`:  "00000000-0000-0000-0000-000000000003",
		`lead_pause`:  "00000000-0000-0000-0000-000000000003",
		`delivery`:    "00000000-0000-0000-0000-000000000003",
		`event`:       "00000000-0000-0000-0000-000000000003",
		`(SELECT email || ' ' || active || ' ' || demo AS lead_id FROM rep) AS r`:                       "real@acme.example true false, two@demo.example false false",
		`(SELECT email AS lead_id FROM account) AS a`:                                                   "real@acme.example",
		`(SELECT encode(token_hash, 'hex') AS lead_id FROM session) AS s`:                               "02",
		`(SELECT pool || ' ' || members::text || ' ' || credits::text AS lead_id FROM pool_state) AS p`: "mixed {00000000-0000-0000-0000-0000000000a3} {0.75}",
		`(SELECT number AS lead_id FROM config_version) AS v`:                                           "2",
		`(SELECT seq AS lead_id FROM event_stream) AS e`:                                                "3",
	} {
		column := "lead_id"
		if table == "lead" {
			column = "id"
		}
		var got string
		if err := db.Console.QueryRow(t.Context(), `SELECT coalesce(string_agg(`+column+`::text, ', ' ORDER BY `+column+`), '') FROM `+table).Scan(&got); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
		if got != want {
			t.Errorf("%s holds %q, want %q", table, got, want)
		}
	}
}
