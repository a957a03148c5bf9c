package erasure_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/audit"
	"leadline/internal/config"
	"leadline/internal/dispatch"
	"leadline/internal/erasure"
	"leadline/internal/intake"
	"leadline/internal/keyring"
	"leadline/internal/lead"
	"leadline/internal/outbox"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/privacy"
	"leadline/internal/routing"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

// sales is a configuration with rules that look at what visitors say of themselves.
const sales = `
version: 1
forms:
  - {slug: demo, intent: high, dedupe_window: 10m, fields: [{name: seats, type: text}]}
  - {slug: contact, intent: low, dedupe_window: 10m}
teams: [{slug: all, timezone: Europe/Berlin}]
reps:
  - {email: mia@sales.example, name: Mia Vogel, team: all}
  - {email: ben@sales.example, name: Ben Kurz, team: all}
pools:
  - {slug: world, members: [{rep: mia@sales.example}, {rep: ben@sales.example}], offer: {exclusive: 1h, pool: 1h, attempts: 9}}
  - {slug: berlin, members: [{rep: mia@sales.example}, {rep: ben@sales.example}], offer: {exclusive: 1h, pool: 1h, attempts: 9}}
territories: [{slug: bln, places: ["DE:10"]}]
lists: [{slug: friends, domains: [friends.example]}]
rules:
  - {name: Friends, band: override, when: {domain_list: friends}, then: {pool: berlin}}
  - {name: Berlin, when: {territory: bln}, then: {pool: berlin}}
  - {name: Everything else, band: default, then: {pool: world}}
connections:
  - {slug: crm, kind: webhook, base_url: "https://crm.example/hook", secret: "env:CRM"}
  - {slug: mirror, kind: webhook, base_url: "https://mirror.example/hook", secret: "env:CRM"}
`

// desk is one database with everything that writes to it.
type desk struct {
	t        testing.TB
	db       *postgres.DB
	ring     *keyring.Ring
	intake   *intake.Service
	dispatch *dispatch.Service
	outbox   *outbox.Store
	erasure  *erasure.Service
	list     string
	table    *routing.Table
	forms    map[string]*lead.Form
	stop     func() // ends dispatch: leads stay new from now on

	mu      sync.Mutex
	claimed map[uuid.UUID][]outbox.Claimed
}

func setup(t testing.TB) *desk {
	t.Helper()
	d := &desk{t: t, db: pgtest.New(t), list: filepath.Join(t.TempDir(), "erasures.jsonl"), claimed: map[uuid.UUID][]outbox.Claimed{}}
	ctx := t.Context()
	cfg, problems := playbook.Parse("test", []byte(sales))
	if playbook.Failed(problems) {
		t.Fatal(problems)
	}
	version, _, err := playbook.Apply(ctx, d.db, cfg, "test", "", false)
	if err != nil {
		t.Fatal(err)
	}
	d.exec(`UPDATE rep SET presence = 'available', presence_by = 'api'`)
	if d.table, err = erasure.Tables(d.db)(ctx, version); err != nil {
		t.Fatal(err)
	}
	d.forms = map[string]*lead.Form{}
	for _, f := range cfg.Forms {
		d.forms[f.Slug] = f
	}
	master, err := keyring.ReadMaster(ctx, secret, config.KeySource{}, config.KeySource{})
	if err != nil {
		t.Fatal(err)
	}
	if d.ring, err = keyring.Open(ctx, d.db, master); err != nil {
		t.Fatal(err)
	}
	if err := d.ring.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	d.serve(cfg)
	d.erasure = d.eraser(d.db)
	return d
}

// eraser makes the service as main does.
func (d *desk) eraser(db *postgres.DB) *erasure.Service {
	return erasure.New(erasure.Options{DB: db, Secret: secret, List: d.list, TableOf: erasure.Tables(db)})
}

// serve runs intake and dispatch until the test ends.
func (d *desk) serve(cfg *playbook.Config) {
	node, err := postgres.JoinNode(d.t.Context(), d.db, "test")
	if err != nil {
		d.t.Fatal(err)
	}
	var targets []outbox.Target
	for _, c := range cfg.Connections {
		targets = append(targets, outbox.Target{Connection: c.Slug, Kind: c.Kind, Destination: c.Destination})
	}
	targets = append(targets, outbox.Target{Connection: "chat", Kind: "slack", Destination: outbox.Chat})
	d.outbox = outbox.NewStore(func(context.Context, pgx.Tx, []outbox.Ref) error { return nil })
	d.dispatch = dispatch.New(dispatch.Options{
		DB: d.db, Node: node.ID(), Outbox: d.outbox, Now: time.Now, Log: slog.New(slog.NewTextHandler(d.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Snapshot: func() dispatch.Snapshot { return dispatch.Snapshot{Table: d.table, Targets: targets} },
		OnClaimed: func(all []outbox.Claimed) {
			d.mu.Lock()
			defer d.mu.Unlock()
			for _, c := range all {
				d.claimed[c.LeadID] = append(d.claimed[c.LeadID], c)
			}
		},
	})
	d.intake = intake.New(intake.Options{
		DB: d.db, Secret: secret, Node: node.ID(), Now: time.Now, Seal: d.ring.Envelope, Committed: d.dispatch.Wake,
		Amended: func(ctx context.Context, tx pgx.Tx, id uuid.UUID) (func(), error) {
			_, err := d.outbox.Bump(ctx, tx, node.ID(), id)
			return nil, err
		},
	})
	inner, cancelIntake := context.WithCancel(context.Background())
	outer, cancelDispatch := context.WithCancel(context.Background())
	var intakes, dispatchers sync.WaitGroup
	intakes.Go(func() { d.ended("intake", d.intake.Run(inner)) })
	dispatchers.Go(func() { d.ended("dispatch", d.dispatch.Run(outer)) })
	d.stop = func() { cancelDispatch(); dispatchers.Wait() }
	d.t.Cleanup(func() {
		cancelIntake()
		intakes.Wait()
		d.stop()
		_ = node.Leave(context.WithoutCancel(d.t.Context()))
	})
}

func (d *desk) ended(what string, err error) {
	if err != nil {
		d.t.Errorf("%s: %v", what, err)
	}
}

func (d *desk) exec(sql string, args ...any) {
	d.t.Helper()
	if _, err := d.db.Jobs.Exec(d.t.Context(), sql, args...); err != nil {
		d.t.Fatalf("%s: %v", sql, err)
	}
}

// ask gives the single value of a query.
func ask[T any](d *desk, sql string, args ...any) T {
	d.t.Helper()
	var v T
	if err := d.db.Jobs.QueryRow(d.t.Context(), sql, args...).Scan(&v); err != nil {
		d.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func (d *desk) eventually(what string, condition func() bool) {
	d.t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-limit.C:
			d.t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

// human is somebody whose every value can be found again.
type human struct {
	n     int
	leads []uuid.UUID
	tag   string // in every value that can hold letters
	email string
	phone string
}

func newHuman(n int) *human {
	tag := fmt.Sprintf("Zq%dxw", 10000+n)
	return &human{n: n, tag: tag, email: tag + ".Canary@" + strings.ToLower(tag) + "-Firm.example", phone: fmt.Sprintf("+4930%07d", 9000000+n)}
}

// raw is what the person sends: every field names them.
func (h *human) raw(key string) lead.Raw {
	context := lead.Context{
		PageURL: "https://www.example.com/?e=" + url.QueryEscape(h.email), Referrer: "https://" + h.tag + ".example/", UTMSource: "src-" + h.tag,
		UTMTerm: h.email, Locale: "de-DE", Timezone: "Europe/Berlin", Device: "phone of " + h.tag,
	}
	raw := lead.Raw{
		Name: privacy.Text("Anna " + h.tag), Email: privacy.Text(h.email), Phone: privacy.Text(h.phone), Company: privacy.Text(h.tag + " GmbH"),
		Notes: privacy.Text("call " + h.tag), Country: "DE", PostalCode: fmt.Sprintf("10%03d-QX%d", h.n%1000, 7700000+h.n), Product: "for " + h.tag,
		Region: "quarter of " + h.tag,
		Fields: map[string]privacy.Text{"seats": privacy.Text("seat " + h.tag)}, Context: context, CorrelationID: "corr-" + h.tag + "." + key,
		ClientKey: fmt.Sprintf("key-%s-%022s", h.tag, key), BodyType: "application/json",
	}
	body, _ := json.Marshal(map[string]string{"email": h.email, "name": raw.Name.Plain()})
	raw.Body = privacy.Text(body)
	return raw
}

// words are what must not be found any more, in small letters.
func (h *human) words() []string {
	return []string{
		strings.ToLower(h.tag), strings.ToLower(url.QueryEscape(h.email)), strings.TrimPrefix(h.phone, "+49"), fmt.Sprintf("qx%d", 7700000+h.n), // no hex number, of which there are many
	}
}

// send submits to a form and remembers new leads.
func (d *desk) send(form string, h *human, raw lead.Raw) intake.Accepted {
	d.t.Helper()
	got, err := d.intake.Accept(context.Background(), d.forms[form], raw, lead.Arrival{})
	if err != nil {
		d.t.Fatal(err)
	}
	if got.LeadID == got.SubmissionID && !got.Duplicate {
		h.leads = append(h.leads, got.LeadID)
	}
	return got
}

// arrive is a person with an enquiry, a repeat, corrections of both, and a second enquiry on another form.
func (d *desk) arrive(h *human) uuid.UUID {
	d.t.Helper()
	first := d.send("demo", h, h.raw("1"))
	again := h.raw("2")
	again.Email = privacy.Text(strings.ToUpper(h.email))
	alias := d.send("demo", h, again)
	resent := h.raw("1")
	resent.Notes = privacy.Text("rather mail " + h.tag)
	d.send("demo", h, resent)
	for _, id := range []uuid.UUID{first.SubmissionID, alias.SubmissionID} {
		if err := d.intake.Amend(context.Background(), d.forms["demo"], id, lead.Raw{Company: privacy.Text(h.tag + " AG"), Body: privacy.Text(h.email)}); err != nil {
			d.t.Fatal(err)
		}
	}
	d.send("contact", h, h.raw("3"))
	nameless := h.raw("4")
	nameless.Email, nameless.Name = "", ""
	d.send("contact", h, nameless)
	if len(h.leads) != 3 {
		d.t.Fatalf("%d leads", len(h.leads))
	}
	return first.LeadID
}

// talk records people's words about a lead wherever the product has room for them.
func (d *desk) talk(h *human, id uuid.UUID) {
	d.t.Helper()
	err := postgres.InTx(d.t.Context(), d.db.Jobs, func(tx pgx.Tx) error {
		for _, e := range []audit.Entry{
			{Action: audit.ContactRevealed, ObjectKind: "lead", Object: id.String(), Note: "asked by " + h.email},
			{Action: audit.PayloadRead, ObjectKind: "lead", Object: id.String()},
		} {
			if _, err := audit.AppendTx(d.t.Context(), tx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

// offered waits until dispatch has placed every lead of the person, and gives who was offered one.
func (d *desk) offered(h *human, id uuid.UUID) (rep uuid.UUID) {
	d.t.Helper()
	d.eventually("dispatch", func() bool {
		return ask[int](d, `SELECT count(*) FROM lead WHERE id = ANY($1) AND stage = 'new'`, h.leads) == 0
	})
	found := ask[*uuid.UUID](d, `SELECT max(rep_id::text)::uuid FROM offer WHERE lead_id = $1 AND state = 'open'`, id)
	if found != nil {
		rep = *found
	}
	return rep
}

// deliveries leased to this process for a lead.
func (d *desk) held(id uuid.UUID) []outbox.Claimed {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]outbox.Claimed(nil), d.claimed[id]...)
}

func (d *desk) record(results ...outbox.Result) []outbox.Applied {
	d.t.Helper()
	applied, err := d.outbox.Record(d.t.Context(), d.db.Jobs, results)
	if err != nil {
		d.t.Fatal(err)
	}
	return applied
}

// dump is every row of every table as text, in small letters, with the table's name.
func dump(t testing.TB, db *postgres.DB) []string {
	t.Helper()
	rows, err := db.Jobs.Query(t.Context(), `SELECT oid::regclass::text FROM pg_class
		WHERE relkind = 'r' AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 20 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	var all []string
	for _, table := range tables {
		rows, err := db.Jobs.Query(t.Context(), `SELECT lower(t::text) FROM `+table+` t`)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			all = append(all, table+": "+l)
		}
	}
	return all
}

// hits are the rows in which anything of the people is found.
func hits(rows []string, people ...*human) []string {
	var found []string
	for _, row := range rows {
		for _, h := range people {
			for _, word := range h.words() {
				if strings.Contains(row, word) {
					found = append(found, row)
				}
			}
		}
	}
	return found
}

func (d *desk) erase(h *human) erasure.Result {
	d.t.Helper()
	result, err := d.erasure.Erase(d.t.Context(), erasure.Request{Email: privacy.Text(h.email), Reason: "asked for by letter"})
	if err != nil {
		d.t.Fatal(err)
	}
	return result
}

// sound checks what must hold after every erasure: the chain verifies, decisions can be taken again, nobody holds what is no more.
func (d *desk) sound(db *postgres.DB) {
	d.t.Helper()
	report, err := audit.Verify(d.t.Context(), db, audit.Options{PublicKey: d.ring.PublicKey})
	if err != nil || !report.OK() {
		d.t.Errorf("the audit chain: %v, %v", report.Findings, err)
	}
	rows, err := db.Jobs.Query(d.t.Context(), `SELECT trace, rule, pool FROM decision`)
	if err != nil {
		d.t.Fatal(err)
	}
	var (
		trace      []byte
		rule, pool string
		decisions  int
	)
	_, err = pgx.ForEachRow(rows, []any{&trace, &rule, &pool}, func() error {
		var kept struct {
			routing.Decision
			Facts routing.Facts `json:"facts"`
		}
		if err := json.Unmarshal(trace, &kept); err != nil {
			return err
		}
		again := d.table.Decide(kept.Facts, kept.Facts.AcceptedAt)
		if again.Rule != rule || again.Pool != pool || again.Rep != kept.Rep || again.Version != kept.Version {
			d.t.Errorf("decided %s for %s, but %+v give %s for %s", rule, pool, kept.Facts, again.Rule, again.Pool)
		}
		decisions++
		return nil
	})
	if err != nil || decisions == 0 {
		d.t.Errorf("%d decisions, %v", decisions, err)
	}
}

func (d *desk) listText() string {
	d.t.Helper()
	text, err := os.ReadFile(d.list)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}
