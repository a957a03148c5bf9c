package load_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nyaruka/phonenumbers"

	"leadline/internal/fault"
	"leadline/internal/load"
)

// intake is a form endpoint that stores nothing and keeps what it was sent.
type intake struct {
	delay  time.Duration
	answer func(n int64, w http.ResponseWriter)
	n      atomic.Int64
	mu     sync.Mutex
	keys   map[string]bool
	leads  []map[string]any
}

func (i *intake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var lead map[string]any
	if err := json.NewDecoder(r.Body).Decode(&lead); err != nil || r.URL.Path != "/v1/forms/demo/leads" || r.Method != http.MethodPost {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	i.mu.Lock()
	i.keys[r.Header.Get("Idempotency-Key")] = true
	i.leads = append(i.leads, lead)
	i.mu.Unlock()
	time.Sleep(i.delay) // the latency that the generator must measure
	i.answer(i.n.Add(1), w)
}

func created(_ int64, w http.ResponseWriter) {
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write([]byte(`{"lead_id":"0192a"}`))
}

func serve(t *testing.T, delay time.Duration, answer func(int64, http.ResponseWriter)) (*intake, string) {
	t.Helper()
	i := &intake{delay: delay, answer: answer, keys: map[string]bool{}}
	h := httptest.NewServer(i)
	t.Cleanup(h.Close)
	return i, h.URL
}

func TestRun_MeasuresLatencyAndKeepsTheRate(t *testing.T) {
	const delay = 30 * time.Millisecond
	in, url := serve(t, delay, created)
	var acked atomic.Int64
	r, err := load.Run(t.Context(), load.Options{
		Target: url, Form: "demo", Rate: 200, Duration: 2 * time.Second, Even: true, Seed: 7, Now: time.Now,
		Acked: func(id string) {
			if id == "0192a" {
				acked.Add(1)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Sent != 400 || r.OK != 400 || acked.Load() != 400 || len(r.Errors) != 0 {
		t.Errorf("sent %d, stored %d, acked %d, errors %v; want 400 and none", r.Sent, r.OK, acked.Load(), r.Errors)
	}
	// A machine that has no time for us takes longer; the report must then say so, and never claim more than was asked for.
	if stored := r.AchievedRate * r.Seconds; r.AchievedRate > 200.5 || stored < 399 || stored > 401 {
		t.Errorf("achieved %.1f/s of 200 over %.2f s", r.AchievedRate, r.Seconds)
	}
	if r.P50 < 30 || r.P50 > r.P90 || r.P90 > r.P95 || r.P95 > r.P99 || r.P99 > r.Max {
		t.Errorf("percentiles are not plausible for %v: %+v", delay, r)
	}
	if len(in.keys) != 400 {
		t.Errorf("%d different idempotency keys, want 400", len(in.keys))
	}
	if s := r.String(); !strings.Contains(s, "p99") || !strings.Contains(s, "stored 400") {
		t.Errorf("report:\n%s", s)
	}
}

func TestRun_CountsQueueingFromTheMomentALeadWasDue(t *testing.T) {
	// One connection and 20 ms each can do 50/s. At 200/s leads wait: the last one for most of the run.
	_, url := serve(t, 20*time.Millisecond, created)
	r, err := load.Run(t.Context(), load.Options{
		Target: url, Form: "demo", Rate: 200, Duration: 500 * time.Millisecond, Even: true, Workers: 1, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.OK != 100 || r.Max < 1000 || r.P50 < 300 {
		t.Errorf("queueing is hidden: %+v", r)
	}
	if r.AchievedRate > 100 {
		t.Errorf("achieved %.1f/s claims more than the server can do", r.AchievedRate)
	}
}

func TestRun_CountsFailuresByKind(t *testing.T) {
	_, url := serve(t, 0, func(n int64, w http.ResponseWriter) {
		switch n % 10 {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 5:
			panic(http.ErrAbortHandler)
		default:
			created(n, w)
		}
	})
	r, err := load.Run(t.Context(), load.Options{Target: url, Form: "demo", Rate: 500, Duration: 400 * time.Millisecond, Even: true, Workers: 4, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	failed := int64(0)
	for _, n := range r.Errors {
		failed += n
	}
	if r.Errors["status 503"] == 0 || r.OK == 0 || r.OK+failed != r.Sent || r.Sent != 200 {
		t.Errorf("%+v", r)
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	r, err = load.Run(t.Context(), load.Options{Target: closed.URL, Form: "demo", Rate: 100, Duration: 100 * time.Millisecond, Now: time.Now})
	if err != nil || r.OK != 0 || r.Errors["no connection"] != r.Sent {
		t.Errorf("without a server: %+v, %v", r, err)
	}
}

func TestRun_TimeoutIsAFailureOfItsOwn(t *testing.T) {
	release := make(chan struct{})
	_, url := serve(t, 0, func(int64, http.ResponseWriter) { <-release })
	defer close(release)
	r, err := load.Run(t.Context(), load.Options{
		Target: url, Form: "demo", Rate: 50, Duration: 100 * time.Millisecond, Even: true, Timeout: 100 * time.Millisecond, Now: time.Now,
	})
	if err != nil || r.Errors["timeout"] != 5 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRun_PeopleAreValidAndDistinct(t *testing.T) {
	in, url := serve(t, 0, created)
	send := func(people int, seed uint64) {
		t.Helper()
		if _, err := load.Run(t.Context(), load.Options{
			Target: url, Form: "demo", Rate: 4000, Duration: 250 * time.Millisecond, Even: true, People: people, Seed: seed, Now: time.Now,
		}); err != nil {
			t.Fatal(err)
		}
	}
	emails := func() map[any]bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		out := map[any]bool{}
		for _, l := range in.leads {
			out[l["email"]] = true
		}
		return out
	}
	send(0, 1)
	if n := len(emails()); n != 1000 {
		t.Fatalf("%d different people, want 1000", n)
	}
	seen := map[string]bool{}
	for _, l := range in.leads {
		country, _ := l["country"].(string)
		phone, _ := l["phone"].(string)
		if seen[phone] {
			continue
		}
		seen[phone] = true
		number, err := phonenumbers.Parse(phone, country)
		if err != nil || !phonenumbers.IsValidNumberForRegion(number, country) {
			t.Errorf("%q is no number of %s: %v", phone, country, err)
		}
	}
	send(0, 2)
	if n := len(emails()); n != 2000 {
		t.Errorf("two runs share people: %d, want 2000", n)
	}
	send(20, 3)
	if n := len(emails()); n != 2020 {
		t.Errorf("20 people became %d", n-2000)
	}
}

func TestRun_RefusesOptionsThatMakeNoSense(t *testing.T) {
	good := load.Options{Target: "http://127.0.0.1:1", Form: "demo", Rate: 1, Duration: time.Second, Now: time.Now}
	for name, spoil := range map[string]func(*load.Options){
		"target":   func(o *load.Options) { o.Target = "127.0.0.1:8080" },
		"form":     func(o *load.Options) { o.Form = "" },
		"rate":     func(o *load.Options) { o.Rate = 0 },
		"duration": func(o *load.Options) { o.Duration = -1 },
	} {
		o := good
		spoil(&o)
		if _, err := load.Run(t.Context(), o); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
