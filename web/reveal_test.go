package web_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"leadline/web"
)

// What a program reads unmasked is on record, once for each lead in five minutes, or it is not read.
func TestAPI_RecordsWhatProgramsReadUnmasked(t *testing.T) {
	s := setup(t)
	created := s.postJSON(leads, `{"name":"Ada Lovelace","email":"ada.l@acme.example","phone":"+49 30 901820","product":"platform","postal_code":"10115",
		"context":{"page_url":"https://www.example.com/demo?email=ada.l%40acme.example#x","utm_campaign":"ada.l@acme.example"}}`)
	expect(t, "created", created, http.StatusCreated)
	path := "/v1/leads/" + created.json(t)["lead_id"].(string)
	record := func() (n int) {
		t.Helper()
		if err := s.db.Console.QueryRow(t.Context(), `SELECT count(*) FROM audit a JOIN api_token k ON k.id = a.actor WHERE a.action = 'contact.revealed' AND a.actor_kind = 'token'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}

	dim := s.do(http.MethodGet, path, "", "Authorization", s.token("leads:read"))
	masked := dim.json(t)
	if record() != 0 || strings.Contains(dim.body, "ada.l") || masked["name"] != "A••• L•••" || masked["postal_code"] != "10…" {
		t.Errorf("masked: %d records, %s", record(), dim.body)
	}
	if page := masked["context"].(map[string]any)["page_url"]; page != "https://www.example.com/demo" {
		t.Errorf("the page is shown as %v", page)
	}

	first, second := s.token("leads:read", "leads:reveal"), s.token("leads:read", "leads:reveal")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if a := s.do(http.MethodGet, path, "", "Authorization", first); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "Ada Lovelace") {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		})
	}
	all.Wait()
	if n := record(); n != 1 {
		t.Errorf("eight readings by one program at once are %d records", n)
	}
	expect(t, "another program", s.do(http.MethodGet, path, "", "Authorization", second), http.StatusOK)
	if n := record(); n != 2 {
		t.Errorf("%d records", n)
	}
	if _, err := s.db.Console.Exec(t.Context(), `UPDATE reveal SET until = clock_timestamp()`); err != nil {
		t.Fatal(err)
	}
	expect(t, "five minutes later", s.do(http.MethodGet, path, "", "Authorization", first), http.StatusOK)
	if n := record(); n != 3 {
		t.Errorf("%d records", n)
	}

	if _, err := s.db.Console.Exec(t.Context(), `UPDATE reveal SET until = clock_timestamp();
		ALTER FUNCTION append_audit(text, uuid, text, text, text, text, text, text) RENAME TO away`); err != nil {
		t.Fatal(err)
	}
	none := s.do(http.MethodGet, path, "", "Authorization", first)
	expect(t, "without a record", none, http.StatusInternalServerError)
	if strings.Contains(none.body, "Lovelace") {
		t.Error("read without a record")
	}
}

func TestAPI_RefusesFiltersThatMeanNothing(t *testing.T) {
	s := setup(t)
	read := s.token("leads:read")
	for _, query := range []string{"stage=sleeping", "crm_state=perhaps", "stage=Claimed"} {
		a := s.do(http.MethodGet, "/v1/leads?"+query, "", "Authorization", read)
		expect(t, query, a, http.StatusBadRequest)
		if !strings.Contains(a.body, "Use one of") {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	expect(t, "known ones", s.do(http.MethodGet, "/v1/leads?stage=claimed&crm_state=pending", "", "Authorization", read), http.StatusOK)
}

// An unattended screen reveals nothing, not even on a device that somebody stays signed in on: after half an hour without the person,
// they sign in again first.
func TestReveal_AsksWhoWasAwayToSignInAgain(t *testing.T) {
	w := newWorld(t, web.New)
	ops, path := w.named("ops"), "/leads/"+w.plants[0].id.String()
	if _, err := w.db.Console.Exec(t.Context(), `UPDATE session SET trusted = true, last_seen_at = clock_timestamp() - interval '31 minutes', fresh_at = clock_timestamp() - interval '31 minutes' WHERE account_id = (SELECT id FROM account WHERE email = $1)`, ops.account); err != nil {
		t.Fatal(err)
	}
	reveal := func() answer {
		return w.do(http.MethodPost, path+"/reveal", "reason=a+good+reason", "Cookie", ops.cookie, "X-CSRF-Token", ops.csrf, "Content-Type", typeForm, "Sec-Fetch-Site", "same-origin")
	}
	eventually(t, "the session to be looked up anew", func() bool { return reveal().StatusCode == http.StatusUnauthorized })
	expect(t, "a look at the page", w.do(http.MethodGet, path, "", "Cookie", ops.cookie, "Accept", "text/html"), http.StatusOK)
	expect(t, "a reveal after the look", reveal(), http.StatusUnauthorized)
	if _, err := w.db.Console.Exec(t.Context(), `UPDATE session SET fresh_at = clock_timestamp() - interval '29 minutes' WHERE account_id = (SELECT id FROM account WHERE email = $1)`, ops.account); err != nil {
		t.Fatal(err)
	}
	eventually(t, "somebody who was there all the time", func() bool { return reveal().StatusCode == http.StatusSeeOther })
}
