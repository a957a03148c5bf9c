package intake_test

import (
	"context"
	"sync"
	"testing"

	"leadline/internal/fault"
	"leadline/internal/intake"
	"leadline/internal/lead"
)

// What is signed is checked at the door and may be stored much later: all that the decision needs must be in the spool.
func TestMachine_WhatIsSpooledIsDecidedLikeAnythingElse(t *testing.T) {
	b := newBench(t)
	box := b.spool(t.TempDir())
	b.Service, b.stop = b.start(func(o *intake.Options) { o.Spool = box })
	send := func(p int, message, key string) (intake.Accepted, error) {
		return b.Accept(context.Background(), demo, leadRaw(p, key), lead.Arrival{Machine: "partner", Message: message})
	}
	first, err := send(1, "m-1", "m-1")
	if err != nil || first.Duplicate {
		t.Fatalf("%+v, %v", first, err)
	}
	back := b.away()
	const people = 8
	var all sync.WaitGroup
	for p := range people {
		all.Go(func() {
			message := "away-" + key(p)
			if _, err := send(100+p, message, message); !fault.Is(err, fault.Unavailable) || code(err) != "spooled" {
				t.Errorf("person %d: %v", p, err)
			}
		})
	}
	all.Wait()
	if _, err := send(2, "m-1", "m-1"); code(err) != "spooled" { // a key that is known for somebody else
		t.Errorf("a reused key: %v", err)
	}
	back()
	eventually(t, "the spool to be empty", func() bool { n, _ := box.Waiting(); return n == 0 })
	if n := b.count(`SELECT count(*) FROM lead JOIN contact ON lead_id = id WHERE context ->> 'machine' = 'partner'`); n != people+1 || b.count(`SELECT count(*) FROM lead`) != n {
		t.Errorf("%d leads of %d", n, people+1)
	}
	again, err := send(100, "away-"+key(0), "away-"+key(0))
	if err != nil || !again.Replayed || !again.Duplicate {
		t.Errorf("sent again: %+v, %v", again, err)
	}
	joined, err := send(100, "m-new", "m-new")
	if err != nil || joined.Replayed || !joined.Duplicate || joined.SubmissionID != again.SubmissionID {
		t.Errorf("the same person: %+v of %+v, %v", joined, again, err)
	}
	if _, err := send(100, "away-"+key(0), "another"); code(err) != "key_reused" {
		t.Errorf("under another key: %v", err)
	}
}
