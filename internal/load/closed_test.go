package load_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"leadline/internal/fault"
	"leadline/internal/load"
)

func TestRun_ClosedLoopKeepsEveryConnectionOfEveryServerBusy(t *testing.T) {
	const connections = 6
	var busy, most atomic.Int64
	together := make(chan struct{})
	answer := func(n int64, w http.ResponseWriter) {
		if now := busy.Add(1); now == connections {
			most.Store(now)
			select {
			case <-together:
			default:
				close(together)
			}
		}
		<-together // nobody is answered before all connections wait
		busy.Add(-1)
		created(n, w)
	}
	one, url := serve(t, 0, answer)
	other, also := serve(t, 0, answer)
	r, err := load.Run(t.Context(), load.Options{Target: url, Also: []string{also}, Form: "demo", Connections: connections, Duration: 300 * time.Millisecond, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if most.Load() != connections || one.n.Load() == 0 || other.n.Load() == 0 {
		t.Errorf("%d connections at once, %d and %d leads at the two servers", most.Load(), one.n.Load(), other.n.Load())
	}
	if r.OK == 0 || r.OK != one.n.Load()+other.n.Load() || int(r.OK) != len(one.keys)+len(other.keys) || r.Rate != 0 || r.P999 < r.P99 || r.P999 > r.Max {
		t.Errorf("servers saw %d and %d leads: %+v", one.n.Load(), other.n.Load(), r)
	}
}

func TestRun_GoesOnWithTheSamePeopleAndOtherKeys(t *testing.T) {
	in, url := serve(t, 0, created)
	o := load.Options{Target: url, Form: "demo", Rate: 500, Duration: 100 * time.Millisecond, Even: true, Seed: 5, Now: time.Now}
	if _, err := load.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	o.People, o.First = 50, 50
	if _, err := load.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	sent := map[any]int{}
	for _, l := range in.leads {
		sent[l["email"]]++
	}
	for email, n := range sent {
		if n != 2 {
			t.Errorf("%v was sent %d times", email, n)
		}
	}
	if len(sent) != 50 || len(in.keys) != 100 {
		t.Errorf("%d people with %d keys, want 50 with 100", len(sent), len(in.keys))
	}
}

func TestRun_ReadsAnswersHoweverTheyAreSent(t *testing.T) {
	const text = `{"lead_id":"0192a"}`
	for name, answer := range map[string]http.HandlerFunc{
		"with their length": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(text))
		},
		"in chunks": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(text[:5]))
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write([]byte(text[5:]))
		},
		"with an announcement before": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(text))
		},
		"once per connection": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(text))
		},
	} {
		h := httptest.NewServer(answer)
		var acked atomic.Int64
		r, err := load.Run(t.Context(), load.Options{
			Target: h.URL, Form: "demo", Rate: 500, Duration: 100 * time.Millisecond, Even: true, Workers: 2, Now: time.Now,
			Acked: func(id string) {
				if id == "0192a" {
					acked.Add(1)
				}
			},
		})
		h.Close()
		if err != nil || r.OK != 50 || acked.Load() != 50 {
			t.Errorf("%s: %d of 50 acknowledged: %+v, %v", name, acked.Load(), r, err)
		}
	}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = conn.Write([]byte("no HTTP at all\r\n\r\n"))
		_ = conn.Close()
	}))
	defer h.Close()
	r, err := load.Run(t.Context(), load.Options{Target: h.URL, Form: "demo", Rate: 50, Duration: 100 * time.Millisecond, Even: true, Now: time.Now})
	if err != nil || r.Errors["cut without an answer"] != 5 {
		t.Errorf("no HTTP: %+v, %v", r, err)
	}
}

func TestRun_TakesARateOrConnections(t *testing.T) {
	for name, o := range map[string]load.Options{
		"both":           {Rate: 1, Connections: 1},
		"too many":       {Connections: 10_001},
		"another server": {Rate: 1, Also: []string{"nowhere"}},
	} {
		o.Target, o.Form, o.Duration, o.Now = "http://127.0.0.1:1", "demo", time.Second, time.Now
		if _, err := load.Run(t.Context(), o); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
