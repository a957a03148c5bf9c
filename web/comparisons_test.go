package web_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestRouting_HoldsOtherRulesAgainstThePastAndLiveLeads(t *testing.T) {
	s := setup(t)
	s.dispatching()
	token := s.token("leads:read", "leads:act", "routing:simulate", "routing:write")
	call := func(want int, method, path string, body any) object {
		t.Helper()
		a := s.program(token, method, path, body)
		expect(t, method+" "+path, a, want)
		return a.json(t)
	}
	call(http.StatusOK, http.MethodPut, "/v1/reps/sam@example.com/presence", object{"presence": "available"})
	id := s.postJSON(leads, `{"name":"Ada","email":"api@acme.example","product":"platform"}`).json(t)["lead_id"].(string)
	s.deps.Handlers.Dispatch.Wake(1)
	eventually(t, "the offer", func() bool { return call(http.StatusOK, http.MethodGet, "/v1/leads/"+id, nil)["stage"] == "offered" })
	other := strings.Replace(config, "{name: Everything, band: default, when: {}, then: {pool: global}}", "{name: Bens, band: default, when: {}, then: {pool: global, rep: ben@example.com}}", 1)
	draft := call(http.StatusCreated, http.MethodPost, "/v1/routing/drafts", object{"text": other})["id"]

	const backtest, shadow, canary = "/v1/routing/backtest", "/v1/routing/shadow", "/v1/routing/canary"
	call(http.StatusBadRequest, http.MethodPost, backtest, object{"days": 1})
	call(http.StatusUnprocessableEntity, http.MethodPost, backtest, object{"days": 0, "draft": draft})
	call(http.StatusNotFound, http.MethodGet, backtest+"/"+id, nil)
	added := call(http.StatusAccepted, http.MethodPost, backtest, object{"days": 1, "draft": draft})
	at := backtest + "/" + added["id"].(string)
	var result object
	eventually(t, "the backtest", func() bool { result = call(http.StatusOK, http.MethodGet, at, nil); return result["state"] == "done" })
	if sums := result["sums"].(object); result["of"] != 1.0 || result["done"] != 1.0 || sums["moved"] != 1.0 || sums["moves"].(object)["global > ben@example.com"] != 1.0 {
		t.Errorf("the backtest: %v", result)
	}
	if again := call(http.StatusOK, http.MethodDelete, at, nil); again["state"] != "done" {
		t.Errorf("cancelled when it was over: %v", again)
	}

	if none := call(http.StatusOK, http.MethodGet, shadow, nil); none["shadow"] != nil {
		t.Errorf("no shadow yet: %v", none)
	}
	begun := call(http.StatusCreated, http.MethodPost, shadow, object{"draft": draft})["shadow"].(object)
	if begun["draft"] != draft || begun["ended_at"] != nil {
		t.Errorf("begun: %v", begun)
	}
	call(http.StatusConflict, http.MethodPost, shadow, object{"version": 1})
	if ended := call(http.StatusOK, http.MethodDelete, shadow, nil)["shadow"].(object); ended["ended_at"] == nil {
		t.Errorf("ended: %v", ended)
	}

	call(http.StatusBadRequest, http.MethodPost, canary, object{"draft": draft, "percent": 5})
	call(http.StatusUnprocessableEntity, http.MethodPost, canary, object{"draft": draft, "percent": 80, "for": "1h"})
	call(http.StatusConflict, http.MethodPost, canary+"/promote", object{})
	running := call(http.StatusCreated, http.MethodPost, canary, object{"draft": draft, "percent": 5, "for": "1h", "max_accept": 2})["canary"].(object)
	if running["state"] != "running" || running["version"] != 2.0 || running["percent"] != 5.0 || running["max_accept"] != 2.0 || running["min_leads"] != 50.0 {
		t.Errorf("the canary: %v", running)
	}
	if promoted := call(http.StatusOK, http.MethodPost, canary+"/promote", object{"note": "fine"})["canary"].(object); promoted["state"] != "promoted" {
		t.Errorf("promoted: %v", promoted)
	}
	if live := call(http.StatusOK, http.MethodGet, "/v1/routing/versions", nil)["versions"].([]any)[0].(object); live["version"] != 2.0 || live["live"] != true {
		t.Errorf("live: %v", live)
	}
	call(http.StatusOK, http.MethodDelete, canary, nil)
}
