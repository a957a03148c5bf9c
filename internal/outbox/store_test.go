package outbox_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/outbox"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
)

type bench struct {
	t     *testing.T
	db    *postgres.DB
	store *outbox.Store
	jobs  []outbox.Ref
}

func setup(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, db: pgtest.New(t)}
	b.store = outbox.NewStore(func(_ context.Context, _ pgx.Tx, refs []outbox.Ref) error {
		b.jobs = append(b.jobs, refs...)
		return nil
	})
	return b
}

func (b *bench) tx(f func(tx pgx.Tx) error) {
	b.t.Helper()
	if err := postgres.InTx(b.t.Context(), b.db.Console, f); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) lead(targets ...outbox.Target) (id uuid.UUID, claimed []outbox.Claimed) {
	b.t.Helper()
	id = uuid.Must(uuid.NewV7())
	b.tx(func(tx pgx.Tx) (err error) {
		if _, err := tx.Exec(b.t.Context(), `INSERT INTO lead (id, correlation_id, form, intent, node, dispatch_lease) VALUES ($1, '', 'demo', 'high', 1, now())`, id); err != nil {
			return err
		}
		send := &pgx.Batch{}
		outbox.QueueInsert(send, 1, []uuid.UUID{id}, []bool{true}, targets, &claimed)
		return tx.SendBatch(b.t.Context(), send).Close()
	})
	return id, claimed
}

func (b *bench) record(results ...outbox.Result) []outbox.Applied {
	b.t.Helper()
	applied, err := b.store.Record(b.t.Context(), b.db.Jobs, results)
	if err != nil {
		b.t.Fatal(err)
	}
	return applied
}

func (b *bench) text(sql string, args ...any) (s string) {
	b.t.Helper()
	if err := b.db.Console.QueryRow(b.t.Context(), sql, args...).Scan(&s); err != nil {
		b.t.Fatal(err)
	}
	return s
}

func crmTarget(slug string) outbox.Target {
	return outbox.Target{Connection: slug, Kind: "webhook", Destination: outbox.CRM}
}

func chatTarget(slug string) outbox.Target {
	return outbox.Target{Connection: slug, Kind: "slack", Destination: outbox.Chat}
}

func TestRecord_ResultOfAStaleTokenChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, claimed := b.lead(crmTarget("crm"))
	old := claimed[0]
	if _, err := b.db.Console.Exec(t.Context(), `UPDATE delivery SET lease_until = now() - interval '1 second'`); err != nil {
		t.Fatal(err)
	}
	now, turn, _, err := b.store.ClaimOne(t.Context(), b.db.Console, old.ID, 2)
	if err != nil || turn != outbox.Mine || now.Token <= old.Token || now.Revision != 1 {
		t.Fatalf("claimed %+v %s %v", now, turn, err)
	}
	before := b.text(`SELECT delivery::text FROM delivery`)
	for _, outcome := range []outbox.Outcome{outbox.WasDelivered, outbox.WasFailed, outbox.WasRefused, outbox.WasSlow} {
		if applied := b.record(outbox.Result{Claimed: old, Outcome: outcome, Job: true}); applied[0].OK {
			t.Errorf("%s was recorded with a stale token", outcome)
		}
	}
	if err := b.store.Renew(t.Context(), b.db.Console, 1, []int64{old.ID}, []int64{old.Token}); err != nil {
		t.Fatal(err)
	}
	if after := b.text(`SELECT delivery::text FROM delivery`); after != before {
		t.Errorf("the row changed:\n%s\n%s", before, after)
	}
	if len(b.jobs) != 0 || b.text(`SELECT count(*)::text FROM event`) != "0" {
		t.Errorf("a stale result left %d jobs or an event", len(b.jobs))
	}
	if applied := b.record(outbox.Result{Claimed: now, Outcome: outbox.WasDelivered}); !applied[0].OK {
		t.Errorf("the holder's own result was not recorded")
	}
}

func TestRecord_LeastFinishedConnectionSpeaksForTheLead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, claimed := b.lead(crmTarget("a"), crmTarget("b"), chatTarget("chat"))
	if len(claimed) != 2 {
		t.Fatalf("leased %d rows, expected those of the two CRMs", len(claimed))
	}
	state := func() string { return b.text(`SELECT crm_state FROM lead WHERE id = $1`, id) }
	wanted := func() string { return b.text(`SELECT wanted::text FROM delivery WHERE destination = 'chat'`) }
	b.record(outbox.Result{Claimed: claimed[0], Outcome: outbox.WasDelivered})
	if got := state(); got != "pending" {
		t.Errorf("one of two written: %s", got)
	}
	b.record(outbox.Result{Claimed: claimed[1], Outcome: outbox.WasFailed, Reason: "HTTP 500", Job: true})
	if got := state(); got != "saving" || len(b.jobs) != 1 {
		t.Errorf("one failing: %s, %d jobs", got, len(b.jobs))
	}
	again, turn, _, err := b.store.ClaimOne(t.Context(), b.db.Console, claimed[1].ID, 1)
	if err != nil || turn != outbox.Mine || wanted() != "1" {
		t.Fatalf("%s %v wanted %s", turn, err, wanted())
	}
	b.record(outbox.Result{Claimed: again, Outcome: outbox.WasDelivered})
	if got := state(); got != "confirmed" || wanted() != "2" {
		t.Errorf("both written: %s, the card wants state %s", got, wanted())
	}
}

func TestRecord_GivesUpAfterADayOfFailuresButNotOfPauses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, claimed := b.lead(crmTarget("crm"))
	if _, err := b.db.Console.Exec(t.Context(), `UPDATE delivery SET failing_since = now() - interval '25 hours'`); err != nil {
		t.Fatal(err)
	}
	b.record(outbox.Result{Claimed: claimed[0], Outcome: outbox.WasFailed, Reason: "connection paused", Uncount: true, Job: true})
	if got := b.text(`SELECT state FROM delivery`); got != "saving" {
		t.Errorf("a pause counted as failure: %s", got)
	}
	again, _, _, err := b.store.ClaimOne(t.Context(), b.db.Console, claimed[0].ID, 1)
	if err != nil {
		t.Fatal(err)
	}
	b.record(outbox.Result{Claimed: again, Outcome: outbox.WasFailed, Reason: "HTTP 500\x00", Job: true})
	if got := b.text(`SELECT d.state || ' ' || l.crm_state || ' ' || d.last_error FROM delivery d JOIN lead l ON l.id = d.lead_id WHERE l.id = $1`, id); got != "quarantined refused HTTP 500" {
		t.Errorf("after a day: %s", got)
	}
	if len(b.jobs) != 1 {
		t.Errorf("a quarantined delivery got a job")
	}
}

func TestRecorder_KeepsResultsInOrderAndLetsThroughWhatIsGood(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, first := b.lead(crmTarget("crm"))
	_, second := b.lead(crmTarget("crm"))
	applied := make(chan outbox.Applied, 10)
	recorder := outbox.NewRecorder(outbox.RecorderOptions{Pool: b.db.Jobs, Store: b.store, After: func(all []outbox.Applied) {
		for _, a := range all {
			applied <- a
		}
	}})
	recorder.Add(outbox.Result{Claimed: first[0], Outcome: outbox.WasSlow})
	recorder.Add(outbox.Result{Claimed: second[0], Outcome: outbox.WasSlow})
	recorder.Add(outbox.Result{Claimed: first[0], Outcome: outbox.WasDelivered, RecordID: "r\x001"})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		recorder.Run(ctx)
		close(done)
	}()
	for range 2 {
		select {
		case a := <-applied:
			if !a.OK {
				t.Errorf("not applied: %+v", a)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("nothing was recorded")
		}
	}
	cancel()
	<-done
	if got := b.text(`SELECT string_agg(state || record_id, ' ' ORDER BY id) FROM delivery`); got != "deliveredr1 saving" {
		t.Errorf("recorded %q", got)
	}
}
