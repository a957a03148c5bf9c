package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"leadline/web"
)

// A program sees how much time a lead may take, lets its clocks stand, and reads apart what the system and people took.
func TestAPI_ClocksRunStandAndStop(t *testing.T) {
	s := setupWith(t, strings.Replace(config, "strategy: weighted,", "strategy: weighted, sla: {accept: 10m, first_attempt: 1h, contact: 2h},", 1), web.New)
	s.dispatching()
	token := s.token("leads:read", "leads:act")
	call := func(method, path, body string) answer {
		return s.do(method, path, body, "Authorization", token, "Content-Type", typeJSON)
	}
	expect(t, "available", call(http.MethodPut, "/v1/reps/sam@example.com/presence", `{"presence":"available"}`), http.StatusOK)
	sent := s.postJSON(leads, `{"name":"Ada","email":"clock@acme.example","product":"platform"}`)
	expect(t, "sent", sent, http.StatusCreated)
	path := "/v1/leads/" + sent.json(t)["lead_id"].(string)
	eventually(t, "the offer", func() bool { return call(http.MethodGet, path, "").json(t)["stage"] == "offered" })
	expect(t, "claim", call(http.MethodPost, path+"/claim", `{"rep":"sam@example.com"}`), http.StatusOK)

	states := func(from map[string]any) string {
		words := []string{}
		for _, c := range from["sla"].([]any) {
			clock := c.(map[string]any)
			words = append(words, clock["clock"].(string)+" "+clock["state"].(string))
		}
		return strings.Join(words, ", ")
	}
	lead := func() map[string]any { return call(http.MethodGet, path, "").json(t) }
	clocks := func() map[string]any { return lead()["clocks"].(map[string]any) }
	if got := states(clocks()); got != "accept stopped, first_attempt running, contact running" {
		t.Errorf("after the claim: %s", got)
	}

	until := time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second).Format(time.RFC3339)
	for body, status := range map[string]int{
		`{"reason":"lunch"}`:                                      http.StatusUnprocessableEntity,
		`{"reason":"quiet_hours"}`:                                http.StatusUnprocessableEntity,
		`{"reason":"quiet_hours","until":"tomorrow"}`:             http.StatusUnprocessableEntity,
		`{"reason":"quiet_hours","until":"2020-01-01T00:00:00Z"}`: http.StatusUnprocessableEntity,
		`{"because":"quiet_hours"}`:                               http.StatusBadRequest,
	} {
		expect(t, body, call(http.MethodPost, path+"/pause", body), status)
	}
	expect(t, "no such lead", call(http.MethodPost, "/v1/leads/0192aaaa-0000-7000-8000-000000000000/pause", `{"reason":"on_hold","note":"x"}`), http.StatusNotFound)
	paused := call(http.MethodPost, path+"/pause", `{"reason":"asked_for_time","until":"`+until+`","note":"after her holiday"}`)
	expect(t, "pause", paused, http.StatusOK)
	if got := states(paused.json(t)); got != "accept stopped, first_attempt paused, contact paused" {
		t.Errorf("while paused: %s", got)
	}
	if why, _ := lead()["pause"].(map[string]any); why["reason"] != "asked_for_time" || !strings.HasPrefix(why["until"].(string), until[:19]) || why["note"] != nil {
		t.Errorf("the pause reads %v", why)
	}
	expect(t, "resume", call(http.MethodPost, path+"/resume", ""), http.StatusOK)
	expect(t, "resume again", call(http.MethodPost, path+"/resume", ""), http.StatusConflict)
	if lead()["pause"] != nil {
		t.Error("resumed, and still paused")
	}

	expect(t, "nobody answers", call(http.MethodPost, path+"/outcome", `{"disposition":"no_answer"}`), http.StatusOK)
	after := clocks()
	if got := states(after); got != "accept stopped, first_attempt stopped, contact running" {
		t.Errorf("after an attempt: %s", got)
	}
	system, human := after["system_seconds"], after["human_seconds"]
	if system == nil || human == nil || after["submit_to_contact_seconds"] != nil {
		t.Errorf("system %v, human %v, contact %v", system, human, after["submit_to_contact_seconds"])
	}
	if sum := system.(float64) + human.(float64) - after["submit_to_first_touch_seconds"].(float64); sum > .001 || sum < -.001 {
		t.Errorf("system and human do not make the whole: %v and %v of %v", system, human, after["submit_to_first_touch_seconds"])
	}
	expect(t, "spoken", call(http.MethodPost, path+"/outcome", `{"disposition":"connected"}`), http.StatusOK)
	if got := states(clocks()); got != "accept stopped, first_attempt stopped, contact stopped" || clocks()["submit_to_contact_seconds"] == nil {
		t.Errorf("after a contact: %s", got)
	}
	expect(t, "without the scope", s.do(http.MethodPost, path+"/pause", `{"reason":"on_hold","note":"x"}`, "Authorization", s.token("leads:read"), "Content-Type", typeJSON), http.StatusForbidden)
}
