package web_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/handlers"
	"leadline/internal/account"
	appconfig "leadline/internal/config"
	"leadline/internal/dispatch"
	"leadline/internal/hold"
	"leadline/internal/intake"
	"leadline/internal/keyring"
	"leadline/internal/lead"
	"leadline/internal/outbox"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/rep"
	"leadline/internal/simulate"
	"leadline/internal/spam"
	"leadline/internal/telemetry"
	"leadline/web"
)

const config = `
version: 1
forms:
  - slug: demo
    name: Demo request
    intent: high
    allowed_origins: ["https://www.example.com"]
    fields:
      - {name: product, type: choice, options: [platform, analytics], required: true}
      - {name: team_size, label: Team size, type: number}
    consent: {text_version: v3}
  - {slug: limited, name: Limited, intent: low, limits: {per_ip: 2/1m}}
reps:
  - {email: sam@example.com, name: Sam Lee, timezone: Europe/Berlin}
  - {email: ben@example.com, name: Ben Ode, timezone: Europe/Berlin}
pools:
  - {slug: global, members: [{rep: sam@example.com}], strategy: weighted, last_resort: sam@example.com}
rules:
  - {name: Everything, band: default, when: {}, then: {pool: global}}
`

// site is a web server on a real port, with a database of its own and intake behind it.
type site struct {
	t        testing.TB
	url      string
	deps     web.Deps
	db       *postgres.DB
	accounts *account.Store
	leads    *lead.Store
	ring     *keyring.Ring
	client   *http.Client
}

func setup(t testing.TB, change ...func(*web.Deps)) *site {
	t.Helper()
	return setupWith(t, config, web.New, change...)
}

// setupWith is setup with another configuration, and another way to assemble the server.
func setupWith(t testing.TB, config string, build func(web.Deps) (*web.Server, error), change ...func(*web.Deps)) *site {
	t.Helper()
	db := pgtest.New(t)
	cfg, problems := playbook.Parse("test.yaml", []byte(config))
	if playbook.Failed(problems) {
		t.Fatal(problems)
	}
	if _, _, err := playbook.Apply(t.Context(), db, cfg, "test", "", false); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	live := playbook.NewLive(db, func(string) (string, bool) { return "", false }, log)
	if err := live.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	router := dispatch.New(dispatch.Options{
		DB: db, Node: 1, Now: time.Now, Log: log, Outbox: outbox.NewStore(func(context.Context, pgx.Tx, []outbox.Ref) error { return nil }),
		Snapshot: func() dispatch.Snapshot {
			return dispatch.Snapshot{Table: live.Current().Table, Hash: live.Current().Hash, Canary: live.Current().Canary, Targets: live.Current().Targets(), Roster: live.Roster()}
		},
	})
	master, err := keyring.ReadMaster(t.Context(), make([]byte, 32), appconfig.KeySource{}, appconfig.KeySource{})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Open(t.Context(), db, master)
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	service := intake.New(intake.Options{DB: db, Secret: make([]byte, 32), Node: 1, Now: time.Now, Log: log, Seal: ring.Envelope})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	public := &url.URL{Scheme: "http", Host: listener.Addr().String()}
	s := &site{t: t, ring: ring, url: public.String(), db: db, accounts: account.NewStore(db.Gorm, time.Now), leads: lead.NewStore(db.Gorm)}
	metrics := telemetry.NewMetrics()
	guard, err := spam.New(spam.Options{Secret: make([]byte, 32), Now: time.Now, Log: log, Spend: spam.NewSpentStore(db.Gorm).Spend})
	if err != nil {
		t.Fatal(err)
	}
	s.deps = web.Deps{
		PublicURL: public, Log: log, Now: time.Now, Metrics: metrics, Accounts: s.accounts,
		Handlers: handlers.Deps{
			Spam: guard, Holds: hold.NewStore(hold.Options{DB: db.Gorm, Node: 1, Log: log, Metrics: metrics, Released: router.Wake}),
			DB: db, Intake: service, Dispatch: router, Leads: s.leads, Payloads: lead.NewPayloadStore(db.Gorm, ring.OpenEnvelope), Reps: rep.NewStore(db.Gorm), Playbook: live, Accounts: s.accounts,
			Backtests: simulate.NewBacktests(db, 1, log),
			Metrics:   metrics, PublicURL: public.String(), Now: time.Now, Log: log,
		},
	}
	for _, f := range change {
		f(&s.deps)
	}
	server, err := build(s.deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 3)
	go func() { done <- service.Run(ctx) }()
	go func() { done <- s.deps.Handlers.Backtests.Run(ctx) }()
	go func() { done <- server.Serve(listener) }()
	jar := http.Client{Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	jar.Transport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	s.client = &jar
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		limit, release := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer release()
		if err := server.Shutdown(limit); err != nil {
			t.Error(err)
		}
		stop()
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

// json reads the body as a JSON object.
func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		t.Fatalf("%d is no JSON: %v\n%s", a.StatusCode, err, a.body)
	}
	return out
}

// csrf is the token that forms of a cookie's session carry; empty without a session.
func (s *site) csrf(cookie string) string {
	who, err := s.accounts.SessionByToken(s.t.Context(), strings.TrimPrefix(cookie, handlers.SessionCookie(s.url)+"="))
	if err != nil {
		return ""
	}
	return s.accounts.CSRFToken(who.SessionID)
}

// do sends a request; headers are pairs of name and value. A session's cookie brings the token of its forms along, unless the
// headers name another.
func (s *site) do(method, path, body string, headers ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if cookie := req.Header.Get("Cookie"); cookie != "" && req.Header.Values("X-CSRF-Token") == nil {
		req.Header.Set("X-CSRF-Token", s.csrf(cookie))
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{Response: res, body: string(text)}
}

const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
)

func (s *site) postJSON(path, body string, headers ...string) answer {
	s.t.Helper()
	return s.do(http.MethodPost, path, body, append([]string{"Content-Type", typeJSON}, headers...)...)
}

func (s *site) postForm(path, body string, headers ...string) answer {
	s.t.Helper()
	return s.do(http.MethodPost, path, body, append([]string{"Content-Type", typeForm}, headers...)...)
}

// stored reads a lead and its contact past all rights.
func (s *site) stored(id uuid.UUID) (lead.Lead, lead.Contact, error) {
	l, err := s.leads.ByID(s.t.Context(), lead.Everything(), id)
	if err != nil {
		return l, lead.Contact{}, err
	}
	seen, err := s.leads.Contact(s.t.Context(), lead.Everything(), id, lead.Sight{Masked: true})
	return l, seen.Contact, err
}

// signIn adds a person with the roles and gives the cookie of a session.
func (s *site) signIn(email string, roles ...string) string {
	s.t.Helper()
	added, err := s.accounts.Add(s.t.Context(), account.NewAccount{Email: email, Name: "Lee Admin", Roles: roles})
	if err != nil {
		s.t.Fatal(err)
	}
	link, err := s.accounts.NewLink(s.t.Context(), added.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	token, _, err := s.accounts.UseLink(s.t.Context(), link, account.Device{UserAgent: "test"})
	if err != nil {
		s.t.Fatal(err)
	}
	return handlers.SessionCookie(s.url) + "=" + token
}

func (s *site) token(scopes ...string) string {
	s.t.Helper()
	value, err := s.accounts.AddToken(s.t.Context(), "test", scopes)
	if err != nil {
		s.t.Fatal(err)
	}
	return "Bearer " + value
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func expect(t testing.TB, what string, got answer, status int) {
	t.Helper()
	if got.StatusCode != status {
		t.Errorf("%s: got %d, want %d\n%s", what, got.StatusCode, status, got.body)
	}
}
