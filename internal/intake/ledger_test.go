package intake_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/fault"
	"leadline/internal/intake"
	"leadline/internal/lead"
)

// TestLedger_AGuessedKeyTellsAndChangesNothing sends keys of others, and keys that nobody has: the answers are of one kind.
func TestLedger_AGuessedKeyTellsAndChangesNothing(t *testing.T) {
	b := setup(t, nil)
	const n = 2000
	accept := func(raw lead.Raw) (got intake.Accepted) {
		got, err := b.Accept(context.Background(), demo, raw, lead.Arrival{})
		if err != nil {
			t.Error(err)
		}
		return got
	}
	each := func(f func(i int)) {
		var all sync.WaitGroup
		for worker := range 50 {
			all.Go(func() {
				for i := worker; i < n; i += 50 {
					f(i)
				}
			})
		}
		all.Wait()
	}
	owners := make([]intake.Accepted, n)
	each(func(i int) {
		owners[i] = accept(lead.Raw{Email: person(i), Name: "Owner", Notes: "mine", ClientKey: key(i), CorrelationID: "owner"})
	})
	known := map[uuid.UUID]bool{}
	for _, o := range owners {
		known[o.SubmissionID] = true
	}
	guesses := make([]intake.Accepted, n)
	each(func(i int) { // every second key is somebody's
		guesses[i] = accept(lead.Raw{Email: person(n + i), Name: "Mallory", ClientKey: key(i / 2 * (1 + n*(i%2))), CorrelationID: "guess"})
	})
	for i, g := range guesses {
		if g.Duplicate || g.LeadID != g.SubmissionID || known[g.SubmissionID] || g.CorrelationID != "guess" || g.AcceptedAt.Before(owners[i].AcceptedAt) {
			t.Errorf("guess %d: got %+v", i, g)
		}
	}
	if got := b.count(`SELECT count(*) FROM lead JOIN contact ON lead_id = id WHERE revision = 1 AND name = 'Owner' AND notes = 'mine'`); got != n {
		t.Errorf("%d of %d owners' leads are as they were", got, n)
	}
	if got := b.count(`SELECT count(*) FROM touch`); got != 0 {
		t.Errorf("%d touches", got)
	}
	each(func(i int) { // the key still is its owner's
		got := accept(lead.Raw{Email: person(i), Name: "Owner", Notes: "mine", ClientKey: key(i)})
		if !got.Duplicate || got.SubmissionID != owners[i].SubmissionID {
			t.Errorf("owner %d again: got %+v", i, got)
		}
	})
}

const claimByHand = `INSERT INTO client_key (form, key, submission, fingerprint, digest) VALUES ('demo', $1, gen_random_uuid(), '', '')`

// TestLedger_WhoWaitsForARolledBackKeyGetsIt holds a key in a transaction that comes to nothing while somebody waits for it. On a
// machine that is slow the wait may be over before; then there is one more try.
func TestLedger_WhoWaitsForARolledBackKeyGetsIt(t *testing.T) {
	b := setup(t, nil)
	for try := 0; ; try++ {
		tx, err := b.db.Console.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), claimByHand, key(try)); err != nil {
			t.Fatal(err)
		}
		type result struct {
			got intake.Accepted
			err error
		}
		answer := make(chan result, 1)
		go func() {
			got, err := b.Accept(context.Background(), demo, leadRaw(try, key(try)), lead.Arrival{})
			answer <- result{got, err}
		}()
		eventually(t, "a writer that waits for the key", func() bool {
			return len(answer) > 0 || b.count(`SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
				WHERE a.datname = current_database() AND a.application_name LIKE '%intake%' AND NOT l.granted`) > 0
		})
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := <-answer
		if fault.Is(r.err, fault.Unavailable) && try < 10 {
			continue
		}
		if r.err != nil || r.got.Duplicate || r.got.LeadID != r.got.SubmissionID {
			t.Errorf("got %+v, %v", r.got, r.err)
		}
		if _, c := b.lead(r.got.LeadID); c.Email != person(try) {
			t.Errorf("stored %+v", c)
		}
		return
	}
}

// TestLedger_AKeyThatIsHeldElsewhereMeansLater holds a key for longer than anybody waits.
func TestLedger_AKeyThatIsHeldElsewhereMeansLater(t *testing.T) {
	b := setup(t, nil)
	tx, err := b.db.Console.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), claimByHand, key(1)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err = b.Accept(t.Context(), demo, leadRaw(1, key(1)), lead.Arrival{})
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Unavailable || f.Code != "locked" || f.RetryAfter != time.Second {
		t.Errorf("while it is held: got %v", err)
	}
	if took := time.Since(start); took < 200*time.Millisecond {
		t.Errorf("gave up after %v", took)
	}
	if got := b.accept(leadRaw(2, key(2))); got.Duplicate {
		t.Errorf("somebody else: got %+v", got)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, again := b.accept(leadRaw(1, key(1))), b.accept(leadRaw(1, key(1)))
	if first.Duplicate || first.LeadID != first.SubmissionID || !again.Duplicate || again.LeadID != first.LeadID {
		t.Errorf("afterwards: got %+v, then %+v", first, again)
	}
	if n := b.count(`SELECT count(*) FROM lead`); n != 2 {
		t.Errorf("%d leads", n)
	}
}
