package handlers_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/fasthttp/websocket"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/handlers"
	"leadline/internal/account"
	"leadline/internal/config"
	"leadline/internal/dispatch"
	"leadline/internal/hold"
	"leadline/internal/intake"
	"leadline/internal/keyring"
	"leadline/internal/lead"
	"leadline/internal/live"
	"leadline/internal/outbox"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/rep"
	"leadline/internal/spam"
	"leadline/internal/telemetry"
	"leadline/web"
)

const patience = 15 * time.Second

const desk = `
version: 1
forms:
  - {slug: demo, name: Demo request, intent: high}
reps:
  - {email: mia@example.com, name: Mia, timezone: Europe/Berlin}
  - {email: ben@example.com, name: Ben, timezone: Europe/Berlin}
pools:
  - slug: dach
    strategy: fixed
    members: [{rep: mia@example.com}, {rep: ben@example.com}]
    offer: {exclusive: 60s, pool: 60s, screen: none}
    sla: {first_touch: 2m}
  - {slug: watched, strategy: fixed, members: [{rep: mia@example.com}, {rep: ben@example.com}], offer: {exclusive: 60s}}
  - {slug: timed, strategy: pull, members: [{rep: mia@example.com}, {rep: ben@example.com}], sla: {system: 1m, accept: 10m, first_attempt: 30m, contact: 1h}}
  - {slug: open, strategy: pull, members: [{rep: mia@example.com}, {rep: ben@example.com}]}
territories:
  - {slug: dach, places: [DE]}
rules:
  - {name: DACH demos, when: {territory: dach}, then: {pool: dach}}
  - {name: Portugal, when: {country: PT}, then: {pool: timed}}
  - {name: Austria, when: {country: AT}, then: {pool: watched}}
  - {name: Everything else, band: default, when: {}, then: {pool: open}}
`

// office is the web server with intake, dispatch and the hub behind it, on a database of its own.
type office struct {
	t        *testing.T
	url      string
	db       *postgres.DB
	accounts *account.Store
	hub      *live.Hub
	metrics  *telemetry.Metrics
}

func openOffice(t *testing.T) *office {
	t.Helper()
	db := pgtest.New(t)
	ctx, stop := context.WithCancel(context.Background())
	must(t, applyDesk(ctx, db))
	log := slog.New(slog.DiscardHandler)
	book := playbook.NewLive(db, func(string) (string, bool) { return "", false }, log)
	must(t, book.Refresh(ctx))
	node, err := postgres.JoinNode(ctx, db, "test")
	must(t, err)
	reps, metrics := rep.NewStore(db.Gorm), telemetry.NewMetrics()
	o := &office{t: t, db: db, accounts: account.NewStore(db.Gorm, time.Now), metrics: metrics}
	var dispatcher *dispatch.Service
	o.hub = live.New(live.Options{
		DB: db, Log: log, Now: time.Now, Seen: reps.Seen, PresenceChanged: func() { dispatcher.PresenceChanged() },
		Due: func(pool string, accepted time.Time, goal time.Duration, who *rep.Rep) time.Time {
			if found := book.Current().Table.Pool(pool); found != nil {
				return found.Due(accepted, goal, who)
			}
			return accepted.Add(goal)
		},
		Polled: func(ctx context.Context, reps []uuid.UUID) error { return dispatcher.Polled(ctx, reps) },
		Pools:  func(email string) []string { return book.Current().Table.PoolsOf(email) },
		Goals: func(pool string) time.Duration {
			if p := book.Current().Table.Pool(pool); p != nil {
				return p.FirstTouch
			}
			return 0
		},
	})
	dispatcher = dispatch.New(dispatch.Options{
		DB: db, Node: node.ID(), Now: time.Now, Log: log, OnCommit: o.hub.Wake,
		Outbox:   outbox.NewStore(func(context.Context, pgx.Tx, []outbox.Ref) error { return nil }),
		Snapshot: func() dispatch.Snapshot { return dispatch.Snapshot{Table: book.Current().Table} },
	})
	master, err := keyring.ReadMaster(ctx, make([]byte, 32), config.KeySource{}, config.KeySource{})
	must(t, err)
	ring, err := keyring.Open(ctx, db, master)
	must(t, err)
	must(t, ring.Ready(ctx))
	in := intake.New(intake.Options{
		DB: db, Secret: make([]byte, 32), Node: node.ID(), Now: time.Now, Log: log, Seal: ring.Envelope,
		Committed: dispatcher.Wake, Waiting: dispatcher.Waiting,
	})
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	must(t, err)
	public := &url.URL{Scheme: "http", Host: listener.Addr().String()}
	o.url = public.String()
	guard, err := spam.New(spam.Options{Secret: make([]byte, 32), Now: time.Now, Log: log, Spend: spam.NewSpentStore(db.Gorm).Spend})
	must(t, err)
	holds := hold.NewStore(hold.Options{DB: db.Gorm, Node: node.ID(), Log: log, Metrics: metrics, Released: dispatcher.Wake, Changed: o.hub.Wake})
	server, err := web.New(web.Deps{
		PublicURL: public, Log: log, Now: time.Now, Metrics: metrics, Accounts: o.accounts,
		Handlers: handlers.Deps{
			DB: db, Intake: in, Dispatch: dispatcher, Leads: lead.NewStore(db.Gorm), Holds: holds, Spam: guard, Reps: reps, Playbook: book, Accounts: o.accounts,
			Hub: o.hub, Metrics: metrics, PublicURL: o.url, Now: time.Now, Log: log,
		},
	})
	must(t, err)
	parts := []func(context.Context) error{o.hub.Run, in.Run, dispatcher.Run, node.Run, func(context.Context) error { return server.Serve(listener) }}
	done := make(chan error, len(parts))
	for _, part := range parts {
		go func() { done <- part(ctx) }()
	}
	t.Cleanup(func() {
		limit, release := context.WithTimeout(context.Background(), patience)
		defer release()
		_ = o.hub.CloseConsoles(limit)
		_ = server.Shutdown(limit)
		stop()
		for range parts {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	<-o.hub.Ready()
	return o
}

func applyDesk(ctx context.Context, db *postgres.DB) error {
	cfg, problems := playbook.Parse("desk.yaml", []byte(desk))
	if playbook.Failed(problems) {
		return &json.UnsupportedValueError{Str: problems[0].Message}
	}
	_, _, err := playbook.Apply(ctx, db, cfg, "test", "", false)
	return err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// person is somebody signed in.
type person struct {
	*office
	token string
	csrf  string // what forms of the session carry
}

func (o *office) person(email string, roles ...string) *person {
	o.t.Helper()
	const password = "a long enough password"
	_, err := o.accounts.Add(o.t.Context(), account.NewAccount{Email: email, Roles: roles, Password: password})
	must(o.t, err)
	token, who, err := o.accounts.SignIn(o.t.Context(), email, password, account.Device{Address: "127.0.0.1", UserAgent: "test"})
	must(o.t, err)
	return &person{o, token, o.accounts.CSRFToken(who.SessionID)}
}

func (o *office) rep(email string) *person {
	o.t.Helper()
	p := o.person(email, account.RoleRep)
	if a := p.post("/me/presence", "presence=available", true); a.status != http.StatusOK {
		o.t.Fatalf("presence: %d %s", a.status, a.body)
	}
	return p
}

type answer struct {
	status int
	body   string
	header http.Header
}

// find gives the elements with a test id.
func (a answer) find(t *testing.T, id string) *goquery.Selection {
	t.Helper()
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(a.body))
	must(t, err)
	return doc.Find(`[data-testid="` + id + `"]`)
}

func (p *person) call(method, path, body string, headers ...string) answer {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	must(p.t, err)
	req.Header.Set("Cookie", "leadline="+p.token)
	req.Header.Set("Origin", p.url)
	req.Header.Set("Accept", "text/html")
	req.Header.Set("X-CSRF-Token", p.csrf)
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	must(p.t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	must(p.t, err)
	return answer{res.StatusCode, string(text), res.Header}
}

func (p *person) get(path string, headers ...string) answer {
	p.t.Helper()
	return p.call(http.MethodGet, path, "", headers...)
}

func (p *person) post(path, form string, part bool) answer {
	p.t.Helper()
	if part {
		return p.call(http.MethodPost, path, form, "HX-Request", "true")
	}
	return p.call(http.MethodPost, path, form)
}

// submit sends the form as a visitor and gives the lead's id.
func (o *office) submit(country, name string) string {
	o.t.Helper()
	body, _ := json.Marshal(map[string]any{
		"name": name, "email": strings.ToLower(strings.ReplaceAll(name, " ", ".")) + "@acme.example", "phone": "+4930901820", "country": country, "notes": "We lose leads at night",
	})
	req, err := http.NewRequestWithContext(o.t.Context(), http.MethodPost, o.url+"/v1/forms/demo/leads", strings.NewReader(string(body)))
	must(o.t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	must(o.t, err)
	defer func() { _ = res.Body.Close() }()
	var a struct {
		LeadID string `json:"lead_id"`
	}
	must(o.t, json.NewDecoder(res.Body).Decode(&a))
	if res.StatusCode != http.StatusCreated {
		o.t.Fatalf("submit answered %d", res.StatusCode)
	}
	return a.LeadID
}

// frame is what the stream sends, as a browser reads it.
type frame struct {
	N      int
	Seq    int64
	Now    int64
	Ops    []struct{ Op, ID, List, Before, HTML, Text string }
	Alert  string
	Sound  string
	Missed string
	Offers int
	Until  int64
	Mine   []json.RawMessage
}

// console is an open socket that collects what it was sent.
type console struct {
	*person
	conn   *websocket.Conn
	frames chan frame
	closed chan int // the close code
	all    strings.Builder
}

func (p *person) console(query string) *console {
	p.t.Helper()
	conn, res, err := p.dial(query, p.url)
	if err != nil {
		p.t.Fatalf("open the stream: %v", err)
	}
	_ = res.Body.Close()
	c := &console{person: p, conn: conn, frames: make(chan frame, 1000), closed: make(chan int, 1)}
	go func() {
		for {
			_, body, err := conn.ReadMessage()
			if err != nil {
				code := 0
				if e, ok := err.(*websocket.CloseError); ok { //nolint:errorlint // gorilla returns it bare
					code = e.Code
				}
				c.closed <- code
				return
			}
			var f frame
			if json.Unmarshal(body, &f) == nil {
				c.frames <- f
			}
		}
	}()
	p.t.Cleanup(func() { _ = conn.Close() })
	return c
}

func (p *person) dial(query, origin string) (*websocket.Conn, *http.Response, error) {
	header := http.Header{"Cookie": {"leadline=" + p.token}}
	if origin != "" {
		header.Set("Origin", origin)
	}
	return websocket.DefaultDialer.DialContext(p.t.Context(), strings.Replace(p.url, "http", "ws", 1)+"/live/socket?view=console&names=1"+query, header)
}

// until reads frames up to the first that satisfies a condition, acknowledging each, and gives it.
func (c *console) until(what string, ok func(frame) bool) frame {
	c.t.Helper()
	limit := time.After(patience)
	for {
		select {
		case f := <-c.frames:
			must(c.t, c.conn.WriteJSON(map[string]any{"ack": f.N, "shown": f.Mine}))
			for _, op := range f.Ops {
				c.all.WriteString(op.HTML)
			}
			if ok(f) {
				return f
			}
		case <-limit:
			c.t.Fatalf("the stream never brought %s; it brought:\n%s", what, c.all.String())
		}
	}
}

// has tells whether a frame holds an operation on an id.
func (f frame) has(op, id string) bool {
	for _, o := range f.Ops {
		if o.ID == id && (o.Op == op || op == "") {
			return true
		}
	}
	return false
}

// shows tells whether a frame puts an id into the document, by itself or with its list.
func (f frame) shows(id string) bool {
	for _, o := range f.Ops {
		if o.Op != "remove" && strings.Contains(o.HTML, `id="`+id+`"`) {
			return true
		}
	}
	return false
}
