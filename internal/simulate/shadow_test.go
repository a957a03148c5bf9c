package simulate_test

import (
	"strings"
	"testing"
	"time"

	"leadline/internal/fault"
	"leadline/internal/simulate"
)

func (l *line) report() simulate.ShadowReport {
	l.t.Helper()
	r, err := simulate.ReportShadow(l.t.Context(), l.db, 100)
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// caughtUp is the report once the shadow has looked at everything.
func (l *line) caughtUp(leads int) (r simulate.ShadowReport) {
	l.t.Helper()
	l.eventually("the shadow to catch up", func() bool { r = l.report(); return r.Behind == 0 && r.Sums.Leads == leads })
	return r
}

func (s *server) follow() {
	f := simulate.NewFollower(simulate.FollowerOptions{DB: s.db, Roster: s.book.Roster, Every: 20 * time.Millisecond})
	s.run(f.Run)
}

func TestShadow_TellsOfLiveLeadsWhatItWouldHaveDoneOtherwiseAndNothingElse(t *testing.T) {
	t.Parallel()
	l := newLine(t, sales())
	s, second := l.serve(), l.serve()
	if _, err := simulate.ReportShadow(t.Context(), l.db, 1); !fault.Is(err, fault.NotFound) {
		t.Errorf("no shadow yet: %v", err)
	}
	s.send(5, "AT") // before it begins: not its business
	if _, err := simulate.StartShadow(t.Context(), l.db, l.candidate(strings.Replace(sales(), "rules:", "rules: # same", 1)), "mia"); err != nil {
		t.Fatal(err)
	}
	s.follow()
	second.follow() // one of the two does the work
	for range 4 {
		s.send(10, "DE")
		second.send(10, "AT")
		s.send(5, "FR")
	}
	same := l.caughtUp(100)
	if c := same.Sums; c.Moved+c.Rule+c.Rep+c.Slower+c.Faster+c.Unrouted+c.CapHit+c.Left != 0 || len(same.Leads) != 0 {
		t.Errorf("the same configuration is another: %+v", same)
	}

	other := strings.Replace(sales(), "{name: Austria, when: {country: AT}, then: {pool: at}}", "{name: Alps, when: {country: AT}, then: {pool: nobody}}", 1)
	other = strings.Replace(other, "{country: DE}, then: {pool: de}", "{country: DE}, then: {pool: at}", 1)
	_, err := simulate.StartShadow(t.Context(), l.db, l.candidate(other), "mia")
	if !fault.Is(err, fault.Conflict) {
		t.Errorf("a second shadow: %v", err)
	}
	if stopped, err := simulate.StopShadow(t.Context(), l.db); err != nil || !stopped {
		t.Fatal(stopped, err)
	}
	if _, err := simulate.StartShadow(t.Context(), l.db, l.candidate(other), "mia"); err != nil {
		t.Fatal(err)
	}
	s.send(30, "DE")
	second.send(20, "AT")
	s.send(10, "FR")
	r := l.caughtUp(60)
	if c := r.Sums; c.Moved != 50 || c.Moves["de > at"] != 30 || c.Moves["at > nobody"] != 20 || c.Rule != 20 || c.Unrouted != 20 || c.Rep != 50 || c.Slower+c.Faster+c.Left != 0 {
		t.Errorf("found %+v", c)
	}
	// Turns in the pool that its leads go to are its own, by weight, whatever live leads do there.
	by := map[string]int{}
	for _, lead := range r.Leads {
		by[lead.Offered]++
	}
	if len(r.Leads) != 50 || by[""] != 20 || len(by) != 11 {
		t.Errorf("%d leads, offered to %v", len(r.Leads), by)
	}
	if stopped, err := simulate.StopShadow(t.Context(), l.db); err != nil || !stopped {
		t.Fatal(stopped, err)
	}
	s.send(5, "DE")
	if after := l.report(); after.EndedAt == nil || after.Sums.Leads != 60 {
		t.Errorf("after it was stopped: %+v", after.Shadow)
	}
	if n := ask[int](l, `SELECT count(*) FROM decision WHERE version <> 1`); n != 0 {
		t.Errorf("the shadow has decided %d leads", n)
	}
}

func TestShadow_GoesOnWhereItWasAfterARestart(t *testing.T) {
	t.Parallel()
	l := newLine(t, sales())
	s := l.serve()
	moved := strings.Replace(sales(), "{country: DE}, then: {pool: de}", "{country: DE}, then: {pool: at}", 1)
	if _, err := simulate.StartShadow(t.Context(), l.db, l.candidate(moved), "mia"); err != nil {
		t.Fatal(err)
	}
	t.Run("first", func(t *testing.T) {
		process := &server{line: &line{t: t, db: l.db}, book: s.book}
		process.follow()
		s.send(20, "DE")
		process.caughtUp(20)
	})
	s.send(20, "DE") // while nobody follows
	s.follow()
	r := l.caughtUp(40)
	by := map[string]int{}
	for _, lead := range r.Leads {
		by[lead.Offered]++
	}
	if r.Sums.Moved != 40 || len(by) != 10 || by["rep12@example.com"] < 5 || by["rep12@example.com"] > 7 { // its weight is 3 of 19
		t.Errorf("moved %d, to %v", r.Sums.Moved, by)
	}
}
