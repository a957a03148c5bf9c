package drift_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http/httptest"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/config"
	"leadline/internal/drift"
	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/mail"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/privacy"
	"leadline/internal/sandbox"
	"leadline/internal/telemetry"
)

// demo is a form with two owners.
var demo = &lead.Form{
	Slug: "demo", Name: "Demo request", Owners: []string{"ada@acme.example", "ben@acme.example"},
	Fields: []lead.FormField{{Name: "team_size", Type: lead.FieldChoice, Options: []string{"1-10", "11-50"}}},
}

// desk is a service on a database of its own, with a mail server.
type desk struct {
	t       *testing.T
	db      *postgres.DB
	service *drift.Service
	store   *drift.Store
	server  *sandbox.Server
	log     bytes.Buffer
	metrics *telemetry.Metrics

	mu    sync.Mutex
	queue []int64 // mails whose job was started
}

// setup makes a desk; smtp says whether owners are told by mail.
func setup(t *testing.T, smtp bool) *desk {
	t.Helper()
	d := &desk{t: t, db: pgtest.New(t), metrics: telemetry.NewMetrics()}
	d.store = drift.NewStore(d.db)
	d.service = d.another(d.mailServer(smtp))
	return d
}

// another makes a service as a further process would have it.
func (d *desk) another(sender *mail.Sender) *drift.Service {
	return drift.NewService(drift.Options{
		DB: d.db, Forms: func() map[string]*lead.Form { return map[string]*lead.Form{"demo": demo} }, Mail: sender,
		Enqueue: func(_ context.Context, _ pgx.Tx, id int64) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.queue = append(d.queue, id)
			return nil
		},
		PublicURL: "https://leads.example.com", Now: time.Now, Log: telemetry.NewLogger(&d.log, slog.LevelDebug), Metrics: d.metrics,
	})
}

func (d *desk) mailServer(on bool) *mail.Sender {
	d.t.Helper()
	if !on {
		return mail.New(mail.Options{})
	}
	d.server = sandbox.New(sandbox.Options{Now: time.Now})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- d.server.ServeSMTP(listener) }()
	d.t.Cleanup(func() {
		if err := errors.Join(d.server.Close(), <-done); err != nil {
			d.t.Error(err)
		}
	})
	server, err := config.ParseSMTP("smtp://" + listener.Addr().String())
	if err != nil {
		d.t.Fatal(err)
	}
	return mail.New(mail.Options{Server: server, From: &netmail.Address{Address: "leadline@example.com"}, Now: time.Now})
}

func (d *desk) control(method, path, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(d.t.Context(), method, "http://127.0.0.1"+path, strings.NewReader(body))
	req.RemoteAddr = "127.0.0.1:1"
	res := httptest.NewRecorder()
	d.server.ServeHTTP(res, req)
	return res
}

func (d *desk) mails() []sandbox.Mail {
	d.t.Helper()
	var mails []sandbox.Mail
	if err := json.Unmarshal(d.control("GET", "/_control/records?vendor=smtp", "").Body.Bytes(), &mails); err != nil {
		d.t.Fatal(err)
	}
	return mails
}

// work does the jobs that were started, and gives how long each wants to wait.
func (d *desk) work() []time.Duration {
	d.t.Helper()
	d.mu.Lock()
	queue := d.queue
	d.queue = nil
	d.mu.Unlock()
	var waits []time.Duration
	for _, id := range queue {
		later, err := d.service.Send(d.t.Context(), id)
		if err != nil {
			d.t.Fatal(err)
		}
		if later > 0 {
			d.queue = append(d.queue, id)
		}
		waits = append(waits, later)
	}
	return waits
}

// write writes down and tells, as a round of Run does.
func (d *desk) write(s *drift.Service) {
	d.t.Helper()
	if err := errors.Join(s.Write(d.t.Context()), s.Announce(d.t.Context()), s.Recount(d.t.Context())); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) list() []drift.Group {
	d.t.Helper()
	groups, err := d.store.List(d.t.Context(), drift.Filter{})
	if err != nil {
		d.t.Fatal(err)
	}
	return groups
}

func (d *desk) group(cause string) drift.Group {
	d.t.Helper()
	for _, g := range d.list() {
		if g.Cause == cause {
			return g
		}
	}
	d.t.Fatalf("there is no group %s", cause)
	return drift.Group{}
}

func (d *desk) exec(sql string, args ...any) {
	d.t.Helper()
	if _, err := d.db.Jobs.Exec(d.t.Context(), sql, args...); err != nil {
		d.t.Fatal(err)
	}
}

// refuse notes what normalising says of a submission, as intake would.
func refuse(s *drift.Service, raw lead.Raw) {
	_, err := lead.Normalise(demo, raw)
	s.Note(demo, &raw, err)
}

// sends is a submission whose team size is none of the options.
func sends(size string) lead.Raw {
	return lead.Raw{Email: "anna@acme.example", Fields: map[string]privacy.Text{"team_size": privacy.Text(size)}}
}

var notJSON = fault.New(fault.Malformed, "The body is not a JSON object.")
