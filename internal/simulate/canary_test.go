package simulate_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/fault"
	"leadline/internal/playbook"
	"leadline/internal/simulate"
)

// austrians is the same configuration with another pool for Austria.
func austrians(pool string) string {
	return strings.Replace(sales(), "{country: AT}, then: {pool: at}", "{country: AT}, then: {pool: "+pool+"}", 1)
}

var terms = playbook.CanaryTerms{Percent: 30, For: time.Hour, MaxUnrouted: 1, MaxAccept: 1.5, MinLeads: 20, Author: "mia"}

func (l *line) canary(text string, terms playbook.CanaryTerms) playbook.Canary {
	l.t.Helper()
	c, err := playbook.StartCanary(l.t.Context(), l.db, l.candidate(text), terms)
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

func (l *line) newest() playbook.Canary {
	l.t.Helper()
	c, err := playbook.NewestCanary(l.t.Context(), l.db)
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

// sees waits until a server holds the canary of a version, 0: none.
func (s *server) sees(version int64) {
	s.t.Helper()
	s.eventually("the canary to be taken up", func() bool {
		c := s.book.Current().Canary
		return version == 0 && c == nil || c != nil && c.Table.Version() == version
	})
}

// guard judges until the test ends.
func (l *line) guard() {
	l.run(playbook.NewCanaryGuard(l.db, slog.New(slog.DiscardHandler), 20*time.Millisecond).Run)
}

// accepted says of leads that they were accepted after so many seconds.
func (l *line) accepted(version int64, after float64) {
	l.exec(`UPDATE lead l SET claimed_at = accepted_at + make_interval(secs => $2), stage = 'claimed', rep_id = (SELECT id FROM rep ORDER BY id LIMIT 1)
		FROM decision d WHERE d.lead_id = l.id AND d.version = $1`, version, after)
	l.exec(`UPDATE offer o SET state = 'accepted', screen_by = NULL, ended_at = clock_timestamp() FROM lead l WHERE l.id = o.lead_id AND l.stage = 'claimed' AND o.state = 'open'`)
}

func (l *line) replays() {
	l.t.Helper()
	sum, err := simulate.Replay(l.t.Context(), l.db, simulate.Published(l.db), 24*time.Hour, 0, func(f simulate.Finding) { l.t.Errorf("made again: %+v", f) })
	if err != nil || sum.Different != 0 || sum.Decisions == 0 {
		l.t.Errorf("replay: %+v %v", sum, err)
	}
}

func TestCanary_DecidesForItsShareOnEveryServerAlikeUntilItIsPromoted(t *testing.T) {
	t.Parallel()
	l := newLine(t, sales())
	one, two := l.serve(), l.serve()
	c := l.canary(austrians("world"), terms)
	if c.Number != 2 || c.Base != 1 || c.State != playbook.CanaryRunning || c.Percent != 30 {
		t.Errorf("begun: %+v", c)
	}
	one.sees(2)
	two.sees(2)
	ids := append(one.send(100, "AT"), two.send(100, "AT")...)
	its := 0
	for _, id := range ids {
		// Whichever server placed it: the share that its id falls into says which rules did.
		takes := one.book.Current().Canary.Takes(id, time.Now())
		if takes != two.book.Current().Canary.Takes(id, time.Now()) {
			t.Errorf("%s: the servers do not agree", id)
		}
		version, pool := ask[int64](l, `SELECT version FROM decision WHERE lead_id = $1`, id), ask[string](l, `SELECT pool FROM decision WHERE lead_id = $1`, id)
		if takes {
			its++
		}
		if takes != (version == 2) || takes != (pool == "world") || !takes && (version != 1 || pool != "at") {
			t.Errorf("%s, of the canary %t: version %d, pool %s", id, takes, version, pool)
		}
	}
	if its < 35 || its > 90 { // 60 of 200, give or take five standard deviations
		t.Errorf("%d of 200 leads are the canary's", its)
	}
	if _, err := playbook.StartCanary(t.Context(), l.db, l.candidate(austrians("de")), terms); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second canary: %v", err)
	}
	l.replays()

	version, err := playbook.PromoteCanary(t.Context(), l.db, "looks good")
	if err != nil || version != 2 {
		t.Fatalf("promoted: %d %v", version, err)
	}
	one.eventually("the version to be live", func() bool { live := one.book.Current(); return live.Version == 2 && live.Canary == nil })
	one.send(10, "AT")
	if n := ask[int](l, `SELECT count(*) FROM decision WHERE version = 2 AND pool = 'world'`); n != its+10 {
		t.Errorf("%d leads went where version 2 says, want %d", n, its+10)
	}
	l.replays()
	if d := ask[string](l, `SELECT string_agg(state || ' ' || published, ',') FROM config_draft WHERE state <> 'open'`); d != "published 2" {
		t.Errorf("drafts: %s", d)
	}
	if n := ask[int](l, `SELECT count(*) FROM audit WHERE action IN ('canary.began', 'canary.ended', 'config.published')`); n != 4 {
		t.Errorf("%d lines about it in the audit chain", n)
	}
}

func TestCanary_IsTakenBackWhenItsLeadsFareWorse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text  string
		fare  func(l *line)
		state string
		why   string
	}{
		"nobody there":      {austrians("nobody"), func(*line) {}, playbook.CanaryRolledBack, "are unrouted"},
		"accepted too late": {austrians("world"), func(l *line) { l.accepted(1, 4); l.accepted(2, 9) }, playbook.CanaryRolledBack, "9.0 s"},
		"as good":           {austrians("world"), func(l *line) { l.accepted(1, 4); l.accepted(2, 5) }, playbook.CanaryPromoted, "nothing speaks against it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLine(t, sales())
			s := l.serve()
			l.canary(c.text, terms)
			s.sees(2)
			s.send(1, "FR") // the round that goes on by what it saw before is over then
			s.send(200, "AT")
			c.fare(l)
			l.exec(`UPDATE canary SET until = clock_timestamp() WHERE $1`, c.state == playbook.CanaryPromoted)
			l.guard()
			l.eventually("the guard to act", func() bool { return l.newest().State != playbook.CanaryRunning })
			ended := l.newest()
			f := ended.Figures
			if ended.State != c.state || !strings.Contains(ended.Reason, c.why) || f.Canary.Leads < 20 || f.Canary.Leads+f.Control.Leads != 201 {
				t.Errorf("ended: %+v", ended)
			}
			back := c.state == playbook.CanaryRolledBack
			if alarms := ask[int](l, `SELECT count(*) FROM alarm WHERE kind = 'canary' AND closed_at IS NULL`); alarms == 1 != back {
				t.Errorf("%d alarms are open", alarms)
			}
			if told := ask[string](l, `SELECT detail FROM audit WHERE action = 'canary.ended'`); !strings.Contains(told, `"median_seconds"`) {
				t.Errorf("the audit chain says %s", told)
			}
			s.sees(0)
			if !back {
				return
			}
			// Its leads have their places by the live version from here on, and its number is not used again.
			waiting := ask[int](l, `SELECT count(*) FROM lead WHERE stage = 'waiting'`)
			if s.eventually("waiting leads to be offered", func() bool { return ask[int](l, `SELECT count(*) FROM lead WHERE stage = 'waiting'`) == 0 }); waiting > 0 && name == "accepted too late" {
				t.Errorf("%d leads waited", waiting)
			}
			l.publish(austrians("de"))
			if n := ask[int64](l, `SELECT max(number) FROM config_version`); n != 3 {
				t.Errorf("the next version is %d", n)
			}
			if n := ask[int](l, `SELECT count(*) FROM alarm WHERE kind = 'canary' AND closed_at IS NULL`); n != 0 {
				t.Error("the alarm is still open")
			}
			l.replays()
		})
	}
}

func TestCanary_EndsWithoutVerdictWhenTooFewLeadsCame(t *testing.T) {
	t.Parallel()
	l := newLine(t, sales())
	s := l.serve()
	early := s.send(1, "AT")[0]
	l.canary(austrians("world"), terms)
	s.sees(2)
	if s.book.Current().Canary.Takes(early, ask[time.Time](l, `SELECT accepted_at FROM lead WHERE id = $1`, early)) {
		t.Error("a lead from before is the canary's")
	}
	s.send(10, "AT")
	l.guard()
	l.eventually("figures", func() bool { return l.newest().Figures.Control.Leads > 0 })
	if c := l.newest(); c.State != playbook.CanaryRunning {
		t.Errorf("before its time: %+v", c)
	}
	l.exec(`UPDATE canary SET until = clock_timestamp()`)
	l.eventually("it to end", func() bool { return l.newest().State != playbook.CanaryRunning })
	if c := l.newest(); c.State != playbook.CanaryRolledBack || !strings.Contains(c.Reason, "too few leads") {
		t.Errorf("ended: %+v", c)
	}
}

func TestCanary_IsAPublication(t *testing.T) {
	t.Parallel()
	l := newLine(t, sales()+"publishing: {approvals: 1}\n")
	d := l.draft(austrians("world") + "publishing: {approvals: 1}\n")
	start := func(draft *uuid.UUID, version int64, terms playbook.CanaryTerms) error {
		c, err := playbook.CandidateOf(t.Context(), l.db, draft, version)
		if err == nil {
			_, err = playbook.StartCanary(t.Context(), l.db, c, terms)
		}
		return err
	}
	refused := func(what string, kind fault.Kind, err error) {
		t.Helper()
		if !fault.Is(err, kind) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("without approval", fault.Conflict, start(&d.ID, 0, terms))
	refused("what is live", fault.Conflict, start(nil, 1, terms))
	refused("no such version", fault.NotFound, start(nil, 7, terms))
	most := terms
	most.Percent = 51
	if _, err := playbook.ApproveDraft(t.Context(), l.db, d.ID, d.Revision, "ben"); err != nil {
		t.Fatal(err)
	}
	refused("most of the leads", fault.Invalid, start(&d.ID, 0, most))
	if err := start(&d.ID, 0, terms); err != nil {
		t.Fatal(err)
	}
	if c := l.newest(); c.ApprovedBy != "ben" {
		t.Errorf("approved by %q", c.ApprovedBy)
	}
	// A publication ends it, since what it is compared with is no longer live; its number stays its own.
	other := l.draft(austrians("de"))
	if _, err := playbook.ApproveDraft(t.Context(), l.db, other.ID, other.Revision, "ben"); err != nil {
		t.Fatal(err)
	}
	published, err := playbook.PublishDraft(t.Context(), l.db, other.ID, other.Revision)
	if err != nil || *published.Published != 3 {
		t.Fatalf("published: %+v %v", published, err)
	}
	if c := l.newest(); c.State != playbook.CanarySuperseded {
		t.Errorf("after another publication: %+v", c)
	}
	if _, err := playbook.Rollback(t.Context(), l.db, 2, 0, "mia", "why not"); !fault.Is(err, fault.NotFound) {
		t.Errorf("rolled back to a canary: %v", err)
	}
	refused("a draft from before", fault.Conflict, start(&d.ID, 0, terms))
	if err := start(nil, 1, terms); err != nil { // was live: needs nobody
		t.Fatal(err)
	}
	if stopped, err := playbook.StopCanary(t.Context(), l.db, "enough"); err != nil || !stopped {
		t.Fatal(stopped, err)
	}
	if stopped, err := playbook.StopCanary(t.Context(), l.db, "again"); err != nil || stopped {
		t.Fatal(stopped, err)
	}
}
