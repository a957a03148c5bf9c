package web_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// call sends JSON with a token.
func (s *site) program(token, method, path string, body any) answer {
	s.t.Helper()
	text := ""
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		text = string(b)
	}
	return s.do(method, path, text, "Authorization", token, "Content-Type", typeJSON)
}

type object = map[string]any

func TestRouting_SimulatesWithoutStoringAnything(t *testing.T) {
	s := setup(t)
	token := s.token("routing:simulate")
	ask := func(body object) answer { return s.program(token, http.MethodPost, "/v1/routing/simulate", body) }
	berlin := object{"form": "demo", "country": "DE", "email": "a@acme.example", "product": "platform"}

	nobody := ask(object{"lead": berlin})
	expect(t, "nobody there", nobody, http.StatusOK)
	if got := nobody.json(t); got["stage"] != "waiting" || got["rep"] != nil || got["rule"] != "Everything" || got["version"] != 1.0 || len(got["candidates"].([]any)) == 0 {
		t.Errorf("nobody there: %s", nobody.body)
	}
	there := ask(object{"lead": berlin, "at": "2027-03-28T01:30:00Z", "version": 1, "presence": object{"*": "available"}})
	expect(t, "somebody there", there, http.StatusOK)
	got := there.json(t)
	if got["stage"] != "offered" || got["rep"] != "sam@example.com" || got["pool"] != "global" || got["in"] != "global" || got["rung"] != "turn" || got["seconds"] != 20.0 || !strings.HasPrefix(got["at"].(string), "2027-03-28T01:30:00") {
		t.Errorf("somebody there: %s", there.body)
	}
	if first := got["candidates"].([]any)[0].(object); first["rep"] != "sam@example.com" || first["outcome"] != "chosen" || first["reason"] == "" {
		t.Errorf("candidates: %s", there.body)
	}
	away := ask(object{"lead": berlin, "presence": object{"*": "available", "sam@example.com": "away"}})
	if got := away.json(t); got["stage"] != "waiting" {
		t.Errorf("sam away: %s", away.body)
	}
	other := strings.Replace(config, "{name: Everything, band: default, when: {}, then: {pool: global}}", "{name: Bens, band: default, when: {}, then: {pool: global, rep: ben@example.com}}", 1)
	draft := ask(object{"lead": berlin, "draft": other, "presence": object{"*": "available"}})
	expect(t, "a draft", draft, http.StatusOK)
	if got := draft.json(t); got["rep"] != "ben@example.com" || got["rule"] != "Bens" || got["version"] != 0.0 {
		t.Errorf("a draft: %s", draft.body)
	}
	owned := ask(object{
		"lead": berlin, "presence": object{"*": "available"},
		"draft": config + "\nlists: [{slug: accounts, companies: [Acme], domains: [acme.example], owner: ben@example.com}]\nowner: {match: [account]}\n",
	})
	expect(t, "an account", owned, http.StatusOK)
	if got := owned.json(t); got["rep"] != "ben@example.com" || got["band"] != "owner" || got["rule"] != "Everything" || got["stages"].([]any)[2].(object)["by"] != "account" {
		t.Errorf("an account: %s", owned.body)
	}
	kept := ask(object{"lead": berlin, "draft": strings.Replace(config, "rules:\n", "rules:\n  - {name: Rivals, band: override, when: {domain: acme.example}, then: {hold: true}}\n", 1)})
	if got := kept.json(t); got["stage"] != "held" || got["rep"] != nil || got["rule"] != "Rivals" {
		t.Errorf("not to be routed: %s", kept.body)
	}
	for what, c := range map[string]struct {
		body   object
		status int
	}{
		"no lead":            {object{}, http.StatusBadRequest},
		"an unknown field":   {object{"lead": object{"form": "demo", "shoe": "44"}}, http.StatusBadRequest},
		"an unknown form":    {object{"lead": object{"form": "none", "email": "a@acme.example"}}, http.StatusUnprocessableEntity},
		"a refused lead":     {object{"lead": object{"form": "demo", "email": "no address"}}, http.StatusUnprocessableEntity},
		"an unknown lead":    {object{"lead": "01890a5d-ac96-774b-bcce-b302099a8057"}, http.StatusNotFound},
		"an unknown version": {object{"lead": berlin, "version": 7}, http.StatusNotFound},
		"two configurations": {object{"lead": berlin, "version": 1, "draft": other}, http.StatusBadRequest},
		"a broken draft":     {object{"lead": berlin, "draft": "version: 1\nrules: 7"}, http.StatusUnprocessableEntity},
		"a draft with holes": {object{"lead": berlin, "draft": "version: 1\nforms: [{slug: demo}]"}, http.StatusUnprocessableEntity},
		"an unknown rep":     {object{"lead": berlin, "presence": object{"eve@example.com": "away"}}, http.StatusUnprocessableEntity},
		"a wrong presence":   {object{"lead": berlin, "presence": object{"sam@example.com": "asleep"}}, http.StatusUnprocessableEntity},
		"a wrong time":       {object{"lead": berlin, "at": "tomorrow"}, http.StatusBadRequest},
	} {
		expect(t, what, ask(c.body), c.status)
	}
	var rows int
	err := s.db.Jobs.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM lead) + (SELECT count(*) FROM offer) + (SELECT count(*) FROM decision) + (SELECT count(*) FROM decision_step) + (SELECT count(*) FROM event) + (SELECT count(*) FROM pool_state)`).Scan(&rows)
	if err != nil || rows != 0 {
		t.Errorf("%d rows were written, %v", rows, err)
	}
}

func TestRouting_SaysWhyNotMe(t *testing.T) {
	s := setup(t)
	s.dispatching()
	token := s.token("leads:read", "leads:act", "routing:simulate")
	expect(t, "available", s.program(token, http.MethodPut, "/v1/reps/sam@example.com/presence", object{"presence": "available"}), http.StatusOK)
	sent := s.postJSON(leads, `{"name":"Ada","email":"api@acme.example","product":"platform"}`)
	id := sent.json(t)["lead_id"].(string)
	s.deps.Handlers.Dispatch.Wake(1)
	eventually(t, "the offer", func() bool {
		return s.program(token, http.MethodGet, "/v1/leads/"+id, nil).json(t)["stage"] == "offered"
	})
	ask := func(rep string) []any {
		t.Helper()
		a := s.program(token, http.MethodGet, "/v1/leads/"+id+"/why?rep="+rep, nil)
		expect(t, rep, a, http.StatusOK)
		return a.json(t)["decisions"].([]any)
	}
	if why := ask("sam@example.com"); len(why) != 1 || why[0].(object)["got"] != true {
		t.Errorf("sam: %v", why)
	}
	why := ask("Ben@example.com")
	codes := map[any]bool{}
	for _, c := range why[0].(object)["changes"].([]any) {
		codes[c.(object)["code"]] = true
	}
	// Ben is off, in no pool, and no rule names him.
	if why[0].(object)["got"] != false || !codes["presence"] || !codes["reachable"] || !codes["rule"] && !codes["member"] {
		t.Errorf("ben: %v", why)
	}
	expect(t, "nobody", s.program(token, http.MethodGet, "/v1/leads/"+id+"/why?rep=nobody@example.com", nil), http.StatusUnprocessableEntity)
	expect(t, "no lead", s.program(token, http.MethodGet, "/v1/leads/01890a5d-ac96-774b-bcce-b302099a8057/why?rep=sam@example.com", nil), http.StatusNotFound)
	stored := s.program(token, http.MethodPost, "/v1/routing/simulate", object{"lead": id})
	expect(t, "simulated again", stored, http.StatusOK)
	if stored.json(t)["rep"] != "sam@example.com" {
		t.Errorf("simulated again: %s", stored.body)
	}
}

func TestRouting_DraftsBecomeVersionsAndGoBack(t *testing.T) {
	s := setup(t)
	writer := s.token("routing:write")
	value, err := s.accounts.AddToken(t.Context(), "reviewer", []string{"routing:write"})
	if err != nil {
		t.Fatal(err)
	}
	reviewer := "Bearer " + value
	const drafts = "/v1/routing/drafts"
	text := strings.Replace(config, "name: Limited", "name: Less", 1) + "publishing: {approvals: 1}\n"

	expect(t, "a broken text", s.program(writer, http.MethodPost, drafts, object{"text": "version: 1\nforms: 7"}), http.StatusUnprocessableEntity)
	made := s.program(writer, http.MethodPost, drafts, object{"text": text, "note": "less"})
	expect(t, "a draft", made, http.StatusCreated)
	d := made.json(t)
	at := drafts + "/" + d["id"].(string)
	if d["author"] != "token test" || d["base"] != 1.0 || d["revision"] != 1.0 || d["state"] != "open" || !strings.Contains(d["text"].(string), "name: Less") {
		t.Errorf("the draft: %s", made.body)
	}
	expect(t, "unseen", s.program(writer, http.MethodPost, at+"/publish", object{}), http.StatusUnprocessableEntity)
	expect(t, "published", s.program(writer, http.MethodPost, at+"/publish", object{"revision": 1}), http.StatusOK)
	expect(t, "twice", s.program(writer, http.MethodPost, at+"/publish", object{"revision": 1}), http.StatusConflict)

	second := s.program(writer, http.MethodPost, drafts, object{"text": config})
	at = drafts + "/" + second.json(t)["id"].(string)
	expect(t, "alone", s.program(writer, http.MethodPost, at+"/publish", object{"revision": 1}), http.StatusConflict)
	expect(t, "one's own", s.program(writer, http.MethodPost, at+"/approve", object{"revision": 1}), http.StatusConflict)
	expect(t, "revised", s.program(writer, http.MethodPut, at, object{"text": config, "note": "again", "revision": 1}), http.StatusOK)
	expect(t, "approving what was", s.program(reviewer, http.MethodPost, at+"/approve", object{"revision": 1}), http.StatusConflict)
	expect(t, "approved", s.program(reviewer, http.MethodPost, at+"/approve", object{"revision": 2}), http.StatusOK)
	expect(t, "scheduled", s.program(writer, http.MethodPost, at+"/publish", object{"revision": 2, "at": "2100-01-01T00:00:00Z"}), http.StatusOK)
	if open := s.program(writer, http.MethodGet, drafts, nil).json(t)["drafts"].([]any); len(open) != 1 || open[0].(object)["state"] != "scheduled" {
		t.Errorf("drafts: %v", open)
	}
	expect(t, "discarded", s.program(writer, http.MethodPost, at+"/discard", object{"revision": 2}), http.StatusOK)

	expect(t, "without a reason", s.program(writer, http.MethodPost, "/v1/routing/versions/1/rollback", object{"live": 2}), http.StatusUnprocessableEntity)
	expect(t, "onto another version", s.program(writer, http.MethodPost, "/v1/routing/versions/1/rollback", object{"live": 1, "note": "why"}), http.StatusConflict)
	expect(t, "back", s.program(writer, http.MethodPost, "/v1/routing/versions/1/rollback", object{"live": 2, "note": "too few"}), http.StatusOK)
	all := s.program(writer, http.MethodGet, "/v1/routing/versions", nil).json(t)["versions"].([]any)
	if live := all[0].(object); len(all) != 3 || live["version"] != 3.0 || live["live"] != true || live["rollback_of"] != 1.0 || live["note"] != "too few" || live["hash"] != all[2].(object)["hash"] {
		t.Errorf("versions: %v", all)
	}
	if old := s.program(writer, http.MethodGet, "/v1/routing/versions/2", nil).json(t)["text"].(string); !strings.Contains(old, "name: Less") {
		t.Errorf("version 2 says %s", old)
	}
	expect(t, "no version", s.program(writer, http.MethodGet, "/v1/routing/versions/9", nil), http.StatusNotFound)
	var recorded int
	if err := s.db.Jobs.QueryRow(t.Context(), `SELECT count(*) FROM audit WHERE action LIKE 'draft.%' OR action = 'config.published' AND actor_kind = 'token'`).Scan(&recorded); err != nil || recorded != 8 {
		t.Errorf("%d records, %v", recorded, err)
	}
}
