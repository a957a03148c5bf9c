package web_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"time"
)

// dispatching runs dispatch until the test ends.
func (s *site) dispatching() {
	ctx, stop := context.WithCancel(context.WithoutCancel(s.t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.deps.Handlers.Dispatch.Run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			s.t.Error(err)
		}
	})
}

// A program plays a rep: presence, claim, outcome. Routing runs as it does in the product.
func TestAPI_ProgramsWorkALeadFromOfferToOutcome(t *testing.T) {
	s := setup(t)
	s.dispatching()
	token := s.token("leads:read", "leads:act")
	call := func(method, path, body string) answer {
		return s.do(method, path, body, "Authorization", token, "Content-Type", typeJSON)
	}

	expect(t, "unknown rep", call(http.MethodPut, "/v1/reps/nobody@example.com/presence", `{"presence":"available"}`), http.StatusNotFound)
	expect(t, "unknown presence", call(http.MethodPut, "/v1/reps/sam@example.com/presence", `{"presence":"asleep"}`), http.StatusUnprocessableEntity)
	expect(t, "unknown member", call(http.MethodPut, "/v1/reps/sam@example.com/presence", `{"present":"available"}`), http.StatusBadRequest)
	there := call(http.MethodPut, "/v1/reps/sam%40example.com/presence", `{"presence":"available"}`)
	expect(t, "available", there, http.StatusOK)
	if there.json(t)["reachable"] != true {
		t.Errorf("set by the API, yet not reachable: %s", there.body)
	}
	if reps := call(http.MethodGet, "/v1/reps", "").json(t)["reps"].([]any); len(reps) != 2 || reps[1].(map[string]any)["presence"] != "available" {
		t.Errorf("reps: %v", reps)
	}

	sent := s.postJSON(leads, `{"name":"Ada","email":"api@acme.example","product":"platform"}`)
	expect(t, "sent", sent, http.StatusCreated)
	path := "/v1/leads/" + sent.json(t)["lead_id"].(string)
	s.deps.Handlers.Dispatch.Wake(1)
	var offered map[string]any
	eventually(t, "the offer", func() bool {
		offered = call(http.MethodGet, path, "").json(t)
		return offered["stage"] == "offered"
	})
	decision, ok := offered["decision"].(map[string]any)
	if !ok || decision["rule"] != "Everything" || decision["pool"] != "global" || decision["rep"] != "sam@example.com" {
		t.Errorf("decision %v", offered["decision"])
	}
	if candidates, _ := decision["candidates"].([]any); len(candidates) == 0 || candidates[0].(map[string]any)["outcome"] != "chosen" {
		t.Errorf("candidates %v", decision["candidates"])
	}
	if passed, _ := decision["stages"].([]any); len(passed) != 6 || passed[5].(map[string]any)["by"] != "Everything" {
		t.Errorf("stages %v", decision["stages"])
	}
	if origins, _ := decision["origins"].([]any); !slices.ContainsFunc(origins, func(o any) bool {
		return reflect.DeepEqual(o, map[string]any{"fact": "product", "value": "platform", "from": "form"})
	}) {
		t.Errorf("origins %v", decision["origins"])
	}

	expect(t, "claim by nobody", call(http.MethodPost, path+"/claim", `{"rep":"nobody@example.com"}`), http.StatusUnprocessableEntity)
	won := call(http.MethodPost, path+"/claim", `{"rep":"sam@example.com","attempt":1}`)
	expect(t, "claim", won, http.StatusOK)
	again := call(http.MethodPost, path+"/claim", `{"rep":"sam@example.com","attempt":1}`)
	expect(t, "claim again", again, http.StatusOK)
	lost := call(http.MethodPost, path+"/claim", `{"rep":"ben@example.com"}`)
	expect(t, "claim by another", lost, http.StatusConflict)
	if lost.json(t)["stage"] != "claimed" || lost.json(t)["pool"] != "global" {
		t.Errorf("the loser is not told where the lead is: %s", lost.body)
	}
	if winner, _ := lost.json(t)["winner"].(map[string]any); winner["email"] != "sam@example.com" {
		t.Errorf("the loser is told %s", lost.body)
	}
	receipt := "Receipt " + sent.json(t)["receipt"].(string)
	seen := s.do(http.MethodGet, leads+path[len("/v1/leads"):], "", "Authorization", receipt).json(t)
	if rep, _ := seen["rep"].(map[string]any); seen["state"] != "with_rep" || rep["first_name"] != "Sam" {
		t.Errorf("the visitor sees %v", seen)
	}

	result := call(http.MethodPost, path+"/outcome", `{"disposition":"connected"}`)
	expect(t, "outcome", result, http.StatusOK)
	if result.json(t)["stage"] != "contacted" {
		t.Errorf("got %s", result.body)
	}
	after := call(http.MethodGet, path, "").json(t)
	clocks := after["clocks"].(map[string]any)
	for _, clock := range []string{"submit_to_offer_seconds", "submit_to_claim_seconds", "submit_to_first_touch_seconds"} {
		if seconds, ok := clocks[clock].(float64); !ok || seconds < 0 {
			t.Errorf("%s is %v", clock, clocks[clock])
		}
	}
	if rep, _ := after["rep"].(map[string]any); rep["email"] != "sam@example.com" || len(after["timeline"].([]any)) < 4 {
		t.Errorf("afterwards: rep %v, timeline %v", after["rep"], after["timeline"])
	}
}

// eventually waits for a condition; it gives up after a time that no machine needs.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(20 * time.Second); ; {
		if cond() {
			return
		}
		select {
		case <-limit:
			t.Fatalf("gave up waiting for %s", what)
		case <-tick.C:
		}
	}
}
