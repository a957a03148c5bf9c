package web_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leadline/internal/intake"
	"leadline/internal/keyring"
	"leadline/internal/machine"
	"leadline/internal/playbook"
	"leadline/internal/privacy"
	"leadline/web"
)

// beside starts another process of the same installation: everything of its own but the database and the secret.
func (s *site) beside() *site {
	t := s.t
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	service := intake.New(intake.Options{DB: s.db, Secret: make([]byte, 32), Node: 2, Now: time.Now, Seal: s.ring.Envelope})
	other, deps := *s, s.deps
	deps.PublicURL = &url.URL{Scheme: "http", Host: listener.Addr().String()}
	other.url = deps.PublicURL.String()
	deps.Handlers.Intake, deps.Handlers.PublicURL = service, other.url
	server, err := web.New(deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 2)
	go func() { done <- service.Run(ctx) }()
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		limit, release := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer release()
		if err := server.Shutdown(limit); err != nil {
			t.Error(err)
		}
		stop()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	return &other
}

const storedKeys = config + `
clients:
  - {slug: partner, forms: [demo], keys: ["secret:partner", "secret:partner_next"]}
`

// setupStored runs a server that follows stored secrets as the product does.
func setupStored(t *testing.T) (s *site, live *playbook.Live, secrets *keyring.Secrets) {
	t.Helper()
	var ring atomic.Pointer[keyring.Ring] // made with the site
	s = setupWith(t, storedKeys, web.New, func(d *web.Deps) {
		live = playbook.NewLive(d.Handlers.DB, func(string) (string, bool) { return "", false }, slog.New(slog.DiscardHandler))
		live.UseSecrets(func(ctx context.Context, name string) (privacy.Secret, error) {
			return ring.Load().Secrets().Lookup(ctx, name)
		})
		d.Handlers.Playbook = live
	})
	ring.Store(s.ring)
	if err := live.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- live.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, live, s.ring.Secrets()
}

// until waits for the live configuration to be as a test needs it.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick, limit := time.NewTicker(5*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: it did not happen", what)
		}
	}
}

// A key is exchanged while leads come in: the next one is stored, the sender moves over, the first one is replaced. No lead is refused.
func TestMachine_ExchangesKeysUnderLoad(t *testing.T) {
	s, live, secrets := setupStored(t)
	usable := func() int { return len(live.Current().Clients[0].Keys) }
	put := func(name string, value privacy.Secret, want int) {
		t.Helper()
		before := live.Current()
		if err := secrets.Set(t.Context(), name, value); err != nil {
			t.Fatal(err)
		}
		until(t, name, func() bool { return live.Current() != before && usable() == want })
	}
	put("partner", testKey("a"), 1)

	var (
		signing atomic.Value
		sent    atomic.Int64
		all     sync.WaitGroup
	)
	working, enough := context.WithCancel(t.Context())
	defer all.Wait()
	defer enough()
	signing.Store(testKey("a"))
	for w := range 4 {
		all.Go(func() {
			for n := 0; working.Err() == nil; n++ {
				mark := strconv.Itoa(w) + "-" + strconv.Itoa(n)
				body := person("r" + mark)
				key := signing.Load().(privacy.Secret)
				res := patiently(func() answer {
					return s.do(http.MethodPost, leads, body, signed(t, key, "m-"+mark, time.Now(), body)...)
				})
				if !taken(res) {
					t.Errorf("%s: %d %s", mark, res.StatusCode, res.body)
				}
				sent.Add(1)
			}
		})
	}
	more := func() {
		t.Helper()
		from := sent.Load()
		until(t, "leads", func() bool { return sent.Load() > from+20 }) // more than are in flight: all are signed as was said
	}
	more()
	put("partner_next", testKey("b"), 2)
	more()
	signing.Store(testKey("b"))
	more()
	put("partner", testKey("c"), 2)
	more()
	signing.Store(testKey("c"))
	more()
	if err := secrets.Remove(t.Context(), "partner_next"); err != nil {
		t.Fatal(err)
	}
	until(t, "removed", func() bool { return usable() == 1 })
	more()
	enough()
	all.Wait()
	t.Logf("%d leads came in while keys were exchanged", sent.Load())
	if n := s.count(`SELECT count(*) FROM lead`); n != int(sent.Load()) {
		t.Errorf("%d leads of %d", n, sent.Load())
	}
	for name, key := range map[string]privacy.Secret{"the first key": testKey("a"), "the removed key": testKey("b")} {
		expect(t, name, s.do(http.MethodPost, leads, person("z"), signed(t, key, "m-z", time.Now(), person("z"))...), http.StatusUnauthorized)
	}
}

func TestMachine_AKeyThatIsNoneStopsNobodyElse(t *testing.T) {
	s, live, secrets := setupStored(t)
	if err := secrets.Set(t.Context(), "partner", "not-a-key-SECRET"); err != nil {
		t.Fatal(err)
	}
	until(t, "the reason", func() bool {
		wrong := live.Current().Clients[0].Wrong
		return len(wrong) == 2 && strings.Contains(wrong[0], "does not begin with whsec_") && strings.Contains(wrong[1], "is not set")
	})
	expect(t, "signed", s.send("partner", "m-1", person("ann")), http.StatusUnauthorized)
	expect(t, "a visitor", s.postJSON(leads, person("ann")), http.StatusCreated)
	if metrics := s.do(http.MethodGet, "/metrics", "").body; !strings.Contains(metrics, `leadline_intake_signature_total{outcome="unusable"} 1`) {
		t.Error("it is not counted")
	}
	key := machine.NewKey()
	if err := secrets.Set(t.Context(), "partner_next", key); err != nil {
		t.Fatal(err)
	}
	until(t, "the other key", func() bool { return len(live.Current().Clients[0].Keys) == 1 })
	body := person("bob")
	expect(t, "signed with the other", s.do(http.MethodPost, leads, body, signed(t, key, "m-2", time.Now(), body)...), http.StatusCreated)
}

// The commands that the documentation shows, run as they stand there.
func TestDocumentation_ItsShellSendsALead(t *testing.T) {
	s := setupMachines(t)
	page, err := os.ReadFile("../docs/machine-clients.md")
	if err != nil {
		t.Fatal(err)
	}
	_, script, found := strings.Cut(string(page), "```sh\n")
	script, _, _ = strings.Cut(script, "```")
	if !found || !strings.Contains(script, "openssl") {
		t.Fatal("the page shows no commands")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", script)
	cmd.Env = append(os.Environ(), "LEADLINE_URL="+s.url, "LEADLINE_KEY="+testKey("partner").Plain())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"duplicate":false`) {
		t.Errorf("%v: %s", err, out)
	}
	if n := s.count(`SELECT count(*) FROM lead l JOIN contact c ON c.lead_id = l.id WHERE c.context ->> 'machine' = 'partner' AND c.name = 'Ann'`); n != 1 {
		t.Errorf("%d leads", n)
	}
}
