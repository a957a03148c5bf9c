package web_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"leadline/web"
)

// TestOverload_ShedsFromTheLowestClassAndNeverSubmits: the further intake is behind, the more of what matters less is refused.
func TestOverload_ShedsFromTheLowestClassAndNeverSubmits(t *testing.T) {
	var behind atomic.Int64
	s := setup(t, func(d *web.Deps) { d.Behind = func() time.Duration { return time.Duration(behind.Load()) } })
	rep := s.signIn("rep@example.com", "rep")
	stored := s.postJSON(leads, `{"email":"a@acme.example","product":"platform"}`)
	expect(t, "a first lead", stored, 201)
	receipt := fmt.Sprint(stored.json(t)["receipt"])
	own := leads + "/" + fmt.Sprint(stored.json(t)["lead_id"])
	n := 0
	calls := []struct {
		class string
		do    func() answer
		fine  int
	}{
		{"beacon", func() answer {
			return s.do(http.MethodPost, "/v1/rum", `{"form":"demo","ack_ms":120,"device":"touch","network":"4g"}`)
		}, 204},
		{"reading", func() answer { return s.do(http.MethodGet, "/me/devices", "", "Cookie", rep, "Accept", "text/html") }, 200},
		{"profiling", func() answer { return s.do(http.MethodGet, own, "", "Authorization", "Receipt "+receipt) }, 200},
		{"submit", func() answer {
			n++
			return s.postJSON(leads, fmt.Sprintf(`{"email":"b%d@acme.example","product":"platform"}`, n))
		}, 201},
		{"vital", func() answer { return s.do(http.MethodGet, "/healthz", "") }, 200},
	}
	for refused, delay := range []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond, time.Minute} {
		behind.Store(int64(delay))
		<-time.After(web.LagEvery + 10*time.Millisecond) // what was found is good for a moment
		for i, c := range calls {
			got := c.do()
			if i >= refused {
				expect(t, fmt.Sprintf("%s while %v behind", c.class, delay), got, c.fine)
				continue
			}
			expect(t, fmt.Sprintf("%s while %v behind", c.class, delay), got, 503)
			if seconds, err := strconv.Atoi(got.Header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 3 {
				t.Errorf("%s: Retry-After %q", c.class, got.Header.Get("Retry-After"))
			}
			if c.class == "reading" && (got.Header.Get("Refresh") != got.Header.Get("Retry-After") || !strings.Contains(got.body, "tries again by itself")) {
				t.Errorf("a page that was refused does not come back by itself: %v", got.Header)
			}
		}
	}
	text := s.do(http.MethodGet, "/metrics", "").body
	for _, class := range []string{"beacon", "reading", "profiling"} {
		if !strings.Contains(text, `leadline_shed_total{class="`+class+`"}`) {
			t.Errorf("refused requests of class %s are not counted", class)
		}
	}
	if !strings.Contains(text, `leadline_click_to_ack_seconds_count{device="touch",form="demo",network="4g"}`) {
		t.Error("the beacon is not counted")
	}
}

func TestRUM_TakesOnlyWhatABrowserCouldHaveMeasured(t *testing.T) {
	s := setup(t)
	for body, status := range map[string]int{
		`{"form":"demo","ack_ms":120.5}`:                                    204,
		`{"form":"demo","ack_ms":0,"device":"fridge","network":"<script>"}`: 204,
		`{"form":"nowhere","ack_ms":120}`:                                   404,
		`{"form":"demo","ack_ms":-1}`:                                       400,
		`{"form":"demo","ack_ms":1e12}`:                                     400,
		`not JSON`:                                                          400,
		`{"form":"demo","ack_ms":"soon"}`:                                   400,
	} {
		expect(t, body, s.do(http.MethodPost, "/v1/rum", body, "Content-Type", "text/plain;charset=UTF-8"), status)
	}
	expect(t, "another site", s.do(http.MethodPost, "/v1/rum", `{"form":"demo","ack_ms":1}`, "Origin", "https://evil.example"), 403)
	expect(t, "the form's site", s.do(http.MethodPost, "/v1/rum", `{"form":"demo","ack_ms":1}`, "Origin", "https://www.example.com"), 204)
	if text := s.do(http.MethodGet, "/metrics", "").body; strings.Contains(text, "fridge") || strings.Contains(text, "<script") || !strings.Contains(text, `device="other"`) {
		t.Error("labels hold what visitors said")
	}
}
