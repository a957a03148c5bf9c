package handlers_test

import (
	"context"
	"crypto/ed25519"
	"encoding/csv"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/handlers"
	"leadline/internal/account"
	"leadline/internal/audit"
	"leadline/internal/lead"
	"leadline/internal/live"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/rep"
)

// registry is the page of the record by itself, asked by whoever a test says.
type registry struct {
	t   *testing.T
	app *fiber.App
	db  *postgres.DB
	who account.Who
	all bool
}

func openRegistry(t *testing.T) *registry {
	t.Helper()
	db := pgtest.New(t)
	r := &registry{t: t, db: db, who: account.Who{AccountID: uuid.New(), Name: "Vera"}, all: true}
	page := handlers.NewAudit(handlers.Deps{
		DB: db, Leads: lead.NewStore(db.Gorm), Reps: rep.NewStore(db.Gorm), Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Hub: live.New(live.Options{DB: db, Now: time.Now, Log: slog.New(slog.DiscardHandler)}),
		Audit: handlers.AuditDeps{
			Store: audit.NewStore(db.Gorm, time.Now),
			Anchoring: func() audit.Anchoring {
				return audit.Anchoring{Seq: 2, At: time.Now(), Destinations: []audit.DestinationState{{Name: "/data/anchors.jsonl", Seq: 2}, {Name: "hooks.example", Problem: "it answered 503"}}}
			},
			Verify: func(ctx context.Context, from int64) (audit.Report, error) {
				return audit.Verify(ctx, db, audit.Options{From: from, PublicKey: func(context.Context, int64) (ed25519.PublicKey, error) { return nil, io.EOF }})
			},
		},
	})
	r.app = fiber.New(fiber.Config{Immutable: true, ErrorHandler: handlers.Fail})
	r.app.Use(func(c *fiber.Ctx) error {
		handlers.SetWho(c, r.who)
		handlers.SetGrant(c, handlers.Grant{Leads: lead.Scope{All: r.all}, May: func(string) bool { return r.all }})
		return c.Next()
	})
	r.app.Get("/audit", page.Page)
	r.app.Post("/audit.csv", page.Export)
	r.app.Post("/audit/verify", page.Check)
	return r
}

func (r *registry) append(e audit.Entry) {
	r.t.Helper()
	must(r.t, postgres.InTx(r.t.Context(), r.db.Jobs, func(tx pgx.Tx) error {
		_, err := audit.AppendTx(r.t.Context(), tx, e)
		return err
	}))
}

func (r *registry) call(method, path string, form url.Values, headers ...string) (answer, *goquery.Document) {
	r.t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	req.Header.Set("Accept", "text/html")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := r.app.Test(req, int(patience.Milliseconds()))
	must(r.t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	must(r.t, err)
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(string(text)))
	must(r.t, err)
	return answer{res.StatusCode, string(text), res.Header}, doc
}

func TestAudit_ShowsEntriesInWords(t *testing.T) {
	t.Parallel()
	r := openRegistry(t)
	_, doc := r.call(http.MethodGet, "/audit", nil)
	if doc.Find(`[data-testid="audit-empty"]`).Length() != 1 {
		t.Error("an empty record does not say so")
	}
	lee, about := uuid.New(), uuid.MustParse("01890000-0000-7000-8000-0039c1a48e4d")
	_, err := r.db.Jobs.Exec(t.Context(), `INSERT INTO account (id, email, name) VALUES ($1, 'lee@example.com', 'Lee <b>')`, lee)
	must(t, err)
	r.append(audit.Entry{
		ActorKind: audit.Person, Actor: &lee, Action: audit.ContactRevealed, ObjectKind: "lead", Object: about.String(),
		Note: "quarantine <i>fix</i>", Detail: map[string]any{"fields": []string{"phone"}}, CorrelationID: "corr-7",
	})
	for range 55 {
		r.append(audit.Entry{ActorKind: audit.Command, Action: audit.Published, ObjectKind: "version", Object: "42"})
	}
	a, doc := r.call(http.MethodGet, "/audit?did=reveals&when=7", nil)
	line := strings.Join(strings.Fields(doc.Find(`[data-action="contact.revealed"] summary span`).First().Text()), " ")
	if want := "Lee <b> revealed the contact of " + lead.Reference(about) + " — quarantine <i>fix</i>"; line != want {
		t.Errorf("the line reads %q, should be %q", line, want)
	}
	if doc.Find(`[data-testid="audit-list"] li`).Length() != 1 || !strings.Contains(a.body, "corr-7") || doc.Find(".saved [aria-current]").Text() != "Reveals this week" {
		t.Errorf("page: %s", a.body)
	}
	for _, unsafe := range []string{"<script>", " style=", " onclick="} {
		if strings.Contains(a.body, unsafe) {
			t.Errorf("the page has %s", unsafe)
		}
	}
	_, doc = r.call(http.MethodGet, "/audit?to="+lead.Reference(about), nil)
	if doc.Find(`[data-testid="audit-notice"]`).Length() != 1 {
		t.Error("a lead that is not there is not said to be missing")
	}
	_, doc = r.call(http.MethodGet, "/audit?to="+about.String(), nil)
	if n := doc.Find(`[data-testid="audit-list"] li`).Length(); n != 1 {
		t.Errorf("%d entries about the lead", n)
	}
	_, doc = r.call(http.MethodGet, "/audit?did=publishes", nil)
	older, _ := doc.Find(`[data-testid="audit-older"]`).Attr("href")
	if n := doc.Find(`[data-testid="audit-list"] li`).Length(); n != 50 || older == "" {
		t.Fatalf("%d entries on the first page, then %q", n, older)
	}
	_, doc = r.call(http.MethodGet, older, nil)
	if n := doc.Find(`[data-testid="audit-list"] li`).Length(); n != 5 {
		t.Errorf("%d entries on the second page", n)
	}
}

func TestAudit_DoesNotRecordWhatPeopleLookFor(t *testing.T) {
	t.Parallel()
	r := openRegistry(t)
	for _, query := range []string{"to=anna@acme.example", "to=Anna+Acme", "who=anna@acme.example", "did=anna@acme.example"} {
		if _, doc := r.call(http.MethodGet, "/audit?"+query, nil); doc.Find(`[data-testid="audit-notice"]`).Length() != 1 {
			t.Errorf("%s was looked for", query)
		}
	}
	var rows int
	must(t, r.db.Jobs.QueryRow(t.Context(), `SELECT count(*) FROM audit`).Scan(&rows))
	if rows != 0 {
		t.Errorf("%d looks are on record", rows)
	}
}

func TestAudit_RepsSeeTheirOwn(t *testing.T) {
	t.Parallel()
	r := openRegistry(t)
	r.all = false
	other := uuid.New()
	r.append(audit.Entry{ActorKind: audit.Person, Actor: &other, Action: audit.SignedIn})
	r.append(audit.Entry{ActorKind: audit.Person, Actor: &r.who.AccountID, Action: audit.SignedOut})
	a, doc := r.call(http.MethodGet, "/audit?who="+other.String(), nil)
	if a.status != http.StatusOK || doc.Find(`[data-testid="audit-list"] li`).Length() != 0 {
		t.Errorf("another's doing is shown: %s", a.body)
	}
	_, doc = r.call(http.MethodGet, "/audit", nil)
	if doc.Find(`[data-action="session.ended"]`).Length() != 1 || doc.Find(`[data-action="session.began"]`).Length() != 0 ||
		doc.Find(`[data-testid="audit-chain"]`).Length() != 0 || doc.Find("#audit-who").Length() != 0 {
		t.Error("a rep's page is not the rep's own")
	}
	a, _ = r.call(http.MethodPost, "/audit.csv", url.Values{"purpose": {"my own"}, "when": {"all"}})
	if strings.Contains(a.body, "session.began") || !strings.Contains(a.body, "session.ended") {
		t.Errorf("a rep's export: %s", a.body)
	}
}

func TestAudit_ExportsWithAPurpose(t *testing.T) {
	t.Parallel()
	r := openRegistry(t)
	r.append(audit.Entry{ActorKind: audit.System, Action: audit.KeyUsed, Note: "+1"})
	if a, _ := r.call(http.MethodPost, "/audit.csv", url.Values{}); a.status != http.StatusUnprocessableEntity {
		t.Errorf("an export without a purpose: %d", a.status)
	}
	a, _ := r.call(http.MethodPost, "/audit.csv", url.Values{"purpose": {"yearly review"}, "did": {"keys"}})
	rows, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
	must(t, err)
	if len(rows) != 2 || rows[1][10] != "'+1" || !strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("export: %v %v", a.header, rows)
	}
	_, doc := r.call(http.MethodGet, "/audit?did=exports", nil)
	if !strings.Contains(doc.Find(`[data-action="audit.exported"]`).Text(), "yearly review") {
		t.Error("the export is not on record")
	}
}

func TestAudit_VerifiesTheNewestPart(t *testing.T) {
	t.Parallel()
	r := openRegistry(t)
	for range 3 {
		r.append(audit.Entry{Action: audit.SignedIn})
	}
	_, doc := r.call(http.MethodPost, "/audit/verify", url.Values{}, "HX-Request", "true")
	if n, _ := doc.Find(`[data-testid="audit-report"]`).Attr("data-findings"); n != "0" {
		t.Errorf("findings: %s", doc.Text())
	}
	_, err := r.db.Jobs.Exec(t.Context(), `ALTER TABLE audit DISABLE TRIGGER ALL; UPDATE audit SET object = 'x' WHERE seq = 2`)
	must(t, err)
	if a, _ := r.call(http.MethodPost, "/audit/verify", url.Values{}); a.status != http.StatusSeeOther {
		t.Errorf("without scripts: %d", a.status)
	}
	_, doc = r.call(http.MethodGet, "/audit", nil)
	chain := doc.Find(`[data-testid="audit-chain"]`).Text()
	for _, words := range []string{"Row 2 was changed", "1 finding", "anchors.jsonl", "Up to row 2", "it answered 503; nothing arrived"} {
		if !strings.Contains(chain, words) {
			t.Errorf("the chain's panel lacks %q: %s", words, strings.Join(strings.Fields(chain), " "))
		}
	}
}
