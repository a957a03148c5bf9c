package jobs_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/crm"
	"leadline/internal/outbound"
	"leadline/internal/outbox"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
	"leadline/jobs"
)

const secret = "whsec_dGhlIHNlY3JldCBvZiB0aGUgdGVzdA=="

// fakeCRM holds what it was sent by external id, and answers as its script says.
type fakeCRM struct {
	*httptest.Server
	script atomic.Pointer[func(c call) reply]

	mu    sync.Mutex
	calls []call
	held  map[string]string // external id to the stage it holds
}

// call is one request as the CRM saw it.
type call struct {
	Event      string `json:"event"`
	ExternalID string `json:"external_id"`
	Stage      string `json:"stage"`
	id         string
	nth        int // of this external id
	forged     bool
}

// reply says what the CRM does with a call.
type reply struct {
	store  bool
	status int
	after  string          // Retry-After
	cut    bool            // closes the connection instead of answering
	until  <-chan struct{} // answers when this is closed
}

func accept(call) reply { return reply{store: true, status: 201} }

func newFakeCRM(t *testing.T, script func(call) reply) *fakeCRM {
	t.Helper()
	f := &fakeCRM{held: map[string]string{}}
	f.script.Store(&script)
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeCRM) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c := call{id: r.Header.Get("webhook-id"), forged: !signed(r.Header, body)}
	_ = json.Unmarshal(body, &c)
	f.mu.Lock()
	for _, earlier := range f.calls {
		if earlier.ExternalID == c.ExternalID {
			c.nth++
		}
	}
	f.calls = append(f.calls, c)
	f.mu.Unlock()
	answer := (*f.script.Load())(c)
	if answer.store {
		f.mu.Lock()
		f.held[c.ExternalID] = c.Stage
		f.mu.Unlock()
	}
	if answer.until != nil {
		select {
		case <-answer.until:
		case <-r.Context().Done():
		}
	}
	if answer.cut {
		panic(http.ErrAbortHandler)
	}
	if answer.after != "" {
		w.Header().Set("Retry-After", answer.after)
	}
	w.WriteHeader(answer.status)
	_, _ = fmt.Fprintf(w, `{"id":"rec-%s","url":"https://crm.example.com/%s"}`, c.ExternalID, c.ExternalID)
}

func signed(h http.Header, body []byte) bool {
	key, _ := base64.StdEncoding.DecodeString(secret[len("whsec_"):])
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(h.Get("webhook-id") + "." + h.Get("webhook-timestamp") + "." + string(body)))
	return h.Get("webhook-signature") == "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (f *fakeCRM) seen() []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]call(nil), f.calls...)
}

// process is the delivery part of one running Leadline.
type process struct {
	node   int64
	store  *outbox.Store
	writer *crm.Writer
	stop   func()
}

type world struct {
	t        *testing.T
	db       *postgres.DB
	crm      *fakeCRM
	settings atomic.Pointer[outbox.Connection]
}

func newWorld(t *testing.T, script func(call) reply) *world {
	t.Helper()
	w := &world{t: t, db: pgtest.New(t), crm: newFakeCRM(t, script)}
	w.settings.Store(&outbox.Connection{Slug: "crm", Kind: "webhook", Destination: outbox.CRM, BaseURL: w.crm.URL, Secret: secret})
	return w
}

func quick() crm.Limits {
	return crm.Limits{
		SoftLeast: 40 * time.Millisecond, SoftMost: 60 * time.Millisecond, HangAfter: 200 * time.Millisecond, Hard: time.Second,
		ProbeEvery: 50 * time.Millisecond, PauseRetry: 100 * time.Millisecond, RetryFirst: 20 * time.Millisecond, Grace: 100 * time.Millisecond,
	}
}

func (w *world) start(node int64, limits crm.Limits) *process {
	w.t.Helper()
	log := slog.New(slog.DiscardHandler)
	p := &process{node: node}
	var client *jobs.Client
	p.store = outbox.NewStore(func(ctx context.Context, tx pgx.Tx, refs []outbox.Ref) error { return client.Enqueue(ctx, tx, refs) })
	p.writer = crm.NewWriter(crm.Options{
		DB: w.db, Store: p.store, Node: node, Now: time.Now, Log: log, Limits: limits,
		Connections: func() []outbox.Connection { return []outbox.Connection{*w.settings.Load()} },
		HTTP:        outbound.New(outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}),
	})
	client, err := jobs.New(jobs.Options{DB: w.db, Writer: p.writer, Now: time.Now, Log: log})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.writer.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	if err := client.Start(ctx); err != nil {
		w.t.Fatal(err)
	}
	var once sync.Once
	p.stop = func() {
		once.Do(func() {
			limit, release := context.WithTimeout(context.Background(), 20*time.Second)
			defer release()
			if err := client.Stop(limit); err != nil {
				w.t.Error(err)
			}
			cancel()
			<-done
		})
	}
	w.t.Cleanup(p.stop)
	return p
}

// leads stores n new leads with their deliveries, as dispatch does.
func (w *world) leads(p *process, n int) ([]uuid.UUID, []outbox.Claimed) {
	w.t.Helper()
	ids, hot := make([]uuid.UUID, n), make([]bool, n)
	var claimed []outbox.Claimed
	err := postgres.InTx(w.t.Context(), w.db.Console, func(tx pgx.Tx) (err error) {
		for i := range ids {
			ids[i], hot[i] = uuid.Must(uuid.NewV7()), i%2 == 0
			if _, err := tx.Exec(w.t.Context(), `
				INSERT INTO lead (id, correlation_id, form, intent, stage, node, dispatch_lease) VALUES ($1, 'corr', 'demo', 'high', 'offered', $2, now())`, ids[i], p.node); err != nil {
				return err
			}
			if _, err := tx.Exec(w.t.Context(), `INSERT INTO contact (lead_id, name, email) VALUES ($1, 'Ada', 'ada@example.com')`, ids[i]); err != nil {
				return err
			}
		}
		send := &pgx.Batch{}
		outbox.QueueInsert(send, p.node, ids, hot, []outbox.Target{{Connection: "crm", Kind: "webhook", Destination: outbox.CRM}}, &claimed)
		return tx.SendBatch(w.t.Context(), send).Close()
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return ids, claimed
}

// claim changes a lead as a rep's claim does.
func (w *world) claim(p *process, id uuid.UUID) []outbox.Claimed {
	w.t.Helper()
	var claimed []outbox.Claimed
	err := postgres.InTx(w.t.Context(), w.db.Console, func(tx pgx.Tx) (err error) {
		if _, err := tx.Exec(w.t.Context(), `UPDATE lead SET stage = 'claimed', revision = revision + 1 WHERE id = $1`, id); err != nil {
			return err
		}
		claimed, err = p.store.Bump(w.t.Context(), tx, p.node, id)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return claimed
}

func (w *world) count(sql string) int {
	w.t.Helper()
	var n int
	if err := w.db.Console.QueryRow(w.t.Context(), sql).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// eventually waits for a condition of the database.
func (w *world) eventually(what string, condition func() bool) {
	w.t.Helper()
	limit := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-limit:
			w.t.Fatalf("never came true: %s; deliveries: %s", what, w.deliveries())
		case <-tick.C:
		}
	}
}

func (w *world) deliveries() string {
	var text string
	_ = w.db.Console.QueryRow(w.t.Context(), `
		SELECT string_agg(DISTINCT format('%s wanted %s written %s attempts %s leased %s due %s: %s', state, wanted, written, attempts, lease_until IS NOT NULL, due_at <= now(), last_error), E'\n')
		FROM delivery`).Scan(&text)
	return text
}

func (w *world) allDelivered() bool {
	return w.count(`SELECT count(*) FROM delivery WHERE state <> 'delivered' OR wanted > written OR lease_until IS NOT NULL`) == 0 &&
		w.count(`SELECT count(*) FROM lead WHERE crm_state <> 'confirmed'`) == 0 &&
		w.count(`SELECT count(*) FROM river_job WHERE kind = 'crm_write' AND state <> 'completed'`) == 0
}

// checkWrites asserts what must hold of every CRM: each lead once, each write under one name, every call signed.
func (w *world) checkWrites(ids []uuid.UUID) {
	w.t.Helper()
	names := map[string]map[string]bool{}
	for _, c := range w.crm.seen() {
		if c.forged {
			w.t.Errorf("call %s has no valid signature", c.id)
		}
		key := c.ExternalID + " " + c.Event
		if names[key] == nil {
			names[key] = map[string]bool{}
		}
		names[key][c.id] = true
	}
	for key, ids := range names {
		if len(ids) != 1 {
			w.t.Errorf("write %s went under %d names", key, len(ids))
		}
	}
	if len(w.crm.held) != len(ids) {
		w.t.Errorf("the CRM holds %d leads of %d", len(w.crm.held), len(ids))
	}
}

func TestCRM_ThatLiesGetsEachLeadOnceUnderOneName(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	w := newWorld(t, func(c call) reply {
		if c.nth > 0 {
			return reply{store: true, status: 200}
		}
		switch c.ExternalID[len(c.ExternalID)-1] % 6 {
		case 0:
			return reply{store: true, status: 500}
		case 1:
			return reply{store: true, until: never, cut: true}
		case 2:
			return reply{status: 429, after: "1"}
		case 3:
			return reply{store: true, cut: true}
		case 4:
			return reply{status: 503}
		}
		return accept(c)
	})
	p := w.start(1, quick())
	ids, claimed := w.leads(p, 60)
	p.writer.Submit(claimed)
	w.eventually("all leads are in the CRM", w.allDelivered)
	w.checkWrites(ids)
	if n := w.count(`SELECT count(*) FROM event WHERE kind = 'crm_written'`); n != len(ids) {
		t.Errorf("%d confirmations for %d leads", n, len(ids))
	}
	if n := w.count(`SELECT count(*) FROM delivery WHERE record_id <> 'rec-' || lead_id OR url = ''`); n != 0 {
		t.Errorf("%d deliveries without record id or link", n)
	}
}

func TestCRM_ThatHangsAndFailsForAWhileGetsEverythingAfterwards(t *testing.T) {
	t.Parallel()
	back := make(chan struct{})
	w := newWorld(t, func(c call) reply { return reply{until: back, status: 500} })
	p := w.start(1, quick())
	ids, claimed := w.leads(p, 150)
	p.writer.Submit(claimed)
	w.eventually("every lead is waiting", func() bool {
		return w.count(`SELECT count(*) FROM delivery WHERE state = 'saving'`) == len(ids)
	})
	failing := func(call) reply { return reply{status: 500} }
	w.crm.script.Store(&failing)
	close(back)
	more, claimed := w.leads(p, 20)
	p.writer.Submit(claimed)
	w.eventually("the new ones are waiting too", func() bool {
		return w.count(`SELECT count(*) FROM delivery WHERE state = 'saving'`) == len(ids)+len(more)
	})
	working := accept
	recovered := time.Now()
	w.crm.script.Store((*func(call) reply)(&working))
	w.eventually("all leads are in the CRM", w.allDelivered)
	if took := time.Since(recovered); took > 10*time.Second {
		t.Errorf("draining %d leads took %s", len(ids)+len(more), took)
	}
	w.checkWrites(append(ids, more...))
}

func TestCRM_SlowSuccessIsShownAsProvisionalAndNotSentTwice(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	w := newWorld(t, func(c call) reply { return reply{store: true, status: 200, until: answer} })
	limits := quick()
	limits.Hard = 20 * time.Second
	p := w.start(1, limits)
	_, claimed := w.leads(p, 3)
	p.writer.Submit(claimed)
	w.eventually("the leads are provisional", func() bool { return w.count(`SELECT count(*) FROM lead WHERE crm_state = 'saving'`) == 3 })
	w.eventually("the lease was renewed", func() bool {
		return w.count(`SELECT count(*) FROM delivery WHERE lease_until > created_at + interval '6 seconds'`) == 3
	})
	if err := postgres.InTx(t.Context(), w.db.Console, func(tx pgx.Tx) error {
		n, err := p.store.TakeOver(t.Context(), tx, nil)
		if n != 0 {
			t.Errorf("%d deliveries were taken from a live process", n)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	close(answer)
	w.eventually("all leads are in the CRM", w.allDelivered)
	if n := len(w.crm.seen()); n != 3 {
		t.Errorf("%d calls for 3 leads", n)
	}
}

func TestCRM_ChangeDuringAWriteFollowsAsAWriteOfItsOwn(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	w := newWorld(t, func(c call) reply {
		if c.nth == 0 {
			return reply{store: true, status: 500, until: answer}
		}
		return accept(c)
	})
	p := w.start(1, quick())
	ids, claimed := w.leads(p, 1)
	p.writer.Submit(claimed)
	w.eventually("the first write is under way", func() bool { return len(w.crm.seen()) == 1 })
	if again := w.claim(p, ids[0]); len(again) != 0 {
		t.Errorf("a delivery that is being written was leased once more")
	}
	close(answer)
	w.eventually("all is written", w.allDelivered)
	calls := w.crm.seen()
	if len(calls) != 3 || calls[0].id != calls[1].id || calls[1].id == calls[2].id || calls[2].Event != "lead.updated" {
		t.Errorf("expected created, created again, updated; got %+v", calls)
	}
	if w.crm.held[ids[0].String()] != "claimed" {
		t.Errorf("the CRM holds stage %q", w.crm.held[ids[0].String()])
	}
	if again := w.claim(p, ids[0]); len(again) != 1 {
		t.Errorf("a delivery that nobody works on was not leased")
	} else {
		p.writer.Submit(again)
	}
	w.eventually("the next update is written", func() bool { return len(w.crm.seen()) == 4 && w.allDelivered() })
}

func TestCRM_DeliveriesOfAKilledProcessAreWrittenByAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, accept)
	dead := w.start(1, quick())
	ids, _ := w.leads(dead, 20) // leased, never submitted: the process died here
	dead.stop()
	other := w.start(2, quick())
	if err := postgres.InTx(t.Context(), w.db.Console, func(tx pgx.Tx) error {
		n, err := other.store.TakeOver(t.Context(), tx, []int64{1})
		if n != len(ids) {
			t.Errorf("took over %d of %d", n, len(ids))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	w.eventually("all leads are in the CRM", w.allDelivered)
	w.checkWrites(ids)
}

func TestCRM_PausedConnectionKeepsItsLeadsUntilItIsPutRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(call) reply { return reply{status: 401} })
	limits := quick()
	limits.PauseRetry = time.Hour
	p := w.start(1, limits)
	ids, claimed := w.leads(p, 10)
	p.writer.Submit(claimed)
	w.eventually("all wait", func() bool {
		return w.count(`SELECT count(*) FROM delivery WHERE state = 'saving' AND attempts = 0`) == len(ids)
	})
	working := accept
	w.crm.script.Store((*func(call) reply)(&working))
	changed := *w.settings.Load()
	changed.BaseURL += "/v2"
	w.settings.Store(&changed)
	w.eventually("all leads are in the CRM", w.allDelivered)
	w.checkWrites(ids)
}

func TestCRM_RefusedLeadIsQuarantinedWithoutPersonalDataAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	var first atomic.Bool
	w := newWorld(t, func(c call) reply {
		if first.CompareAndSwap(false, true) {
			return reply{status: 422}
		}
		return accept(c)
	})
	p := w.start(1, quick())
	ids, claimed := w.leads(p, 5)
	p.writer.Submit(claimed)
	w.eventually("one is refused, the others are in", func() bool {
		return w.count(`SELECT count(*) FROM lead WHERE crm_state = 'confirmed'`) == len(ids)-1 &&
			w.count(`SELECT count(*) FROM lead WHERE crm_state = 'refused'`) == 1
	})
	if n := w.count(`SELECT count(*) FROM event WHERE kind = 'crm_refused' AND data->>'reason' LIKE 'HTTP 422%'`); n != 1 {
		t.Errorf("%d events tell of the refusal", n)
	}
}
