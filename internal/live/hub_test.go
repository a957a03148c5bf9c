package live_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/lead"
	"leadline/internal/live"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
)

const patience = 10 * time.Second

// desk is a database with a hub running on it.
type desk struct {
	t   *testing.T
	db  *postgres.DB
	hub *live.Hub
}

func newDesk(t *testing.T, change ...func(*live.Options)) *desk {
	t.Helper()
	return deskOn(t, pgtest.New(t), change...)
}

func deskOn(t *testing.T, db *postgres.DB, change ...func(*live.Options)) *desk {
	t.Helper()
	o := live.Options{
		DB: db, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Pools: func(string) []string { return []string{"dach"} },
		Goals: func(string) time.Duration { return 2 * time.Minute },
	}
	for _, f := range change {
		f(&o)
	}
	hub := live.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- hub.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("hub stopped with %v", err)
		}
	})
	select {
	case <-hub.Ready():
	case <-time.After(patience):
		t.Fatal("the board was never read")
	}
	return &desk{t: t, db: db, hub: hub}
}

func (d *desk) exec(sql string, args ...any) {
	d.t.Helper()
	if _, err := d.db.Console.Exec(context.Background(), sql, args...); err != nil {
		d.t.Fatalf("%s: %v", sql, err)
	}
}

// lead makes a lead without telling anybody.
func (d *desk) lead(intent string, age time.Duration) uuid.UUID {
	d.t.Helper()
	id := uuid.Must(uuid.NewV7())
	d.exec(`INSERT INTO lead (id, correlation_id, form, intent, country, accepted_at, node, dispatch_lease)
		VALUES ($1, 'c', 'demo', $2, 'DE', clock_timestamp() - $3::interval, 1, clock_timestamp())`, id, intent, age)
	return id
}

// event writes one event the only allowed way.
func (d *desk) event(id uuid.UUID, kind lead.EventKind, pool string, rep *uuid.UUID) {
	d.t.Helper()
	d.exec(`SELECT append_events(ARRAY[$1]::uuid[], ARRAY[$2], ARRAY[$3], ARRAY[$4]::uuid[], ARRAY[1], ARRAY['{}']::jsonb[])`, id, string(kind), pool, rep)
}

func (d *desk) pooled(intent string, age time.Duration) uuid.UUID {
	d.t.Helper()
	id := d.lead(intent, age)
	d.exec(`INSERT INTO offer (lead_id, attempt, kind, pool, cause) VALUES ($1, 1, 'pool', 'dach', 'first')`, id)
	d.exec(`UPDATE lead SET stage = 'offered', pool = 'dach', attempt = 1 WHERE id = $1`, id)
	d.event(id, lead.EventPooled, "dach", nil)
	return id
}

func (d *desk) offered(to uuid.UUID) uuid.UUID {
	d.t.Helper()
	id := d.lead("high", 0)
	d.exec(`INSERT INTO offer (lead_id, attempt, kind, pool, rep_id, cause, deadline)
		VALUES ($1, 1, 'exclusive', 'dach', $2, 'first', clock_timestamp() + interval '20 seconds')`, id, to)
	d.exec(`UPDATE lead SET stage = 'offered', pool = 'dach', attempt = 1 WHERE id = $1`, id)
	d.event(id, lead.EventOffered, "dach", &to)
	return id
}

func (d *desk) claimed(id, by uuid.UUID) {
	d.t.Helper()
	d.exec(`UPDATE offer SET state = 'accepted', ended_at = clock_timestamp() WHERE lead_id = $1`, id)
	d.exec(`UPDATE lead SET stage = 'claimed', rep_id = $2, claimed_at = clock_timestamp() WHERE id = $1`, id, by)
	d.event(id, lead.EventClaimed, "dach", &by)
}

func (d *desk) eventually(what string, ok func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); <-time.After(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatalf("never: %s", what)
		}
	}
}

func ids(cards []*live.Card) []uuid.UUID {
	out := make([]uuid.UUID, len(cards))
	for i, c := range cards {
		out[i] = c.ID
	}
	return out
}

func TestHub_ShowsALeadFromOfferToClaimOnTheRightConsoles(t *testing.T) {
	d := newDesk(t)
	mia, ben := uuid.New(), uuid.New()
	miasConsole, _ := d.hub.Subscribe(live.Audience{RepID: &mia, Email: "mia@example.com"})
	defer d.hub.Unsubscribe(miasConsole)
	bens, _ := d.hub.Subscribe(live.Audience{RepID: &ben, Email: "ben@example.com"})
	defer d.hub.Unsubscribe(bens)

	id := d.offered(mia)
	d.hub.Wake()
	select {
	case <-miasConsole.Changed():
	case <-time.After(patience):
		t.Fatal("the rep was not told of the offer")
	}
	if !miasConsole.Urgent() {
		t.Error("an offer to the rep must not wait")
	}
	view := miasConsole.View(0, time.Time{})
	if !slices.Equal(ids(view.Offers), []uuid.UUID{id}) || len(view.Pool) != 0 || view.Offers[0].OfferDeadline == nil {
		t.Errorf("the rep sees offers %v, pool %v", ids(view.Offers), ids(view.Pool))
	}
	if v := bens.View(0, time.Time{}); len(v.Offers)+len(v.Pool)+len(v.Mine) != 0 {
		t.Errorf("somebody else sees the exclusive offer: %+v", v)
	}

	d.claimed(id, mia)
	d.hub.Wake()
	d.eventually("the claim moves the lead to its holder", func() bool {
		v := miasConsole.View(0, time.Time{})
		return len(v.Offers) == 0 && slices.Equal(ids(v.Mine), []uuid.UUID{id})
	})
	d.exec(`UPDATE lead SET stage = 'contacted', first_touch_at = clock_timestamp(), disposition = 'connected' WHERE id = $1`, id)
	d.event(id, lead.EventOutcome, "dach", &mia)
	d.eventually("the poll alone finds the outcome", func() bool {
		v := miasConsole.View(0, time.Now().Add(-time.Hour))
		return len(v.Mine) == 1 && v.Mine[0].Stage == lead.StageContacted
	})
	if v := miasConsole.View(0, time.Now().Add(time.Hour)); len(v.Mine) != 0 {
		t.Error("a finished lead of another day is still shown")
	}
}

func TestHub_BringsALeadBackToTheFrontWhenThePersonWritesAgain(t *testing.T) {
	d := newDesk(t)
	mia := uuid.Must(uuid.NewV7())
	id := d.lead("high", 72*time.Hour)
	d.exec(`UPDATE lead SET stage = 'contacted', rep_id = $2, claimed_at = accepted_at, first_touch_at = accepted_at WHERE id = $1`, id, mia)
	d.exec(`INSERT INTO lead_joined (lead_id, to_lead) VALUES ($1, $2)`, uuid.Must(uuid.NewV7()), id)
	d.event(id, lead.EventRepeated, "dach", &mia)
	for _, desk := range []*desk{d, deskOn(t, d.db)} { // as it happens, and for a server that starts afterwards
		desk.hub.Wake()
		desk.eventually("the card to be back", func() bool {
			mine := desk.hub.Board().View(live.Viewer{RepID: &mia, Day: time.Now().Add(-time.Hour)}, time.Now()).Mine
			return len(mine) == 1 && mine[0].ID == id && mine[0].Again != nil
		})
	}
}

func TestHub_OrdersThePoolByUrgencyAndCountsTheRest(t *testing.T) {
	d := newDesk(t)
	rep := uuid.New()
	var want []uuid.UUID
	for i := range 30 { // the older, the more urgent
		want = append(want, d.pooled("high", time.Duration(30-i)*10*time.Second))
	}
	d.hub.Wake()
	sub, _ := d.hub.Subscribe(live.Audience{RepID: &rep, Email: "mia@example.com"})
	defer d.hub.Unsubscribe(sub)
	var view live.View
	d.eventually("all 30 are counted", func() bool {
		view = sub.View(0, time.Time{})
		return view.PoolCount == 30
	})
	if !slices.Equal(ids(view.Pool), want[:live.ShownPool]) {
		t.Error("the pool does not begin with the most urgent leads in order")
	}
	if view.PoolLate != 19 && view.PoolLate != 18 {
		t.Errorf("late: %d, want those older than two minutes", view.PoolLate)
	}
	if len(view.Arrived) != 30 {
		t.Errorf("arrived since the beginning: %d, want 30", len(view.Arrived))
	}
	if again := sub.View(view.Seq, time.Time{}); len(again.Arrived) != 0 {
		t.Errorf("arrived since the last view: %d, want 0", len(again.Arrived))
	}
}

func TestHub_MissesNoEventOf64Writers(t *testing.T) {
	d := newDesk(t)
	const writers, each = 64, 20
	var mu sync.Mutex
	var want []uuid.UUID
	var wg sync.WaitGroup
	gate := make(chan struct{}, 16) // as many as the pool serves at once
	for w := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for range each {
				gate <- struct{}{}
				id, err := d.slowly(rng.IntN(3))
				<-gate
				if err != nil {
					t.Errorf("writer: %v", err)
					return
				}
				d.hub.Wake()
				mu.Lock()
				want = append(want, id)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	d.eventually("every lead is on the board", func() bool { return d.hub.Board().Len() == writers*each })
	for _, id := range want {
		if c := d.hub.Board().Card(id); c == nil || !c.Claimable() {
			t.Fatalf("lead %s is missing or in an old state", id)
		}
	}
	if seq := d.hub.Board().Seq(); seq != 2*writers*each {
		t.Errorf("position %d, want %d", seq, 2*writers*each)
	}
}

// slowly commits a lead and two events in one transaction that sleeps before its end, so that transactions overlap.
func (d *desk) slowly(millis int) (uuid.UUID, error) {
	ctx := context.Background()
	id := uuid.Must(uuid.NewV7())
	tx, err := d.db.Console.Begin(ctx)
	if err != nil {
		return id, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	for _, s := range []string{
		fmt.Sprintf(`INSERT INTO lead (id, correlation_id, form, intent, stage, pool, node, dispatch_lease) VALUES ('%s', 'c', 'demo', 'high', 'waiting', 'dach', 1, clock_timestamp())`, id),
		fmt.Sprintf(`SELECT pg_sleep(%d / 1000.0)`, millis),
		fmt.Sprintf(`SELECT append_events(ARRAY['%[1]s','%[1]s']::uuid[], ARRAY['routed','waiting'], ARRAY['dach','dach'], ARRAY[NULL,NULL]::uuid[], ARRAY[0,0], ARRAY['{}','{}']::jsonb[])`, id),
	} {
		if _, err := tx.Exec(ctx, s); err != nil {
			return id, err
		}
	}
	return id, tx.Commit(ctx)
}

func TestHub_HearsOfCommitsOfOtherProcesses(t *testing.T) {
	d := newDesk(t)
	other := deskOn(t, d.db)
	rep := uuid.New()
	sub, _ := other.hub.Subscribe(live.Audience{RepID: &rep, Email: "mia@example.com"})
	defer other.hub.Unsubscribe(sub)
	d.offered(rep)
	d.hub.Wake()
	select {
	case <-sub.Changed():
	case <-time.After(patience):
		t.Fatal("the other process was never told")
	}
}

func TestHub_ReadsTheBoardAgainWhenEventsWereTakenAway(t *testing.T) {
	d := newDesk(t)
	first := d.pooled("high", 0)
	d.eventually("the first lead", func() bool { return d.hub.Board().Card(first) != nil })
	d.exec(`UPDATE event_stream SET seq = seq + 5`)
	second := d.pooled("high", 0)
	d.eventually("the lead behind the hole", func() bool { return d.hub.Board().Card(second) != nil })
}

func TestHub_SaysWhatAConsoleMissed(t *testing.T) {
	d := newDesk(t)
	mia := uuid.New()
	since := d.hub.Board().Seq()
	id := d.offered(mia)
	d.exec(`SELECT append_events(ARRAY[$1]::uuid[], ARRAY['offer_ended'], ARRAY['dach'], ARRAY[$2]::uuid[], ARRAY[1], ARRAY['{"state":"timed_out"}']::jsonb[])`, id, mia)
	d.pooled("high", 0)
	m, err := d.hub.MissedSince(context.Background(), since, live.Audience{RepID: &mia, Email: "mia@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if m != (live.Missed{OffersGone: 1, NewInPool: 1}) {
		t.Errorf("missed %+v", m)
	}
}

func TestHub_CountsPongsAndTellsDispatchWhoCame(t *testing.T) {
	rep := uuid.New()
	seen, changed := make(chan uuid.UUID, 100), make(chan struct{}, 100)
	d := newDesk(t, func(o *live.Options) {
		o.Seen = func(_ context.Context, ids []uuid.UUID) error {
			for _, id := range ids {
				seen <- id
			}
			return nil
		}
		o.PresenceChanged = func() { changed <- struct{}{} }
	})
	sub, _ := d.hub.Subscribe(live.Audience{RepID: &rep, Email: "mia@example.com"})
	for range 2 {
		select {
		case id := <-seen:
			if id != rep {
				t.Errorf("seen %s", id)
			}
		case <-time.After(patience):
			t.Fatal("the console was not noted")
		}
		sub.Alive()
	}
	select {
	case <-changed:
	case <-time.After(patience):
		t.Fatal("dispatch was not asked to look again")
	}
	d.hub.Unsubscribe(sub)
}

func TestHub_SendsConsolesAwayWhenItCloses(t *testing.T) {
	d := newDesk(t)
	sub, ok := d.hub.Subscribe(live.Audience{All: true})
	if !ok {
		t.Fatal("not admitted")
	}
	go func() {
		<-sub.Done()
		d.hub.Unsubscribe(sub)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := d.hub.CloseConsoles(ctx); err != nil {
		t.Fatal(err)
	}
	if _, ok := d.hub.Subscribe(live.Audience{All: true}); ok {
		t.Error("a console was admitted to a closed hub")
	}
}
