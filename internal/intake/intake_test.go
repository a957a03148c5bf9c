package intake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/config"
	"leadline/internal/fault"
	"leadline/internal/intake"
	"leadline/internal/keyring"
	"leadline/internal/lead"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/privacy"
)

const window = 10 * time.Minute

var secret = []byte("0123456789abcdef0123456789abcdef")

var demo = &lead.Form{
	Slug: "demo", Intent: lead.IntentHigh, DedupeWindow: window, Fields: []lead.FormField{{Name: "seats", Type: lead.FieldNumber}},
}

// bench is a database and services on it.
type bench struct {
	t    testing.TB
	db   *postgres.DB
	ring *keyring.Ring
	*intake.Service
	stop func() // ends Run and waits for it
}

func newBench(t testing.TB) *bench {
	t.Helper()
	return newBenchOn(t, pgtest.New(t))
}

func newBenchOn(t testing.TB, db *postgres.DB) *bench {
	t.Helper()
	b := &bench{t: t, db: db}
	master, err := keyring.ReadMaster(t.Context(), secret, config.KeySource{}, config.KeySource{})
	if err != nil {
		t.Fatal(err)
	}
	if b.ring, err = keyring.Open(t.Context(), b.db, master); err != nil {
		t.Fatal(err)
	}
	if err := b.ring.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// setup starts one service; change adapts its options.
func setup(t testing.TB, change func(*intake.Options)) *bench {
	t.Helper()
	b := newBench(t)
	b.Service, b.stop = b.start(change)
	return b
}

func (b *bench) start(change func(*intake.Options)) (*intake.Service, func()) {
	o := intake.Options{DB: b.db, Secret: secret, Node: 7, Now: time.Now, Seal: b.ring.Envelope}
	if change != nil {
		change(&o)
	}
	s := intake.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("run: %v", err)
		}
	})
	b.t.Cleanup(stop)
	return s, stop
}

func (b *bench) accept(raw lead.Raw) intake.Accepted {
	b.t.Helper()
	got, err := b.Accept(context.Background(), demo, raw, lead.Arrival{})
	if err != nil {
		b.t.Fatalf("accept: %v", err)
	}
	return got
}

// lead reads a lead and its contact; an alias gives the lead that it joined.
func (b *bench) lead(id uuid.UUID) (lead.Lead, lead.Contact) {
	b.t.Helper()
	store := lead.NewStore(b.db.Gorm)
	l, err := store.ByID(context.Background(), lead.Everything(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	seen, err := store.Contact(context.Background(), lead.Everything(), id, lead.Sight{Masked: true})
	if err != nil {
		b.t.Fatal(err)
	}
	return l, seen.Contact
}

// payloads are what was kept of a lead's submissions, in order.
func (b *bench) payloads(id uuid.UUID) []lead.Payload {
	b.t.Helper()
	kept, _, err := lead.NewPayloadStore(b.db.Gorm, b.ring.OpenEnvelope).Read(context.Background(), lead.Everything(), id, uuid.Nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return kept
}

// count answers a question whose answer is a number.
func (b *bench) count(query string, args ...any) (n int) {
	b.t.Helper()
	if err := b.db.Console.QueryRow(context.Background(), query, args...).Scan(&n); err != nil {
		b.t.Fatalf("%s: %v", query, err)
	}
	return n
}

func (b *bench) exec(query string, args ...any) {
	b.t.Helper()
	if _, err := b.db.Console.Exec(context.Background(), query, args...); err != nil {
		b.t.Fatalf("%s: %v", query, err)
	}
}

func person(i int) privacy.Text { return privacy.Text(fmt.Sprintf("p%d@acme.example", i)) }
func key(i int) string          { return fmt.Sprintf("key-%022d", i) }

func TestAccept_StoresTheLeadAsNewWithALeaseAndItsContact(t *testing.T) {
	var fresh atomic.Int64
	b := setup(t, func(o *intake.Options) { o.Committed = func(n int) { fresh.Add(int64(n)) } })
	got := b.accept(lead.Raw{
		Name: "Änna", Email: "Anna@Acme.example", Phone: "030 901820", Country: "DE", Region: "Berlin", PostalCode: "10115", Notes: "hi",
		Fields: map[string]privacy.Text{"seats": "5"}, Consent: lead.Consent{Phone: true, TextVersion: "v3"}, ClientKey: key(1), CorrelationID: "corr-1",
		Context: lead.Context{UTMSource: "google", Timezone: "Europe/Berlin", Locale: "de-DE"},
	})
	if got.Duplicate || got.LeadID != got.SubmissionID || got.CorrelationID != "corr-1" || fresh.Load() != 1 {
		t.Fatalf("got %+v, %d new", got, fresh.Load())
	}
	l, c := b.lead(got.LeadID)
	want := lead.Lead{
		ID: got.LeadID, CorrelationID: "corr-1", Form: "demo", Intent: "high", Country: "DE", Region: "DE-BE", PostalCode: "10115",
		Timezone: "Europe/Berlin", Language: "de", Source: "google", EmailDomain: "acme.example", DomainClass: "business",
		AcceptedAt: l.AcceptedAt, Stage: lead.StageNew, CRMState: lead.CRMPending, Revision: 1,
	}
	if l != want || !l.AcceptedAt.Equal(got.AcceptedAt) {
		t.Errorf("got  %+v\nwant %+v", l, want)
	}
	if c.Name != "Änna" || c.Phone != "+4930901820" || c.Fields["seats"] != "5" || !c.Consent.Phone || c.Context.UTMSource != "google" {
		t.Errorf("contact %+v", c)
	}
	if n := b.count(`SELECT count(*) FROM lead WHERE node = 7 AND dispatch_lease BETWEEN clock_timestamp() + interval '1 second'
		AND clock_timestamp() + interval '5 seconds'`); n != 1 {
		t.Error("no dispatch lease")
	}
	if n := b.count(`SELECT count(*) FROM event`); n != 0 {
		t.Error("a first submission writes no event: the counter's lock stays out of its path")
	}
}

func TestAccept_FollowsTheDecisionTable(t *testing.T) {
	var amended []uuid.UUID
	var announced int
	b := setup(t, func(o *intake.Options) {
		o.Amended = func(_ context.Context, _ pgx.Tx, id uuid.UUID) (func(), error) {
			amended = append(amended, id)
			return func() { announced++ }, nil
		}
	})
	first := b.accept(lead.Raw{Email: person(1), Name: "Anna", ClientKey: key(1)})

	replay := b.accept(lead.Raw{Email: person(1), Name: "Anna", ClientKey: key(1), Context: lead.Context{UTMSource: "other"}})
	if !replay.Duplicate || replay.SubmissionID != first.SubmissionID || replay.LeadID != first.LeadID || replay.CorrelationID != first.CorrelationID || !replay.AcceptedAt.Equal(first.AcceptedAt) {
		t.Errorf("row 1: got %+v after %+v", replay, first)
	}

	fixed := b.accept(lead.Raw{Email: person(1), Phone: "+4930901820", Fields: map[string]privacy.Text{"seats": "9"}, ClientKey: key(1)})
	if fixed != replay || len(amended) != 1 || amended[0] != first.LeadID || announced != 1 {
		t.Errorf("row 2: got %+v, amended %v", fixed, amended)
	}
	again := b.accept(lead.Raw{Email: person(1), Phone: "+4930901820", Fields: map[string]privacy.Text{"seats": "9"}, ClientKey: key(1)})
	if again != replay || len(amended) != 1 {
		t.Errorf("row 2 again: a resend of the correction is a replay, got %+v %v", again, amended)
	}
	l, c := b.lead(first.LeadID)
	if l.Revision != 2 || c.Name != "Anna" || c.Phone != "+4930901820" || c.Fields["seats"] != "9" {
		t.Errorf("row 2: %+v %+v", l, c)
	}

	stranger := b.accept(lead.Raw{Email: person(2), ClientKey: key(1)})
	if stranger.Duplicate || stranger.LeadID == first.LeadID || stranger.LeadID != stranger.SubmissionID {
		t.Errorf("row 3: got %+v", stranger)
	}
	if r := b.accept(lead.Raw{Email: person(1), Phone: "+4930901820", Fields: map[string]privacy.Text{"seats": "9"}, ClientKey: key(1)}); r != replay {
		t.Errorf("row 3 took the key: got %+v", r)
	}

	repeat := b.accept(lead.Raw{Email: privacy.Text(strings.ToUpper(person(1).Plain())), Name: "A.", ClientKey: key(2)})
	if repeat.Duplicate || repeat.LeadID != first.LeadID || repeat.SubmissionID == first.SubmissionID {
		t.Errorf("row 4: got %+v", repeat)
	}
	replayed := b.accept(lead.Raw{Email: privacy.Text(strings.ToUpper(person(1).Plain())), Name: "A.", ClientKey: key(2)})
	if !replayed.Duplicate || replayed.SubmissionID != repeat.SubmissionID || replayed.LeadID != first.LeadID {
		t.Errorf("row 4 then 1: got %+v", replayed)
	}
	// A correction of an alias stays beside the lead.
	b.accept(lead.Raw{Email: person(1), Name: "Mallory", ClientKey: key(2)})
	if _, c = b.lead(repeat.SubmissionID); c.Name != "Anna" || len(amended) != 1 {
		t.Errorf("an alias changed the lead: %+v", c)
	}

	b.exec(`UPDATE fingerprint SET last_seen = last_seen - interval '10 minutes'`)
	later := b.accept(lead.Raw{Email: person(1), ClientKey: key(3)})
	if later.LeadID != later.SubmissionID {
		t.Errorf("row 5: got %+v", later)
	}
	if keyless := b.accept(lead.Raw{Email: person(1), ClientKey: "no\nkey"}); keyless.LeadID != later.LeadID || keyless.Duplicate {
		t.Errorf("row 6: got %+v", keyless)
	}
	if _, err := b.Accept(context.Background(), demo, lead.Raw{ClientKey: key(9)}, lead.Arrival{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("row 8: got %v", err)
	}
	events, err := lead.NewStore(b.db.Gorm).Timeline(context.Background(), lead.Everything(), repeat.SubmissionID)
	var kinds []string
	for _, e := range events {
		kinds = append(kinds, string(e.Kind))
	}
	if got := strings.Join(kinds, " "); err != nil || got != "accepted amended repeated amended" {
		t.Errorf("timeline %q, %v", got, err)
	}
}

func leadRaw(p int, key string) lead.Raw { return lead.Raw{Email: person(p), ClientKey: key} }

// backlog fills the queue of a service that does not run yet, so that its first batches are what the test wants them to be.
func backlog(t *testing.T, s *intake.Service, subs []*lead.Submission) (results []intake.Accepted, errs []error, wait func()) {
	t.Helper()
	results, errs = make([]intake.Accepted, len(subs)), make([]error, len(subs))
	var all sync.WaitGroup
	for i, sub := range subs {
		all.Go(func() { results[i], errs[i] = s.Store(context.Background(), sub) })
	}
	return results, errs, all.Wait
}

func submission(p int, key string) *lead.Submission {
	return &lead.Submission{
		Form: "demo", Intent: "high", Window: window, Contact: lead.Contact{Email: person(p)}, ClientKey: key, CorrelationID: "c",
	}
}

func TestCommitter_OnlyThePoisonRowOfABatchFails(t *testing.T) {
	b := setup(t, nil)
	var subs []*lead.Submission
	for i := range 60 {
		sub := submission(i, key(i))
		switch i {
		case 20:
			sub.Contact.Name = "nul \x00 byte"
		case 40:
			sub.Contact.Notes = "not \xff text"
		}
		subs = append(subs, sub)
	}
	results, errs, wait := backlog(t, b.Service, subs)
	wait()
	for i := range subs {
		switch {
		case i == 20 || i == 40:
			if !fault.Is(errs[i], fault.Invalid) {
				t.Errorf("poison row %d: got %v", i, errs[i])
			}
		case errs[i] != nil || results[i].LeadID != results[i].SubmissionID:
			t.Errorf("row %d: got %+v %v", i, results[i], errs[i])
		}
	}
	if n := b.count(`SELECT count(*) FROM lead JOIN contact ON lead_id = id`); n != 58 {
		t.Errorf("%d leads", n)
	}
}

func TestCommitter_OnePersonManyTimesInOneQueueIsOneLead(t *testing.T) {
	b := setup(t, nil)
	var subs []*lead.Submission
	for i := range 40 {
		subs = append(subs, submission(1, key(i%10)))
	}
	results, errs, wait := backlog(t, b.Service, subs)
	wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	duplicates := 0
	for _, r := range results {
		if r.LeadID != results[0].LeadID {
			t.Errorf("leads %v and %v", r.LeadID, results[0].LeadID)
		}
		if r.Duplicate {
			duplicates++
		}
	}
	if duplicates != 30 || b.count(`SELECT count(*) FROM lead`) != 1 || b.count(`SELECT count(*) FROM touch`) != 9 {
		t.Errorf("%d duplicates, %d leads, %d touches", duplicates, b.count(`SELECT count(*) FROM lead`), b.count(`SELECT count(*) FROM touch`))
	}
}

func TestCommitter_ALockedPersonWaitsShortlyAndAloneFails(t *testing.T) {
	b := setup(t, nil)
	b.accept(leadRaw(1, key(1)))
	ctx := context.Background()
	tx, err := b.db.Console.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if _, err := tx.Exec(ctx, `SELECT * FROM fingerprint FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	var subs []*lead.Submission
	for i := range 20 {
		subs = append(subs, submission(i, key(100+i)))
	}
	_, errs, wait := backlog(t, b.Service, subs)
	wait()
	for i, err := range errs {
		var f *fault.Error
		if i == 1 && (!errors.As(err, &f) || f.Kind != fault.Unavailable || f.RetryAfter != time.Second) {
			t.Errorf("the locked person: got %v", err)
		}
		if i != 1 && err != nil {
			t.Errorf("person %d: %v", i, err)
		}
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if got := b.accept(leadRaw(1, key(101))); got.Duplicate || got.LeadID == got.SubmissionID {
		t.Errorf("the retry joins the lead: got %+v", got)
	}
}

func TestCommitter_AConnectionKilledBeforeOrAfterCommitLosesAndDoublesNothing(t *testing.T) {
	b := setup(t, nil)
	var (
		all    sync.WaitGroup
		strike = make(chan bool, 1) // now and then an answer calls for a kill, while other submissions are on their way
		kills  int
	)
	all.Go(func() {
		for range strike {
			kills += b.count(`SELECT count(pg_terminate_backend(pid))::int FROM pg_stat_activity
				WHERE datname = current_database() AND application_name LIKE '%intake%'`)
		}
	})
	const clients, each = 16, 40
	var (
		keyless atomic.Int64 // sent again without a key, on a machine that is slow: the person's lead gets a touch
		mu      sync.Mutex
		acked   = map[uuid.UUID]bool{}
		work    sync.WaitGroup
	)
	for g := range clients {
		work.Go(func() {
			for i := range each {
				raw := leadRaw(g*each+i, key(g*each+i))
				if i%4 == 0 {
					raw.ClientKey = "" // without a key too
				}
				for tries := 0; ; {
					got, err := b.Accept(context.Background(), demo, raw, lead.Arrival{})
					if fault.Is(err, fault.Unavailable) {
						if tries++; raw.ClientKey == "" {
							keyless.Add(1)
						}
						continue
					}
					if err != nil || got.LeadID != got.SubmissionID && (raw.ClientKey != "" || tries == 0) {
						t.Errorf("accept: %+v %v", got, err)
						return
					}
					mu.Lock()
					acked[got.LeadID] = true
					if len(acked)%30 == 0 {
						select {
						case strike <- true:
						default:
						}
					}
					mu.Unlock()
					break
				}
			}
		})
	}
	work.Wait()
	close(strike)
	all.Wait()
	if kills == 0 {
		t.Error("no connection was killed")
	}
	t.Logf("%d connections killed", kills)
	if n := b.count(`SELECT count(*) FROM lead`); n != clients*each || len(acked) != n {
		t.Errorf("%d leads stored, %d acknowledged, %d people", n, len(acked), clients*each)
	}
	if n := b.count(`SELECT count(*) FROM touch`); n > int(keyless.Load()) {
		t.Errorf("%d touches: a retry was taken for a repeat", n)
	}
}

// TestCommitter_ACommitWhoseAnswerWasLostIsOurs runs a stored submission again under its own id, as a writer does after a lost answer.
func TestCommitter_ACommitWhoseAnswerWasLostIsOurs(t *testing.T) {
	for _, key := range []string{key(1), ""} {
		id := uuid.Must(uuid.NewV7())
		b := setup(t, func(o *intake.Options) { o.NewID = func() uuid.UUID { return id } })
		first, again := b.accept(leadRaw(1, key)), b.accept(leadRaw(1, key))
		if again != first || again.Duplicate || b.count(`SELECT count(*) FROM touch`) != 0 {
			t.Errorf("key %q: got %+v after %+v", key, again, first)
		}
	}
}

func TestAccept_RefusesAtOnceWhenTheQueueIsFullAndAfterTheEnd(t *testing.T) {
	b := newBench(t)
	stands := time.Now()                                                                                                              // so that nobody waits too long, however slow the machine
	idle := intake.New(intake.Options{DB: b.db, Secret: []byte("s"), Now: func() time.Time { return stands }, Seal: b.ring.Envelope}) // nobody runs it
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for i := range intake.QueueLength {
		_, err := idle.Accept(gone, demo, leadRaw(i, key(i)), lead.Arrival{})
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != "unknown_outcome" {
			t.Fatalf("a caller who left: got %v", err)
		}
	}
	_, err := idle.Accept(context.Background(), demo, leadRaw(0, key(0)), lead.Arrival{})
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != "queue_full" || f.RetryAfter != time.Second {
		t.Fatalf("full queue: got %v", err)
	}
	// Run drains what was queued, also when it is told to stop at once.
	if err := idle.Run(gone); err != nil {
		t.Fatal(err)
	}
	if n := b.count(`SELECT count(*) FROM lead`); n != intake.QueueLength {
		t.Errorf("%d of %d queued leads stored", n, intake.QueueLength)
	}
	if _, err := idle.Accept(context.Background(), demo, leadRaw(0, key(0)), lead.Arrival{}); !errors.As(err, &f) || f.Code != "stopping" {
		t.Errorf("after the end: got %v", err)
	}
}

func TestAccept_WaitsForDispatchAndThenRefuses(t *testing.T) {
	var waiting atomic.Int64
	b := setup(t, func(o *intake.Options) { o.Waiting = func() int { return int(waiting.Load()) } })
	waiting.Store(513)
	_, err := b.Accept(context.Background(), demo, leadRaw(1, key(1)), lead.Arrival{})
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != "dispatch_behind" || f.RetryAfter == 0 {
		t.Fatalf("got %v", err)
	}
	waiting.Store(512)
	if got := b.accept(leadRaw(1, key(1))); got.Duplicate {
		t.Error("a refused submission was stored")
	}
}

func TestReceipt_OpensOnlyAsMade(t *testing.T) {
	s := intake.New(intake.Options{Secret: []byte("one"), Now: time.Now})
	other := intake.New(intake.Options{Secret: []byte("two"), Now: time.Now})
	id := uuid.Must(uuid.NewV7())
	token := s.Receipt(id)
	if got, ok := s.OpenReceipt(token); !ok || got != id {
		t.Fatalf("got %v %v", got, ok)
	}
	for i := range len(token) {
		forged := token[:i] + string(rune('A'+(token[i]+1)%26)) + token[i+1:]
		if _, ok := s.OpenReceipt(forged); ok && forged != token {
			t.Errorf("forged token %d opened", i)
		}
	}
	for _, bad := range []string{"", token[:20], token + "A", token + "=", other.Receipt(id)} {
		if _, ok := s.OpenReceipt(bad); ok {
			t.Errorf("%q opened", bad)
		}
	}
}

func TestStatus_ShowsAnAliasOnlyWhatCameAfterIt(t *testing.T) {
	b := setup(t, nil)
	ctx := context.Background()
	status := func(id uuid.UUID) intake.Status {
		t.Helper()
		got, err := b.Status(ctx, "demo", id)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := b.accept(leadRaw(1, key(1)))
	if got := status(first.SubmissionID); got.State != intake.StateFinding || got.Reference != lead.Reference(first.SubmissionID) || !got.AcceptedAt.Equal(first.AcceptedAt) {
		t.Errorf("new: got %+v", got)
	}
	rep := uuid.Must(uuid.NewV7())
	b.exec(`INSERT INTO rep (id, email, name) VALUES ($1, 'mia@example.com', 'Mia Berg')`, rep)
	before := b.accept(leadRaw(1, key(2)))
	b.exec(`UPDATE lead SET stage = 'claimed', rep_id = $1, claimed_at = clock_timestamp()`, rep)
	after := b.accept(leadRaw(1, key(3)))
	for _, id := range []uuid.UUID{first.SubmissionID, before.SubmissionID} {
		if got := status(id); got.State != intake.StateWithRep || got.RepFirstName != "Mia" {
			t.Errorf("claimed: got %+v", got)
		}
	}
	if got := status(after.SubmissionID); got.State != intake.StateFinding || got.RepFirstName != "" {
		t.Errorf("an alias of a claimed lead: got %+v", got)
	}
	if _, err := b.Status(ctx, "other", first.SubmissionID); !fault.Is(err, fault.NotFound) {
		t.Errorf("another form: got %v", err)
	}
	if _, err := b.Status(ctx, "demo", rep); !fault.Is(err, fault.NotFound) {
		t.Errorf("no submission: got %v", err)
	}
}

func TestStatus_OfALeadThatFollowsAnEarlierOneLooksLikeOneThatWaitsForReview(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	rep := uuid.Must(uuid.NewV7())
	b.exec(`INSERT INTO rep (id, email, name) VALUES ($1, 'mia@example.com', 'Mia Berg')`, rep)
	joined, held := b.accept(leadRaw(1, key(1))).SubmissionID, b.accept(leadRaw(2, key(2))).SubmissionID
	owned, account := b.accept(leadRaw(3, key(3))).SubmissionID, b.accept(leadRaw(4, key(4))).SubmissionID
	for id, by := range map[uuid.UUID]string{owned: "person", account: "account"} {
		b.exec(`UPDATE lead SET stage = 'claimed', claimed_at = clock_timestamp(), rep_id = $2 WHERE id = $1`, id, rep)
		b.exec(`INSERT INTO decision (lead_id, version, rule, pool, trace) VALUES ($1, 1, 'all', 'all',
			jsonb_build_object('band', 'owner', 'stages', jsonb_build_array(jsonb_build_object('stage', 'owner', 'found', 'found', 'by', $2::text))))`, id, by)
	}
	b.exec(`UPDATE lead SET stage = 'closed', disposition = 'joined', closed_at = clock_timestamp(), rep_id = $2 WHERE id = $1`, joined, rep)
	b.exec(`UPDATE lead SET stage = 'held' WHERE id = $1`, held)
	for _, age := range []string{"0", "2 minutes"} {
		b.exec(`UPDATE lead SET accepted_at = accepted_at - $1::interval`, age)
		status := func(id uuid.UUID) intake.Status {
			s, err := b.Status(t.Context(), "demo", id)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		want := status(held)
		for _, id := range []uuid.UUID{joined, owned} {
			if got := status(id); got.State != want.State || got.RepFirstName != "" {
				t.Errorf("after %s: %+v, waiting for review %+v", age, got, want)
			}
		}
		if got := status(account); got.RepFirstName != "Mia" {
			t.Errorf("whose account a company is tells nothing of what others have sent: %+v", got)
		}
	}
}

// TestPerson_IsTheSameAcrossFormsAndStoredWithTheLead also shows that knowing an address tells nobody anything: the answer to a first submission
// through another form is a first one's.
func TestPerson_IsTheSameAcrossFormsAndStoredWithTheLead(t *testing.T) {
	t.Parallel()
	var asked atomic.Bool
	b := setup(t, func(o *intake.Options) { o.Persons = asked.Load })
	b.accept(leadRaw(9, key(9)))
	if n := b.count(`SELECT count(*) FROM lead_person WHERE person IS NOT NULL`); n != 0 {
		t.Errorf("%d persons are noted though nobody asks", n)
	}
	asked.Store(true)
	other := *demo
	other.Slug = "pricing"
	first := b.accept(leadRaw(1, key(1)))
	second, err := b.Accept(t.Context(), &other, leadRaw(1, key(2)), lead.Arrival{})
	if err != nil {
		t.Fatal(err)
	}
	third := b.accept(leadRaw(2, key(3)))
	if second.LeadID == first.LeadID || second.Duplicate {
		t.Fatalf("another form, another lead: %+v", second)
	}
	person := func(id uuid.UUID) (key []byte) {
		if err := b.db.Path.QueryRow(t.Context(), `SELECT person FROM lead_person WHERE lead_id = $1`, id).Scan(&key); err != nil {
			t.Fatal(err)
		}
		return key
	}
	a, same, stranger := person(first.LeadID), person(second.LeadID), person(third.LeadID)
	if !bytes.Equal(a, same) || bytes.Equal(a, stranger) {
		t.Error("persons are told apart by something else than who they are")
	}
}

func TestAmend_ReachesTheOwnLeadAndOnlyIt(t *testing.T) {
	var amended, events atomic.Int64
	b := setup(t, func(o *intake.Options) {
		o.Amended = func(context.Context, pgx.Tx, uuid.UUID) (func(), error) { amended.Add(1); return nil, nil }
		o.EventsWritten = func() { events.Add(1) }
	})
	ctx := context.Background()
	own := b.accept(lead.Raw{Email: person(1), Name: "Anna", Consent: lead.Consent{Phone: true}, ClientKey: key(1)})
	alias := b.accept(leadRaw(1, key(2)))
	events.Store(0)
	for range 2 { // the second changes nothing more
		if err := b.Amend(ctx, demo, own.SubmissionID, lead.Raw{Company: "Acme", Fields: map[string]privacy.Text{"seats": "7"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Amend(ctx, demo, alias.SubmissionID, lead.Raw{Name: "Mallory", Phone: "+4930901820"}); err != nil {
		t.Fatal(err)
	}
	l, c := b.lead(own.LeadID)
	if l.Revision != 2 || c.Name != "Anna" || c.Company != "Acme" || c.Fields["seats"] != "7" || c.Phone != "" || !c.Consent.Phone {
		t.Errorf("got %+v %+v", l, c)
	}
	if amended.Load() != 1 || events.Load() != 2 {
		t.Errorf("%d amended, %d wakes", amended.Load(), events.Load())
	}
	if err := b.Amend(ctx, demo, own.SubmissionID, lead.Raw{Email: person(2)}); !fault.Is(err, fault.Invalid) {
		t.Errorf("another person's address: got %v", err)
	}
	if err := b.Amend(ctx, demo, uuid.Must(uuid.NewV7()), lead.Raw{Name: "x"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("no such submission: got %v", err)
	}
}

func TestStore_ListsByFilterPageByPage(t *testing.T) {
	b := setup(t, nil)
	ctx, store := context.Background(), lead.NewStore(b.db.Gorm)
	var want []uuid.UUID
	for i := range 7 {
		want = append([]uuid.UUID{b.accept(leadRaw(i, key(i))).LeadID}, want...)
	}
	var got []uuid.UUID
	filter := lead.Filter{Form: "demo", Stage: lead.StageNew, CRMState: lead.CRMPending, Limit: 3, Since: time.Now().Add(-time.Hour)}
	for pages := 0; ; pages++ {
		page, next, err := store.List(ctx, lead.Everything(), filter)
		if err != nil || pages > 3 {
			t.Fatalf("page %d: %v", pages, err)
		}
		for _, l := range page {
			got = append(got, l.ID)
		}
		if filter.Cursor = next; next == "" {
			break
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for i, f := range []lead.Filter{{Form: "x"}, {Pool: "x"}, {RepID: want[0]}, {Since: time.Now().Add(time.Hour)}, {Stage: lead.StageBooked}} {
		if page, _, err := store.List(ctx, lead.Everything(), f); err != nil || len(page) != 0 {
			t.Errorf("filter %d: %d leads, %v", i, len(page), err)
		}
	}
	if _, _, err := store.List(ctx, lead.Everything(), lead.Filter{Cursor: "x"}); !fault.Is(err, fault.Malformed) {
		t.Errorf("bad cursor: got %v", err)
	}
	if _, err := store.ByID(ctx, lead.Everything(), uuid.Must(uuid.NewV7())); !fault.Is(err, fault.NotFound) {
		t.Errorf("no lead: got %v", err)
	}
	if _, err := store.Decision(ctx, lead.Everything(), want[0]); !fault.Is(err, fault.NotFound) {
		t.Errorf("no decision yet: got %v", err)
	}
	b.exec(`INSERT INTO decision (lead_id, version, rule, pool, trace) VALUES ($1, 3, 'r', 'p', '{"a":[]}')`, want[0])
	if d, err := store.Decision(ctx, lead.Everything(), want[0]); err != nil || d.Version != 3 || d.RepID != nil || string(d.Trace) != `{"a": []}` {
		t.Errorf("decision %+v, %v", d, err)
	}
}
