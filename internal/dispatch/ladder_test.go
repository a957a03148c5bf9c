package dispatch_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/fault"
	"leadline/internal/routing"
)

// quick are terms that end within a test; long ones that do not.
var (
	quick = routing.OfferTerms{Exclusive: 60 * time.Millisecond, Pool: 60 * time.Millisecond, Attempts: 9, Screen: routing.NoScreen}
	long  = routing.OfferTerms{Exclusive: time.Hour, Pool: time.Hour, Attempts: 9, Screen: routing.NoScreen}
)

func TestLadder_ClimbsFromTurnToPoolToOverflowToLastResortToTheQueue(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben", "sam")
	first := pool("first", quick, "mia")
	first.Overflow = "second"
	second := pool("second", quick, "ben")
	second.LastResort = email("sam")
	d.configure(1, first, second)
	p := d.run()
	id := d.submit(p, 1)[0]
	d.eventually("sam to be asked", func() bool { return ask[int](d, `SELECT count(*) FROM offer WHERE rung = 'last_resort'`) == 1 })
	// Nobody answers: from here on all three run into their second miss, and are set away.
	d.eventually("everybody to be away", func() bool {
		return ask[int](d, `SELECT count(*) FROM rep WHERE presence = 'away' AND presence_by = 'system' AND presence_reason <> '' AND missed >= 2`) == 3
	})
	d.eventually("the lead to wait in its first pool", func() bool {
		return ask[string](d, `SELECT stage || ' ' || pool FROM lead WHERE id = $1`, id) == "waiting first"
	})
	want := "turn:first:mia timed_out, pool:first timed_out, turn:second:ben timed_out, pool:second timed_out, last_resort:second:sam timed_out"
	if got := d.path(id); len(got) < len(want) || got[:len(want)] != want {
		t.Errorf("the ladder was\n%s\nwant it to begin with\n%s", got, want)
	}
	if cause := ask[string](d, `SELECT cause FROM offer WHERE attempt = 3`); cause != "overflow" {
		t.Errorf("the offer in the second pool has cause %q", cause)
	}
	d.sound()
}

func TestLadder_GoesToItsEndAfterTheAttemptsThenAlarmsAndOffersForEver(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben", "sam", "max")
	terms := quick
	terms.Attempts, terms.Manager = 2, email("max")
	first := pool("first", terms, "mia", "ben")
	first.LastResort = email("sam")
	d.configure(1, first)
	p := d.run()
	id := d.submit(p, 1)[0]
	d.eventually("everybody to have been asked in vain", func() bool {
		return ask[string](d, `SELECT stage FROM lead WHERE id = $1`, id) == "waiting" && ask[bool](d, `SELECT bool_and(presence = 'away') FROM rep`)
	})
	if want, got := "turn:first:mia timed_out, pool:first timed_out, last_resort:first:sam timed_out, manager:first:max timed_out, ", d.path(id); !strings.HasPrefix(got, want) {
		t.Errorf("the ladder was\n%s\nwant it to begin with\n%s", got, want)
	}
	if got := ask[string](d, `SELECT string_agg(kind || ' ' || pool, ', ') FROM alarm WHERE lead_id = $1 AND closed_at IS NULL`, id); got != "unrouted first" {
		t.Errorf("open alarms: %q", got)
	}
	if n := ask[int](d, `SELECT count(*) FROM event WHERE lead_id = $1 AND kind = 'alarm'`, id); n != 1 {
		t.Errorf("%d events say that there is an alarm, want 1", n)
	}
	first.Offer = long
	d.configure(2, first)
	d.exec(`UPDATE rep SET presence = 'available', presence_by = 'api', missed = 0 WHERE email = $1`, email("ben"))
	before := ask[int](d, `SELECT attempt FROM lead`)
	p.PresenceChanged()
	d.eventually("ben to be asked again", func() bool {
		return ask[int](d, `SELECT count(*) FROM offer WHERE attempt > $1 AND rep_id = $2`, before, d.reps["ben"]) > 0
	})
	won, err := p.Claim(t.Context(), dispatch.ClaimRequest{LeadID: id, RepID: d.reps["ben"], By: "console"})
	if err != nil || won.Attempt <= before {
		t.Errorf("ben could not take it: %+v %v", won, err)
	}
	if n := ask[int](d, `SELECT count(*) FROM alarm WHERE closed_at IS NULL`); n != 0 {
		t.Error("the alarm is open although somebody took the lead")
	}
	if told := ask[string](d, `SELECT string_agg(data->>'state', ' ' ORDER BY seq) FROM event WHERE kind = 'alarm'`); told != "opened closed" {
		t.Errorf("the lead's story says of its alarm: %s", told)
	}
	d.sound()
}

func TestLadder_PullPoolWithoutOverflowStaysOpenForGood(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	d.exec(`UPDATE rep SET presence = 'off'`)
	p1 := pool("open", quick, "mia")
	p1.Strategy = routing.Pull
	d.configure(1, p1)
	id := d.submit(d.run(), 1)[0]
	d.reaches(id, "pool:open open")
	if ask[bool](d, `SELECT deadline IS NOT NULL FROM offer`) {
		t.Error("the offer has a deadline although there is nowhere else to go")
	}
}

func TestLadder_ThePersonOfARuleIsAskedBeforeThePool(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "sam")
	d.configureRules(1, []routing.Rule{
		{Name: "partners", Band: routing.Override, When: routing.Condition{Country: []string{"AT"}}, Then: routing.Target{Pool: "first", Rep: email("sam")}},
		{Name: "all", Band: routing.Default, Then: routing.Target{Pool: "first"}},
	}, pool("first", long, "mia"))
	p := d.run()
	id := d.submitFrom(p, 1, "AT")[0]
	d.reaches(id, "person:first:sam open")
	if err := p.Pass(t.Context(), dispatch.PassRequest{LeadID: id, RepID: d.reps["sam"], Attempt: 1, Reason: routing.OnACall, By: "console"}); err != nil {
		t.Fatal(err)
	}
	if got := d.path(id); got != "person:first:sam declined, turn:first:mia open" {
		t.Errorf("after the pass: %s", got)
	}
	if err := p.Pass(t.Context(), dispatch.PassRequest{LeadID: id, RepID: d.reps["sam"], Attempt: 1, By: "console"}); err != nil {
		t.Errorf("the second click on pass: %v", err)
	}
	if missed := ask[int](d, `SELECT missed FROM rep WHERE email = $1`, email("sam")); missed != 0 {
		t.Error("a pass counted as a missed offer")
	}
	d.exec(`UPDATE rep SET presence = 'off' WHERE email = $1`, email("sam"))
	d.reaches(d.submitFrom(p, 1, "AT")[0], "turn:first:mia open")
}

func TestLadder_AClosedPoolOverflowsAtOnce(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	first := pool("first", long, "mia")
	first.Hours = closedNow(t)
	first.Overflow = "second"
	d.configure(1, first, pool("second", long, "ben"))
	id := d.submit(d.run(), 1)[0]
	d.reaches(id, "turn:second:ben open")
	var trace struct {
		Pool       string
		Facts      routing.Facts
		Candidates []struct{ Rep, Outcome, Reason, Pool string }
	}
	if err := json.Unmarshal([]byte(ask[string](d, `SELECT trace::text FROM decision WHERE lead_id = $1`, id)), &trace); err != nil {
		t.Fatal(err)
	}
	if trace.Pool != "first" || trace.Facts.Country != "DE" || len(trace.Candidates) != 2 || trace.Candidates[0].Outcome != routing.Skipped ||
		trace.Candidates[1].Outcome != routing.Chosen || trace.Candidates[1].Pool != "second" {
		t.Errorf("the trace does not explain the overflow: %+v", trace)
	}
}

func TestLadder_OnlyAFocusedRepMakesThePoolRung(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	d.exec(`UPDATE rep SET presence = 'focus'`)
	d.configure(1, pool("first", long, "mia"))
	d.reaches(d.submit(d.run(), 1)[0], "pool:first open")
}

func TestPresence_AnOfferNeverSticksToSomebodyWhoIsGone(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	d.exec(`UPDATE rep SET presence_by = 'console', reachable_at = clock_timestamp() + interval '1 hour'`)
	d.exec(`UPDATE rep SET presence = 'off' WHERE email = $1`, email("ben"))
	d.configure(1, pool("first", long, "mia", "ben"))
	p := d.run()
	id := d.submit(p, 1)[0]
	d.reaches(id, "turn:first:mia open")

	d.exec(`UPDATE rep SET presence = 'available' WHERE email = $1`, email("ben"))
	d.exec(`UPDATE rep SET reachable_at = clock_timestamp() - interval '11 seconds' WHERE email = $1`, email("mia"))
	p.PresenceChanged()
	d.reaches(id, "turn:first:mia withdrawn, turn:first:ben open")

	d.exec(`UPDATE rep SET active = false WHERE email = $1`, email("ben"))
	p.PresenceChanged()
	d.reaches(id, "turn:first:mia withdrawn, turn:first:ben withdrawn | waiting in first")

	d.exec(`UPDATE rep SET reachable_at = clock_timestamp() + interval '1 hour' WHERE email = $1`, email("mia"))
	p.PresenceChanged()
	d.reaches(id, "turn:first:mia withdrawn, turn:first:ben withdrawn, turn:first:mia open")
	if missed := ask[int](d, `SELECT sum(missed) FROM rep`); missed != 0 {
		t.Error("being gone counted as a missed offer")
	}
	d.sound()
}

func TestDrain_HotAndOldLeadsGoFirstWhenSomebodyComes(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	d.exec(`UPDATE rep SET presence = 'away'`)
	first := pool("first", long, "mia")
	first.Members[0].Cap.Open = 2
	d.configure(1, first)
	p := d.run()
	ids := d.submit(p, 4)
	d.eventually("all to wait", func() bool {
		return ask[int](d, `SELECT count(*) FROM lead WHERE stage = 'waiting' AND pool = 'first'`) == 4
	})
	d.exec(`UPDATE lead SET intent = 'low' WHERE id = $1`, ids[0])
	d.exec(`UPDATE rep SET presence = 'available'`)
	p.PresenceChanged()
	offered := func() []uuid.UUID {
		return ask[[]uuid.UUID](d, `SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM lead WHERE stage = 'offered'`)
	}
	d.eventually("two to be offered", func() bool { return len(offered()) == 2 })
	if got := offered(); got[0] != ids[1] || got[1] != ids[2] {
		t.Errorf("offered %v of %v, want the second and third: hot and oldest, up to the limit", got, ids)
	}
	if _, err := p.Claim(t.Context(), dispatch.ClaimRequest{LeadID: ids[1], RepID: d.reps["mia"], By: "api"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Outcome(t.Context(), dispatch.OutcomeRequest{LeadID: ids[1], RepID: d.reps["mia"], Disposition: "connected", By: "api"}); err != nil {
		t.Fatal(err)
	}
	d.eventually("the next one", func() bool {
		return len(offered()) == 2 && ask[string](d, `SELECT stage FROM lead WHERE id = $1`, ids[3]) == "offered"
	})
	d.sound()
}

func TestDispatch_WithoutAConfigurationLeadsWaitForOne(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	p := d.run()
	ids := d.submit(p, 3)
	d.eventually("all to wait", func() bool {
		return ask[int](d, `SELECT count(*) FROM lead WHERE stage = 'waiting' AND pool = ''`) == 3
	})
	if n, err := p.Unowned(t.Context()); n != 3 || err != nil {
		t.Errorf("unowned: %d %v, want 3: nobody sees them", n, err)
	}
	d.configure(1, pool("first", long, "mia"))
	d.settled(ids)
	if n, err := p.Unowned(t.Context()); n != 0 || err != nil {
		t.Errorf("unowned: %d %v", n, err)
	}
	if n := ask[int](d, `SELECT count(*) FROM decision WHERE rep_id IS NOT NULL AND version = 1`); n != 3 {
		t.Errorf("%d decisions, want 3", n)
	}
}

func TestPass_OfSomebodyElsesOfferIsRefused(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	d.exec(`UPDATE rep SET presence = 'off' WHERE email = $1`, email("ben"))
	d.configure(1, pool("first", long, "mia", "ben"))
	p := d.run()
	id := d.submit(p, 1)[0]
	d.reaches(id, "turn:first:mia open")
	if err := p.Pass(t.Context(), dispatch.PassRequest{LeadID: id, RepID: d.reps["ben"]}); !fault.Is(err, fault.Conflict) {
		t.Errorf("ben passed mia's offer: %v", err)
	}
	if err := p.Pass(t.Context(), dispatch.PassRequest{LeadID: uuid.New(), RepID: d.reps["ben"]}); !fault.Is(err, fault.NotFound) {
		t.Errorf("passing nothing: %v", err)
	}
}
