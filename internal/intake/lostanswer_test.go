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

// attempt sends until there is an answer other than "try again", and counts how often nobody knew what had become of it.
func attempt(d *differences, s *intake.Service, c click) (got intake.Accepted, unknown int) {
	for {
		got, err := s.Accept(context.Background(), c.form, c.raw(), lead.Arrival{})
		if err == nil {
			return got, unknown
		}
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Unavailable || f.RetryAfter == 0 {
			d.fail("person %d, key %q: %v", c.person, c.key, err)
			return got, unknown
		}
		if f.Code == "unknown_outcome" || f.Code == "spooled" {
			unknown++
		}
	}
}

// TestLostAnswer_EachSubmissionIsStoredOnceWhenConnectionsAreCut cuts connections before, while and after the server commits: new
// leads, with and without a key, repeats and corrections. Whoever sends again until there is an answer is stored exactly once, and
// nobody is told that the first sending of theirs was the second. What is spooled in between counts no more than its retry.
func TestLostAnswer_EachSubmissionIsStoredOnceWhenConnectionsAreCut(t *testing.T) {
	b, cut := newCutBench(t)
	box := b.spool(t.TempDir())
	b.Service, b.stop = b.start(func(o *intake.Options) { o.Spool = box })
	const callers, seed = 24, 3
	var (
		d                                                  differences
		all                                                sync.WaitGroup
		mu                                                 sync.Mutex
		people, keyless, repeats, amended, unknowns, extra int
		next                                               int
	)
	wanted, start := int64(size(200, 2000)), time.Now()
	cut.atRandom(seed, 5)
	for range callers {
		all.Go(func() {
			for cut.total() < wanted && d.n == 0 {
				mu.Lock()
				n := next
				next++
				mu.Unlock()
				c := click{form: demo, person: n, key: key(3 * n), notes: "one"}
				if n%4 == 0 {
					c.key = ""
				}
				first, unknown := attempt(&d, b.Service, c)
				if unknown == 0 && (first.Duplicate || first.LeadID != first.SubmissionID) {
					d.add("person %d, key %q: nobody was told to send again, and yet %+v", n, c.key, first)
				}
				mu.Lock()
				people++
				unknowns += unknown
				if c.key == "" {
					keyless++
					extra += unknown
				}
				mu.Unlock()
				if c.key == "" {
					continue
				}
				if replay, _ := attempt(&d, b.Service, c); !replay.Duplicate || replay.SubmissionID != first.SubmissionID || replay.LeadID != first.LeadID {
					d.add("person %d: replay %+v of %+v", n, replay, first)
				}
				if n%4 == 1 {
					c.key = key(3*n + 1)
					alias, unknown := attempt(&d, b.Service, c)
					if alias.LeadID != first.LeadID || alias.SubmissionID == first.SubmissionID || unknown == 0 && alias.Duplicate {
						d.add("person %d: repeat %+v of %+v", n, alias, first)
					}
					mu.Lock()
					repeats++
					mu.Unlock()
				}
				if n%4 == 2 {
					c.notes = "two"
					if again, _ := attempt(&d, b.Service, c); !again.Duplicate || again.SubmissionID != first.SubmissionID {
						d.add("person %d: correction %+v of %+v", n, again, first)
					}
					mu.Lock()
					amended++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	cut.set(nil)
	eventually(t, "the spool to be empty", func() bool { n, _ := box.Waiting(); return n == 0 })
	t.Logf("%d cuts (%d before, %d during, %d after the commit), %d people, %d answers unknown, seed %d, %v", cut.total(), cut.cuts[cutBefore].Load(),
		cut.cuts[cutDuring].Load(), cut.cuts[cutAfter].Load(), people, unknowns, seed, time.Since(start).Round(time.Millisecond))
	d.report(t, "answers")
	for what, want := range map[string]int{
		"lead": people, "contact": people, "client_key WHERE key NOT LIKE '!%'": people - keyless + repeats, "contact WHERE notes = 'two'": amended,
		"touch WHERE kind = 'amend'": amended,
	} {
		if n := b.count(`SELECT count(*) FROM ` + what); n != want {
			t.Errorf("%s: %d rows, want %d", what, n, want)
		}
	}
	touches := b.count(`SELECT count(*) FROM touch WHERE kind = 'repeat'`)
	if touches < repeats || touches > repeats+2*extra {
		t.Errorf("%d repeats stored, want %d and at most %d of people without a key who were not told what had become of the first", touches, repeats, 2*extra)
	}
	if n := b.count(`SELECT count(*) FROM payload`); n != people+touches+amended {
		t.Errorf("%d payloads of %d submissions", n, people+touches+amended)
	}
	if n := b.count(`SELECT count(*) FROM event`); n != touches+amended {
		t.Errorf("%d events of %d repeats and %d corrections", n, touches, amended)
	}
}

// TestLostAnswer_WhatMayStillCommitIsNotCalledRefused cuts the connection of a commit that takes longer than anybody waits for its
// key: whether the submission is stored is not known, and the answer must not say that it is not.
func TestLostAnswer_WhatMayStillCommitIsNotCalledRefused(t *testing.T) {
	for _, key := range []string{key(1), ""} {
		b, cut := newCutBench(t)
		b.exec(`CREATE SEQUENCE gate`)
		b.exec(`CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			FOR i IN 1..1000 LOOP
				IF (SELECT is_called FROM gate) THEN RETURN NULL; END IF;
				PERFORM pg_sleep(0.01);
			END LOOP;
			RAISE EXCEPTION 'waited in vain';
		END $$`)
		b.exec(`CREATE CONSTRAINT TRIGGER slowly AFTER INSERT ON client_key DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slowly()`)
		b.Service, b.stop = b.start(nil)
		done := false
		cut.set(func() (kind int, cut bool) { // the first only
			cut, done = !done, true
			return cutDuring, cut
		})
		_, err := b.Accept(t.Context(), demo, leadRaw(1, key), lead.Arrival{})
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != "unknown_outcome" {
			t.Errorf("key %q: got %v", key, err)
		}
		b.exec(`SELECT nextval('gate')`)
		eventually(t, "the commit", func() bool { return b.count(`SELECT count(*) FROM lead`) == 1 })
		got := b.accept(leadRaw(1, key))
		if got.Duplicate != (key != "") || got.LeadID == uuid.Nil {
			t.Errorf("key %q: got %+v", key, got)
		}
		if n := b.count(`SELECT count(*) FROM lead`); n != 1 {
			t.Errorf("key %q: %d leads", key, n)
		}
	}
}
