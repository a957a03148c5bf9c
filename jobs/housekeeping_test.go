package jobs_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/config"
	"leadline/internal/crm"
	"leadline/internal/intake"
	"leadline/internal/keyring"
	"leadline/internal/lead"
	"leadline/internal/outbox"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/privacy"
	"leadline/jobs"
)

// house is a database whose periodic jobs run when clean is called.
type house struct {
	t    *testing.T
	db   *postgres.DB
	ring *keyring.Ring
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, db: pgtest.New(t)}
	master, err := keyring.ReadMaster(t.Context(), make([]byte, 32), config.KeySource{}, config.KeySource{})
	if err == nil {
		h.ring, err = keyring.Open(t.Context(), h.db, master)
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// clean starts the jobs and waits until those of a kind have run once.
func (h *house) clean(kind string) {
	h.t.Helper()
	log := slog.New(slog.DiscardHandler)
	writer := crm.NewWriter(crm.Options{DB: h.db, Store: outbox.NewStore(nil), Now: time.Now, Log: log, Connections: func() []outbox.Connection { return nil }})
	client, err := jobs.New(jobs.Options{DB: h.db, Writer: writer, Seal: h.ring.Envelope, Now: time.Now, Log: log})
	if err != nil {
		h.t.Fatal(err)
	}
	if err := client.Start(context.WithoutCancel(h.t.Context())); err != nil {
		h.t.Fatal(err)
	}
	defer func() {
		if err := client.Stop(context.WithoutCancel(h.t.Context())); err != nil {
			h.t.Error(err)
		}
	}()
	limit, tick := time.NewTimer(20*time.Second), time.NewTicker(10*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for h.count(`SELECT count(*) FROM river_job WHERE kind = $1 AND state = 'completed'`, kind) == 0 {
		select {
		case <-limit.C:
			h.t.Fatalf("%s did not run", kind)
		case <-tick.C:
		}
	}
}

func (h *house) count(sql string, args ...any) (n int) {
	h.t.Helper()
	if err := h.db.Jobs.QueryRow(h.t.Context(), sql, args...).Scan(&n); err != nil {
		h.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func (h *house) exec(sql string, args ...any) {
	h.t.Helper()
	if _, err := h.db.Jobs.Exec(h.t.Context(), sql, args...); err != nil {
		h.t.Fatalf("%s: %v", sql, err)
	}
}

// idOf is a UUIDv7 of some time ago, made by hand.
const idOf = `(lpad(to_hex((extract(epoch FROM clock_timestamp() - $1::interval) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid`

func TestExpire_RemovesWhatIsThirtyDaysOldAndNothingElse(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for age, kept := range map[string]bool{"29 days 23 hours": true, "30 days 1 hour": false} {
		h.exec(`INSERT INTO payload (submission, data_key, wrapped, sealed) SELECT `+idOf+`, CASE WHEN $2 THEN 1 ELSE 0 END, 'w', 's' FROM generate_series(1, 2500) n`, age, kept)
		h.exec(`INSERT INTO client_key (form, key, submission, fingerprint, digest, created_at)
			SELECT $2::boolean::text, n::text, gen_random_uuid(), repeat('f', 200)::bytea, 'd', clock_timestamp() - $1::interval FROM generate_series(1, 20000) n`, age, kept)
		h.exec(`INSERT INTO fingerprint (fp, lead_id, last_seen) SELECT convert_to($2::boolean::text || n, 'UTF8'), gen_random_uuid(), clock_timestamp() - $1::interval
			FROM generate_series(1, 20000) n`, age, kept)
	}
	h.exec(`INSERT INTO account (id, email) VALUES (gen_random_uuid(), 'mia@example.com')`)
	h.exec(`INSERT INTO session (token_hash, account_id, last_seen_at) SELECT sha256(n::text::bytea), a.id, clock_timestamp() - n * interval '20 days' FROM account a, generate_series(1, 2) n`)
	h.exec(`INSERT INTO signin_link (token_hash, account_id, expires_at) SELECT sha256(n::text::bytea), a.id, clock_timestamp() - n * interval '20 hours' FROM account a, generate_series(1, 2) n`)
	h.exec(`INSERT INTO spent_proof (proof, holder, expires_at) SELECT sha256(n::text::bytea), 'h', clock_timestamp() + (n - 1500) * interval '1 minute' - interval '30 seconds' FROM generate_series(1, 3000) n`)
	h.clean("expire_ledger")
	for table, want := range map[string]int{
		"payload WHERE data_key = 1": 2500, "client_key WHERE form = 'true'": 20000, "fingerprint WHERE fp > 'g'": 20000,
		"payload": 2500, "client_key": 20000, "fingerprint": 20000, "session": 1, "signin_link": 1, "spent_proof": 1500,
	} {
		if n := h.count(`SELECT count(*) FROM ` + table); n != want {
			t.Errorf("%s: %d rows, want %d", table, n, want)
		}
	}
}

// TestExpire_OfALateRetryTheFingerprintDecides sends keys again after they have expired: who was here a moment ago comes back to their
// lead, who was not is a new enquiry.
func TestExpire_OfALateRetryTheFingerprintDecides(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if err := h.ring.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	service := intake.New(intake.Options{DB: h.db, Secret: make([]byte, 32), Node: 1, Now: time.Now, Seal: h.ring.Envelope})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	form := &lead.Form{Slug: "demo", Intent: lead.IntentHigh, DedupeWindow: 10 * time.Minute}
	send := func(who string) intake.Accepted {
		t.Helper()
		got, err := service.Accept(t.Context(), form, lead.Raw{Email: privacy.Text(who + "@acme.example"), ClientKey: "the-key-of-" + who + "-0123456789"}, lead.Arrival{})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	recent, long := send("recent"), send("long")
	h.exec(`UPDATE client_key SET created_at = created_at - interval '31 days'`)
	h.exec(`UPDATE fingerprint SET last_seen = last_seen - interval '31 days' WHERE lead_id = $1`, long.LeadID)
	if got := send("recent"); !got.Duplicate || got.SubmissionID != recent.SubmissionID {
		t.Errorf("before it is removed, a key counts: got %+v", got)
	}
	h.clean("expire_ledger")
	if got := send("recent"); got.Duplicate || got.LeadID != recent.LeadID || got.SubmissionID == recent.SubmissionID {
		t.Errorf("who was here a moment ago: got %+v after %+v", got, recent)
	}
	if got := send("long"); got.Duplicate || got.LeadID == long.LeadID || got.LeadID != got.SubmissionID {
		t.Errorf("who was here long ago: got %+v after %+v", got, long)
	}
	if got := send("long"); !got.Duplicate {
		t.Errorf("the key counts again: got %+v", got)
	}
}

func TestSealPayloads_MovesWhatWasInClear(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := uuid.Must(uuid.NewV7())
	h.exec(`INSERT INTO lead (id, correlation_id, form, intent, node, dispatch_lease) VALUES ($1, 'c', 'demo', 'high', 1, now())`, id)
	h.exec(`INSERT INTO touch (id, lead_id, kind, correlation_id, payload)
		SELECT `+idOf+`, $2, CASE WHEN n % 2 = 0 THEN 'repeat' ELSE 'amend' END, 'c' || n, CASE WHEN n % 10 = 0 THEN '{}' ELSE jsonb_build_object('name', 'Anna ' || n) END
		FROM generate_series(1, 1200) n`, "1 hour", id)
	for range 2 {
		h.clean("seal_payloads")
	}
	if n := h.count(`SELECT count(*) FROM touch WHERE payload <> '{}'`); n != 0 {
		t.Errorf("%d touches in clear", n)
	}
	var kept []lead.Payload
	for after, more := uuid.Nil, true; more; {
		page, further, err := lead.NewPayloadStore(h.db.Gorm, h.ring.OpenEnvelope).Read(t.Context(), lead.Everything(), id, after)
		if err != nil || len(page) == 0 || len(page) > 100 {
			t.Fatalf("%d payloads, %v", len(page), err)
		}
		kept, after, more = append(kept, page...), page[len(page)-1].Submission, further
	}
	if len(kept) != 1080 {
		t.Fatalf("%d payloads", len(kept))
	}
	for _, p := range kept {
		if want := `{"name": "Anna ` + p.CorrelationID.Plain()[1:] + `"}`; p.Body.Plain() != want || p.ContentType != "application/json" {
			t.Errorf("%s: %q", p.CorrelationID.Plain(), p.Body.Plain())
		}
	}
	if n := h.count(`SELECT count(*) FROM river_job WHERE args <> '{}'`); n != 0 {
		t.Errorf("%d jobs hold more than nothing", n)
	}
}
