package web_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// An absence that a program notes keeps leads from a rep until it is taken back, in a process that only hears of it.
func TestAPI_AbsencesHoldAtOnceAndAreTakenBack(t *testing.T) {
	s := setup(t)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 2)
	live := s.deps.Handlers.Playbook
	live.WhenPeopleChange(s.deps.Handlers.Dispatch.PresenceChanged)
	go func() { done <- live.Run(ctx) }()
	go func() { done <- s.deps.Handlers.Dispatch.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	token := s.token("leads:read", "leads:act", "reps:write")
	call := func(method, path, body string) answer {
		return s.do(method, path, body, "Authorization", token, "Content-Type", typeJSON)
	}
	const sam = "/v1/reps/sam@example.com"
	expect(t, "available", call(http.MethodPut, sam+"/presence", `{"presence":"available"}`), http.StatusOK)
	now := time.Now().UTC()
	body := fmt.Sprintf(`{"kind":"leave","from":%q,"until":%q}`, now.Add(-time.Minute).Format(time.RFC3339), now.Add(time.Hour).Format(time.RFC3339))

	expect(t, "an absence of nobody", call(http.MethodPost, "/v1/reps/nobody@example.com/absences", body), http.StatusNotFound)
	expect(t, "of no kind", call(http.MethodPost, sam+"/absences", `{"kind":"holiday","from":"2026-12-01T00:00:00Z"}`), http.StatusUnprocessableEntity)
	expect(t, "backwards", call(http.MethodPost, sam+"/absences", `{"kind":"leave","from":"2026-12-01T00:00:00Z","until":"2026-11-01T00:00:00Z"}`), http.StatusUnprocessableEntity)
	added := call(http.MethodPost, sam+"/absences", body)
	expect(t, "noted", added, http.StatusCreated)
	again := call(http.MethodPost, sam+"/absences", body)
	expect(t, "noted again", again, http.StatusOK)
	id := added.json(t)["id"].(string)
	if again.json(t)["id"] != id {
		t.Errorf("the same absence twice: %s, %s", added.body, again.body)
	}
	if all := call(http.MethodGet, sam+"/absences", "").json(t)["absences"].([]any); len(all) != 1 {
		t.Errorf("absences: %v", all)
	}
	working := func() (bool, any) {
		for _, r := range call(http.MethodGet, "/v1/reps", "").json(t)["reps"].([]any) {
			if r := r.(map[string]any); r["email"] == "sam@example.com" {
				return r["working"].(bool), r["not_working"]
			}
		}
		return false, "missing"
	}
	eventually(t, "the absence to be known", func() bool { is, why := working(); return !is && why == "leave" })

	sent := s.postJSON(leads, `{"name":"Ada","email":"leave@acme.example","product":"platform"}`)
	expect(t, "sent", sent, http.StatusCreated)
	path := "/v1/leads/" + sent.json(t)["lead_id"].(string)
	s.deps.Handlers.Dispatch.Wake(1)
	var found map[string]any
	stage := func(want string) func() bool {
		return func() bool { found = call(http.MethodGet, path, "").json(t); return found["stage"] == want }
	}
	eventually(t, "the lead to wait or go elsewhere", func() bool { return stage("waiting")() || stage("offered")() })
	codes := map[any]bool{}
	for _, c := range found["decision"].(map[string]any)["candidates"].([]any) {
		codes[c.(map[string]any)["code"]] = true
	}
	if !codes["leave"] {
		t.Errorf("nobody is said to be on leave: %v", found["decision"])
	}

	expect(t, "of another", call(http.MethodDelete, "/v1/reps/mia@example.com/absences/"+id, ""), http.StatusNotFound)
	expect(t, "taken back", call(http.MethodDelete, sam+"/absences/"+id, ""), http.StatusNoContent)
	expect(t, "twice", call(http.MethodDelete, sam+"/absences/"+id, ""), http.StatusNotFound)
	eventually(t, "the rep to work again", func() bool { is, _ := working(); return is })
	eventually(t, "the offer", stage("offered"))

	expect(t, "no pool", call(http.MethodGet, "/v1/pools/nowhere/credits", ""), http.StatusNotFound)
	expect(t, "no reason", call(http.MethodPost, "/v1/pools/global/credits", `{"rep":"sam@example.com","amount":1}`), http.StatusUnprocessableEntity)
	expect(t, "adjusted", call(http.MethodPost, "/v1/pools/global/credits", `{"rep":"sam@example.com","amount":1,"reason":"A quiet week"}`), http.StatusCreated)
	if ledger := call(http.MethodGet, "/v1/pools/global/credits", "").json(t)["credits"].([]any); len(ledger) != 1 || ledger[0].(map[string]any)["reason"] != "A quiet week" {
		t.Errorf("ledger: %v", ledger)
	}
	expect(t, "nobody has it", call(http.MethodPost, path+"/handover", `{"reason":"Mia knows them"}`), http.StatusConflict)
	expect(t, "claim", call(http.MethodPost, path+"/claim", `{"rep":"sam@example.com"}`), http.StatusOK)
	expect(t, "taken without a reason", call(http.MethodPost, path+"/handover", `{}`), http.StatusUnprocessableEntity)
	expect(t, "given away by another", call(http.MethodPost, path+"/handover", `{"rep":"ben@example.com","reason":"I know them"}`), http.StatusForbidden)
	taken := call(http.MethodPost, path+"/handover", `{"reason":"Mia knows them"}`)
	expect(t, "taken", taken, http.StatusOK)
	if taken.json(t)["lead_id"] != found["lead_id"] || taken.json(t)["stage"] == "claimed" {
		t.Errorf("taken: %s", taken.body)
	}
	eventually(t, "the offer", stage("offered")) // to the whole pool
	expect(t, "claim again", call(http.MethodPost, path+"/claim", `{"rep":"sam@example.com"}`), http.StatusOK)
	expect(t, "neither yes nor no", call(http.MethodPut, sam+"/active", `{}`), http.StatusUnprocessableEntity)
	gone := call(http.MethodPut, sam+"/active", `{"active":false}`)
	expect(t, "deactivated", gone, http.StatusOK)
	if gone.json(t)["active"] != false || gone.json(t)["not_working"] != "deactivated" {
		t.Errorf("deactivated: %s", gone.body)
	}
	eventually(t, "the lead to leave them", stage("waiting"))
	only := s.token("leads:read", "leads:act")
	expect(t, "without the scope", s.do(http.MethodPost, sam+"/absences", body, "Authorization", only, "Content-Type", typeJSON), http.StatusForbidden)
}
