package torture_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/failpoint"
	"leadline/internal/torture/witness"
)

// TestTorture_KillsOfPostgresLoseNothing kills the database server with all its processes while visitors come (F-13). Nothing that was
// acknowledged may be gone, and the first good answer comes soon after the server takes connections again.
func TestTorture_KillsOfPostgresLoseNothing(t *testing.T) {
	alongside(t)
	n, rate, from := size(t, "TORTURE_DATABASE_KILLS", 3, 20), size(t, "TORTURE_RATE", 30, 200), seed(t)
	chance := rand.New(rand.NewPCG(from, 1))
	w := newWorld(t, 2, false)
	o := w.watch(from, rate)
	var waits, outages []time.Duration
	for range n {
		since := time.Now()
		some := 10 + chance.IntN(rate)
		w.eventually("visitors to be served", func() bool { return o.acks(since) >= some })
		down := w.killDatabase()
		back := w.connects()
		var first time.Time
		w.eventually("the first good answer", func() bool {
			first = firstAck(o.books(), back)
			return !first.IsZero()
		})
		waits, outages = append(waits, first.Sub(back)), append(outages, back.Sub(down))
	}
	driven := o.finish()
	v := o.compare(patience)
	v.mustBeContent(o)
	slices.Sort(waits)
	t.Logf("%d kills of PostgreSQL, which took connections again after %v at most; the first good answer came %v later in the middle, %v at most",
		n, slices.Max(outages).Round(time.Millisecond), waits[n/2].Round(time.Millisecond), waits[n-1].Round(time.Millisecond))
	limit := 2 * time.Second
	if !full() {
		limit = 10 * time.Second // a machine that does everything else as well
	}
	if waits[n-1] > limit {
		t.Errorf("the first good answer came %v after PostgreSQL was back", waits[n-1])
	}
	if driven.GivenUp > 0 || v.Acked < 10*n {
		t.Errorf("too little to mean anything: %+v", driven)
	}
	report(t, "postgres-kills", from, map[string]any{"kills": n, "rate": rate, "first_good_answer_ns": waits, "outages_ns": outages, "driven": driven, "found": v.Sum})
}

// connects waits until a plain connection succeeds, and says when.
func (w *world) connects() (at time.Time) {
	w.t.Helper()
	w.eventually("PostgreSQL to take connections", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, w.database.DSN())
		if err != nil {
			return false
		}
		at = time.Now()
		_ = conn.Close(ctx)
		return true
	})
	return at
}

// firstAck is when somebody was first told, after a moment, that theirs is stored; zero: nobody yet.
func firstAck(books []witness.Line, after time.Time) time.Time {
	for _, l := range books {
		if l.Class == witness.OK && l.At.After(after) {
			return l.At
		}
	}
	return time.Time{}
}

// TestTorture_WhatIsSpooledIsStoredThoughNobodyAsksAgain takes the database away for a while, again and again, and in some of these outages
// kills a server at each of the spool's points. Whoever was told that theirs is kept has a lead in the end, though they have long left.
func TestTorture_WhatIsSpooledIsStoredThoughNobodyAsksAgain(t *testing.T) {
	alongside(t)
	rounds, from := size(t, "TORTURE_OUTAGES", 5, 40), seed(t)
	chance := rand.New(rand.NewPCG(from, 2))
	w := newWorld(t, 2, true)
	o := w.watch(from, size(t, "TORTURE_RATE", 30, 100))
	deaths := []failpoint.Point{"", failpoint.Spooling, failpoint.Written, failpoint.Kept, failpoint.Unspooled}
	for i := range rounds {
		since := time.Now()
		w.eventually("visitors to be served", func() bool { return o.acks(since) >= 20 })
		w.outage(o, w.servers[chance.IntN(2)], deaths[i%len(deaths)], 1+chance.IntN(4))
	}
	driven := o.finish()
	v := o.compare(patience)
	v.mustBeContent(o)
	if v.Spooled < rounds || driven.GivenUp > 0 {
		t.Errorf("%d outages, and %d visitors left with a promise: too little to mean anything: %+v", rounds, v.Spooled, driven)
	}
	for _, s := range w.servers {
		if left, err := filepath.Glob(filepath.Join(w.dir, s.name, "spool", "*.damaged")); err != nil || len(left) > 0 {
			t.Errorf("server %s left %v aside (%v)", s.name, left, err)
		}
	}
	report(t, "spool", from, map[string]any{"outages": rounds, "driven": driven, "found": v.Sum})
}

// outage takes the database away until some visitors were told that theirs is kept. At a point of the spool, one server dies of it and
// comes back when the database does.
func (w *world) outage(o *observer, victim *server, p failpoint.Point, pass int) {
	w.t.Helper()
	since := time.Now()
	if p != "" && p != failpoint.Unspooled {
		victim.order(fmt.Sprintf("kill %s %d", p, pass))
	}
	w.wire.cut()
	w.eventually("visitors to be told that theirs is kept", func() bool { return o.kept(since) >= 8 })
	if p == failpoint.Unspooled {
		w.eventually("the victim's spool to hold something", func() bool { return spooledBytes(w.t, w, victim) > 0 })
		victim.order(fmt.Sprintf("kill %s 1", p))
	}
	if p != "" && p != failpoint.Unspooled {
		w.dies(victim, p)
	}
	w.wire.mend()
	switch p {
	case "":
	case failpoint.Unspooled:
		w.dies(victim, p)
		fallthrough
	default:
		victim.start()
	}
}

func (w *world) dies(victim *server, p failpoint.Point) {
	w.t.Helper()
	select {
	case <-victim.life.done:
	case <-time.After(patience):
		w.t.Fatalf("server %s does not come to %s", victim.name, p)
	}
}

// kept counts visitors who were told, after a moment, that theirs is in the spool.
func (o *observer) kept(after time.Time) (n int) {
	for _, l := range o.books() {
		if l.Said == "spooled" && l.At.After(after) {
			n++
		}
	}
	return n
}

func spooledBytes(t *testing.T, w *world, s *server) (total int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(w.dir, s.name, "spool", "*.spool"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			total += info.Size()
		}
	}
	return total
}

// TestTorture_LostAnswersToCommitsDoubleNothing cuts the connection between a commit and its answer, many times (F-02): whether it is
// stored is unknown to the server, sometimes to the client, and never stored twice.
func TestTorture_LostAnswersToCommitsDoubleNothing(t *testing.T) {
	alongside(t)
	cuts, from := size(t, "TORTURE_CUTS", 40, 2000), seed(t)
	w := newWorld(t, 1, true)
	o := w.watch(from, size(t, "TORTURE_RATE", 30, 200))
	w.wire.lose.Store(3)
	for w.wire.lost.Load() < int64(cuts) {
		before := w.wire.lost.Load()
		w.eventually("another answer to be lost", func() bool { return w.wire.lost.Load() > before })
	}
	w.wire.lose.Store(0)
	driven := o.finish()
	v := o.compare(patience)
	v.mustBeContent(o)
	if driven.GivenUp > 0 {
		t.Errorf("visitors never learnt what became of theirs: %+v", driven)
	}
	t.Logf("%d of %d answers to commits were lost", w.wire.lost.Load(), w.wire.sent.Load())
	report(t, "lost-answers", from, map[string]any{"cuts": w.wire.lost.Load(), "commits": w.wire.sent.Load(), "driven": driven, "found": v.Sum})
}
