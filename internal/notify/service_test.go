package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/notify"
	"leadline/internal/outbound"
	"leadline/internal/outbox"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/sandbox"
)

// world is a notify service in front of the simulated Slack, with a man in the middle.
type world struct {
	t        *testing.T
	db       *postgres.DB
	store    *outbox.Store
	service  *notify.Service
	settings atomic.Pointer[outbox.Connection]
	// meddle may answer a call itself (and say so), before or instead of Slack.
	meddle  atomic.Pointer[func(method string, nth int, forward func() []byte, w http.ResponseWriter) bool]
	sandbox http.Handler

	mu    sync.Mutex
	calls map[string]int
}

func setup(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, db: pgtest.New(t), calls: map[string]int{}}
	// The simulator's clock runs fast, so that its rate limits do not slow the test.
	begin := time.Now()
	w.sandbox = sandbox.New(sandbox.Options{Now: func() time.Time { return begin.Add(60 * time.Since(begin)) }})
	server := httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(server.Close)
	w.settings.Store(&outbox.Connection{Slug: "chat", Kind: "slack", Destination: outbox.Chat, BaseURL: server.URL + "/slack", Token: "xoxb-1", Channel: "leads"})
	w.store = outbox.NewStore(func(context.Context, pgx.Tx, []outbox.Ref) error { return nil })
	return w
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	forward := func() []byte {
		inner := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), bytes.NewReader(body))
		inner.Header, inner.RemoteAddr, inner.Host = r.Header, r.RemoteAddr, r.Host
		answer := httptest.NewRecorder()
		w.sandbox.ServeHTTP(answer, inner)
		return answer.Body.Bytes()
	}
	method := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	w.mu.Lock()
	nth := w.calls[method]
	w.calls[method]++
	w.mu.Unlock()
	if meddle := w.meddle.Load(); meddle != nil && (*meddle)(method, nth, forward, rw) {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	w.sandbox.ServeHTTP(rw, r)
}

func (w *world) onCall(f func(method string, nth int, forward func() []byte, rw http.ResponseWriter) bool) {
	w.meddle.Store(&f)
}

func (w *world) start() {
	w.t.Helper()
	w.service = notify.NewService(notify.Options{
		DB: w.db, Store: w.store, Node: 1, PublicURL: "https://leads.example.com", Now: time.Now,
		Log:         slog.New(slog.DiscardHandler),
		HTTP:        outbound.New(outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}),
		Connections: func() []outbox.Connection { return []outbox.Connection{*w.settings.Load()} },
		Limits: notify.Limits{
			PostEvery: 20 * time.Millisecond, UpdateEvery: 20 * time.Millisecond, Poll: 50 * time.Millisecond, LookAfter: 50 * time.Millisecond,
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.service.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	w.t.Cleanup(func() {
		cancel()
		<-done
	})
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Console.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

// leads stores n leads, the last of them hot.
func (w *world) leads(n int) []uuid.UUID {
	w.t.Helper()
	ids, hot := make([]uuid.UUID, n), make([]bool, n)
	err := postgres.InTx(w.t.Context(), w.db.Console, func(tx pgx.Tx) error {
		for i := range ids {
			ids[i], hot[i] = uuid.Must(uuid.NewV7()), i == n-1
			if _, err := tx.Exec(w.t.Context(), `
				INSERT INTO lead (id, correlation_id, form, intent, product, source, country, timezone, stage, node, dispatch_lease)
				VALUES ($1, '', 'demo', 'high', '<!channel> & more', 'ada@example.com', 'DE', 'Europe/Berlin', 'offered', 1, now())`, ids[i]); err != nil {
				return err
			}
			if _, err := tx.Exec(w.t.Context(), `INSERT INTO contact (lead_id, name, email, phone) VALUES ($1, 'Ada Byron', 'ada@example.com', '+4930111')`, ids[i]); err != nil {
				return err
			}
		}
		send := &pgx.Batch{}
		outbox.QueueInsert(send, 1, ids, hot, []outbox.Target{
			{Connection: "chat", Kind: "slack", Destination: outbox.Chat}, {Connection: "crm", Kind: "webhook", Destination: outbox.CRM},
		}, new([]outbox.Claimed))
		return tx.SendBatch(w.t.Context(), send).Close()
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return ids
}

func (w *world) count(sql string) (n int) {
	w.t.Helper()
	if err := w.db.Console.QueryRow(w.t.Context(), sql).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// messages are those that Slack holds.
func (w *world) messages() []string {
	w.t.Helper()
	request := httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, "/_control/records?vendor=slack", nil)
	request.RemoteAddr, request.Host = "127.0.0.1:1", "127.0.0.1"
	answer := httptest.NewRecorder()
	w.sandbox.ServeHTTP(answer, request)
	var held []json.RawMessage
	if err := json.Unmarshal(answer.Body.Bytes(), &held); err != nil {
		w.t.Fatalf("records: %v %s", err, answer.Body)
	}
	texts := make([]string, len(held))
	for i, r := range held {
		texts[i] = string(r)
	}
	return texts
}

func (w *world) eventually(what string, condition func() bool) {
	w.t.Helper()
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-limit:
			var rows string
			_ = w.db.Console.QueryRow(w.t.Context(), `SELECT string_agg(format('%s %s/%s sending %s %s %s', state, written, wanted, sending, record_id, last_error), E'\n') FROM delivery WHERE destination = 'chat'`).Scan(&rows)
			w.t.Fatalf("never came true: %s\n%s\ncalls %v", what, rows, w.calls)
		case <-tick.C:
		}
	}
}

func (w *world) upToDate(n int) func() bool {
	return func() bool {
		return w.count(`SELECT count(*) FROM delivery WHERE destination = 'chat' AND state = 'delivered' AND written = wanted AND lease_until IS NULL`) == n
	}
}

func reply(rw http.ResponseWriter, body string) bool {
	_, _ = fmt.Fprint(rw, body)
	return true
}

func TestCard_IsBlindAndFollowsTheLeadInPlace(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.start()
	id := w.leads(1)[0]
	w.service.Hint()
	w.eventually("the card is there", w.upToDate(1))
	card := w.messages()[0]
	for _, secret := range []string{"Ada", "ada@", "4930111", "<!channel>"} {
		if strings.Contains(card, secret) {
			t.Errorf("the card shows %s: %s", secret, card)
		}
	}
	if !strings.Contains(card, id.String()) || !strings.Contains(card, "DE") || !strings.Contains(card, "Waiting for a rep") {
		t.Errorf("the card lacks facts: %s", card)
	}

	rep := uuid.New()
	w.exec(`INSERT INTO rep (id, email, name) VALUES ($1, 'mia@example.com', 'Mia Berg')`, rep)
	err := postgres.InTx(t.Context(), w.db.Console, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `UPDATE lead SET stage = 'claimed', rep_id = $1, revision = revision + 1`, rep); err != nil {
			return err
		}
		_, err := w.store.Bump(t.Context(), tx, 1, id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.eventually("the card names the rep", func() bool { return strings.Contains(w.messages()[0], "Mia has it") })

	var crm outbox.Claimed
	if err := w.db.Console.QueryRow(t.Context(), `SELECT id, lead_id, token, wanted FROM delivery WHERE destination = 'crm'`).Scan(&crm.ID, &crm.LeadID, &crm.Token, &crm.Revision); err != nil {
		t.Fatal(err)
	}
	crm.Destination = outbox.CRM
	_, err = w.store.Record(t.Context(), w.db.Console, []outbox.Result{{Claimed: crm, Outcome: outbox.WasDelivered, URL: "https://crm.example.com/1"}})
	if err != nil {
		t.Fatal(err)
	}
	w.eventually("the card opens the CRM record", func() bool {
		return strings.Contains(w.messages()[0], "https://crm.example.com/1") && strings.Contains(w.messages()[0], "In CRM")
	})
	if n := len(w.messages()); n != 1 {
		t.Errorf("%d messages for one lead", n)
	}
}

func TestCard_WhoseAnswerWasLostIsFoundAndNotPostedAgain(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(http.ResponseWriter) bool{
		"internal error": func(rw http.ResponseWriter) bool { return reply(rw, `{"ok":false,"error":"internal_error"}`) },
		"cut":            func(http.ResponseWriter) bool { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.onCall(func(method string, nth int, forward func() []byte, rw http.ResponseWriter) bool {
				if method != "chat.postMessage" || nth > 0 {
					return false
				}
				forward()
				return lose(rw)
			})
			w.start()
			w.leads(1)
			w.eventually("the card is known", w.upToDate(1))
			if n := len(w.messages()); n != 1 {
				t.Errorf("%d messages for one lead", n)
			}
		})
	}
}

func TestCards_BeyondThePaceBecomeOneDigest(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.leads(40)
	w.start()
	w.eventually("everything is told", func() bool {
		return w.count(`SELECT count(*) FROM delivery WHERE destination = 'chat' AND state IN ('delivered', 'merged') AND written = wanted`) == 40
	})
	if n := len(w.messages()); n != 6 {
		t.Errorf("%d messages for 40 leads, expected 5 cards and a digest", n)
	}
	if n := w.count(`SELECT count(*) FROM delivery WHERE destination = 'chat' AND state = 'merged' AND NOT hot AND record_id <> ''`); n != 35 {
		t.Errorf("%d leads in the digest", n)
	}
	if n := w.count(`SELECT count(*) FROM event WHERE kind = 'chat_posted'`); n != 40 {
		t.Errorf("%d leads have the event", n)
	}
}

func TestSlackErrors_AreTakenForWhatTheyMean(t *testing.T) {
	t.Parallel()
	t.Run("a bad message is quarantined and the next one posted", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.onCall(func(method string, nth int, _ func() []byte, rw http.ResponseWriter) bool {
			return method == "chat.postMessage" && nth == 0 && reply(rw, `{"ok":false,"error":"invalid_blocks"}`)
		})
		w.leads(2)
		w.start()
		w.eventually("one is posted", w.upToDate(1))
		if n := w.count(`SELECT count(*) FROM event WHERE kind = 'chat_refused' AND data->>'reason' = 'invalid_blocks'`); n != 1 {
			t.Errorf("%d refusals", n)
		}
	})
	t.Run("a rate limit is waited for", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		var limited time.Time
		w.onCall(func(method string, nth int, _ func() []byte, rw http.ResponseWriter) bool {
			if method != "chat.postMessage" || nth > 0 {
				if method == "chat.postMessage" && time.Since(limited) < time.Second {
					t.Errorf("called again after %s", time.Since(limited))
				}
				return false
			}
			limited = time.Now()
			rw.Header().Set("Retry-After", "1")
			rw.WriteHeader(http.StatusTooManyRequests)
			return reply(rw, `{"ok":false,"error":"ratelimited"}`)
		})
		w.leads(1)
		w.start()
		w.eventually("the card is there", w.upToDate(1))
		if w.calls["conversations.history"] != 0 {
			t.Errorf("a message that was not taken was looked for")
		}
	})
	t.Run("a wrong token pauses until it is put right", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		wrong := *w.settings.Load()
		right := wrong
		wrong.Token = "not-a-token"
		w.settings.Store(&wrong)
		w.leads(2)
		w.start()
		w.eventually("the pause is visible", func() bool {
			return w.count(`SELECT count(*) FROM delivery WHERE last_error LIKE 'connection paused: invalid_auth%'`) > 0
		})
		w.settings.Store(&right)
		w.eventually("both cards are there", w.upToDate(2))
	})
	t.Run("a deleted message is posted anew", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.onCall(func(method string, nth int, _ func() []byte, rw http.ResponseWriter) bool {
			return method == "chat.update" && nth == 0 && reply(rw, `{"ok":false,"error":"message_not_found"}`)
		})
		w.leads(1)
		w.start()
		w.eventually("the card is there", w.upToDate(1))
		w.exec(`UPDATE delivery SET wanted = wanted + 1 WHERE destination = 'chat'`)
		w.eventually("it is there again", func() bool { return len(w.messages()) == 2 && w.upToDate(1)() })
	})
}
