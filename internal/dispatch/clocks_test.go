package dispatch_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/fault"
	"leadline/internal/routing"
)

// timed is a pool whose people have an hour each to take a lead, to try, and two to speak.
func timed(slug string, names ...string) *routing.Pool {
	p := pool(slug, long, names...)
	p.SLA = routing.SLA{Accept: time.Hour, Attempt: time.Hour, Contact: 2 * time.Hour}
	return p
}

// later moves a clock of some leads so far that so much of its hour is over.
func (d *desk) later(kind routing.ClockKind, passed time.Duration, ids ...uuid.UUID) {
	d.t.Helper()
	d.exec(`UPDATE lead_clock SET since = since - $3::interval, warn_at = warn_at - $3::interval,
		target_at = target_at - $3::interval, escalate_at = escalate_at - $3::interval
		WHERE kind = $1 AND lead_id = ANY($2)`, string(kind), ids, passed)
}

// steps counts what a clock of some leads has done: "warn 3, act 3 (moved 2)".
func (d *desk) steps(kind routing.ClockKind, ids ...uuid.UUID) string {
	d.t.Helper()
	return ask[string](d, `SELECT coalesce(string_agg(format('%s %s%s', step, n, CASE WHEN moved > 0 THEN format(' (moved %s)', moved) END), ', ' ORDER BY array_position('{warn,act,escalate}', step)), '')
		FROM (SELECT data->>'step' AS step, count(*) AS n, count(*) FILTER (WHERE data->>'moved' = 'true') AS moved FROM event
			WHERE kind = 'clock' AND data->>'clock' = $1 AND lead_id = ANY($2) GROUP BY 1) AS t`, string(kind), ids)
}

func (d *desk) stepsBecome(kind routing.ClockKind, want string, ids ...uuid.UUID) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("%s to be %q", kind, want), func() bool { return d.steps(kind, ids...) == want })
}

func (d *desk) presence(name, presence string) {
	d.t.Helper()
	d.exec(`UPDATE rep SET presence = $2 WHERE email = $1`, email(name), presence)
}

func (d *desk) outcome(p *process, id uuid.UUID, name, disposition string) {
	d.t.Helper()
	if err := p.Outcome(d.t.Context(), dispatch.OutcomeRequest{LeadID: id, RepID: d.reps[name], Disposition: disposition}); err != nil {
		d.t.Fatal(err)
	}
}

// held are leads that mia has taken while nobody else was there; now ben and the others are back.
func (d *desk) held(p *process, n int, others ...string) []uuid.UUID {
	d.t.Helper()
	for _, name := range others {
		d.presence(name, "off")
	}
	ids := d.submit(p, n)
	d.settled(ids)
	for _, id := range ids {
		d.take(p, id, "mia")
	}
	for _, name := range others {
		d.presence(name, "available")
	}
	return ids
}

func TestClocks_EveryStepIsTakenOnceWhateverTheNumberOfProcesses(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben", "max")
	first := timed("first", "mia", "ben")
	first.Offer.Manager = email("max")
	d.configure(1, first)
	p := d.run()
	d.run()
	d.run()
	ids := d.held(p, 40, "ben")
	if got := d.steps(routing.ClockAccept, ids...); got != "" {
		t.Errorf("taken in time, yet %s", got)
	}

	d.later(routing.ClockAttempt, 31*time.Minute, ids...)
	d.stepsBecome(routing.ClockAttempt, "warn 40", ids...)
	d.later(routing.ClockAttempt, 30*time.Minute, ids...)
	for _, id := range ids {
		d.reaches(id, "turn:first:mia accepted, turn:first:ben open")
	}
	d.stepsBecome(routing.ClockAttempt, "warn 40, act 40 (moved 40)", ids...)
	d.sound()
	if n := ask[int](d, `SELECT count(*) FROM lead WHERE id = ANY($1) AND rep_id IS NULL AND claimed_at IS NULL AND revision = 3`, ids); n != 40 {
		t.Errorf("%d of 40 leads say that nobody has them, and tell the CRM", n)
	}
	if n := ask[int](d, `SELECT count(*) FROM offer WHERE lead_id = ANY($1) AND cause = 'sla_expired'`, ids); n != 40 {
		t.Errorf("%d of 40 offers say why they were made", n)
	}
	if n := ask[int](d, `SELECT count(*) FROM audit WHERE action = 'lead.rerouted' AND object = ANY($1::text[])`, ids); n != 40 {
		t.Errorf("%d of 40 leads are in the record", n)
	}

	// The next has an hour of their own; then nobody but the manager is asked.
	for _, id := range ids {
		d.take(p, id, "ben")
	}
	d.later(routing.ClockAttempt, 61*time.Minute, ids...)
	d.stepsBecome(routing.ClockAttempt, "warn 80, act 40 (moved 40)", ids...)
	d.later(routing.ClockAttempt, 30*time.Minute, ids...)
	for _, id := range ids {
		d.reaches(id, "turn:first:mia accepted, turn:first:ben accepted, manager:first:max open")
	}
	d.stepsBecome(routing.ClockAttempt, "warn 80, act 40 (moved 40), escalate 40 (moved 40)", ids...)
	alarms := func() int {
		return ask[int](d, `SELECT count(*) FROM alarm WHERE kind = 'sla_missed' AND closed_at IS NULL AND lead_id = ANY($1)`, ids)
	}
	if err := p.Watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := alarms(); n != 40 {
		t.Errorf("%d of 40 alarms are open while the manager is asked", n)
	}
	for _, id := range ids {
		d.take(p, id, "max")
	}
	if n := alarms(); n != 0 {
		t.Errorf("%d alarms are open about leads that the manager has", n)
	}
	d.later(routing.ClockAttempt, 24*time.Hour, ids...)
	d.stepsBecome(routing.ClockAttempt, "warn 120, act 40 (moved 40), escalate 40 (moved 40)", ids...)
	d.sound()

	if sum := d.replays(); sum.Later < 80 {
		t.Errorf("replayed %+v", sum)
	}
}

func TestClocks_OnlyARealContactKeepsALeadWhereItIs(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	d.configure(1, timed("first", "mia", "ben"))
	p := d.run()
	ids := d.held(p, 8, "ben")
	for i, disposition := range []string{"connected", "callback", "booked", "no_answer", "voicemail", "wrong_number", "disqualified"} {
		d.outcome(p, ids[i], "mia", disposition)
	}
	d.outcome(p, ids[0], "mia", "no_answer") // a later call that nobody answers does not undo the first
	d.exec(`UPDATE lead SET stage = 'contacted' WHERE id = $1`, ids[7])
	d.later(routing.ClockAttempt, 24*time.Hour, ids...)
	d.later(routing.ClockContact, 24*time.Hour, ids...)
	for i, id := range ids[3:6] {
		d.reaches(id, "turn:first:mia accepted, turn:first:ben open")
		if got := d.steps(routing.ClockAttempt, id); got != "" {
			t.Errorf("lead %d was tried, yet %s", i, got)
		}
	}
	d.reaches(ids[7], "turn:first:mia accepted, turn:first:ben open") // a field was changed, nobody called
	for i, id := range []uuid.UUID{ids[0], ids[1], ids[2], ids[6]} {
		if holder := ask[uuid.UUID](d, `SELECT rep_id FROM lead WHERE id = $1`, id); holder != d.reps["mia"] {
			t.Errorf("lead %d was taken from who had spoken, or had closed it", i)
		}
		if got := d.steps(routing.ClockContact, id) + d.steps(routing.ClockAttempt, id); got != "" {
			t.Errorf("lead %d: %s", i, got)
		}
	}
	// What was closed by mistake is late again once it is open again.
	d.outcome(p, ids[6], "mia", "no_answer")
	d.reaches(ids[6], "turn:first:mia accepted, turn:first:ben open")
	// Whoever gets a lead that was tried has to speak; the first attempt was made.
	d.take(p, ids[3], "ben")
	if got := ask[string](d, `SELECT string_agg(kind || ' ' || (stopped_at IS NULL)::text, ', ' ORDER BY kind) FROM lead_clock WHERE lead_id = $1`, ids[3]); got != "accept false, contact true, first_attempt false" {
		t.Errorf("clocks that run: %s", got)
	}
}

func TestClocks_WhoSpeaksInTheLastMomentKeepsTheLead(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	d.configure(1, timed("first", "mia", "ben"))
	p := d.run()
	d.run()
	ids := d.held(p, 60, "ben")
	d.later(routing.ClockContact, 61*time.Minute, ids...)
	d.stepsBecome(routing.ClockContact, "warn 60", ids...)
	var all sync.WaitGroup
	spoke := make([]bool, len(ids))
	d.later(routing.ClockContact, 60*time.Minute, ids...)
	for i, id := range ids {
		all.Go(func() {
			err := p.Outcome(t.Context(), dispatch.OutcomeRequest{LeadID: id, RepID: d.reps["mia"], Disposition: "connected"})
			if spoke[i] = err == nil; err != nil && !fault.Is(err, fault.Forbidden) && !fault.Is(err, fault.Conflict) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	moved := 0
	for i, id := range ids {
		if spoke[i] {
			if ask[uuid.UUID](d, `SELECT rep_id FROM lead WHERE id = $1`, id) != d.reps["mia"] {
				t.Errorf("lead %s was taken from somebody who had spoken", id)
			}
			continue
		}
		moved++
		d.reaches(id, "turn:first:mia accepted, turn:first:ben open")
	}
	t.Logf("%d of %d were too late", moved, len(ids))
	d.sound()
}

func TestClocks_AProcessThatIsKilledLosesNoStep(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	d.configure(1, timed("first", "mia"))
	p := d.join()
	d.start(p)
	id := d.held(p, 1)[0]
	d.later(routing.ClockAttempt, 31*time.Minute, id)
	d.stepsBecome(routing.ClockAttempt, "warn 1", id)
	p.stop()
	<-p.ended
	d.later(routing.ClockAttempt, 24*time.Hour, id)
	next := d.run()
	// Nobody else is there: it stays with mia, and somebody is told.
	d.stepsBecome(routing.ClockAttempt, "warn 1, act 1, escalate 1", id)
	if got := d.path(id); got != "turn:first:mia accepted" {
		t.Errorf("the lead went to nobody: %s", got)
	}
	open := func() int {
		if err := next.Watch(t.Context()); err != nil {
			t.Fatal(err)
		}
		return ask[int](d, `SELECT count(*) FROM alarm WHERE kind = 'sla_missed' AND lead_id = $1 AND closed_at IS NULL`, id)
	}
	if open() != 1 {
		t.Error("no alarm is open")
	}
	d.outcome(next, id, "mia", "no_answer")
	if open() != 0 {
		t.Error("the alarm is open though she tried")
	}
}

func TestClocks_ConnectionsThatAreCutLoseAndDoubleNoStep(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	d.configure(1, timed("first", "mia", "ben"))
	p := d.run()
	d.run()
	ids := d.held(p, 60, "ben")
	d.later(routing.ClockAttempt, 61*time.Minute, ids...)
	cut := 0
	d.eventually("every lead to move though connections are cut", func() bool {
		if cut < 12 { // then they may come to an end
			cut += ask[int](d, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
				WHERE datname = current_database() AND application_name IN ('leadline dispatch', 'leadline console') AND state <> 'idle' AND random() < 0.2`)
		}
		return ask[int](d, `SELECT count(*) FROM lead_clock WHERE acted_at IS NOT NULL`) == 60
	})
	if got := d.steps(routing.ClockAttempt, ids...); got != "warn 60, act 60 (moved 60)" || cut == 0 {
		t.Errorf("steps are %s after %d cuts", got, cut)
	}
	for _, id := range ids {
		if got := d.path(id); got != "turn:first:mia accepted, turn:first:ben open" {
			t.Errorf("lead %s: %s", id, got)
		}
	}
	t.Logf("%d connections were cut", cut)
	d.sound()
}

func TestClocks_ALeadNobodyTakesGoesOnAndNotBackToTheSameRep(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben", "max")
	first := timed("first", "mia", "ben")
	first.Offer.Manager = email("max")
	d.configure(1, first)
	d.presence("ben", "off")
	p := d.run()
	ids := d.submit(p, 2)
	d.settled(ids)
	d.presence("ben", "available")
	d.later(routing.ClockAccept, 61*time.Minute, ids...)
	for _, id := range ids {
		d.reaches(id, "turn:first:mia timed_out, pool:first open") // one turn each, then everybody
	}
	d.take(p, ids[0], "ben")
	d.later(routing.ClockAccept, 60*time.Minute, ids...)
	d.reaches(ids[1], "turn:first:mia timed_out, pool:first timed_out, manager:first:max open")
	if got := d.steps(routing.ClockAccept, ids...); got != "warn 2, act 2 (moved 2), escalate 1 (moved 1)" {
		t.Errorf("steps are %s", got)
	}
	if n := ask[int](d, `SELECT missed FROM rep WHERE email = $1`, email("mia")); n != 0 {
		t.Errorf("mia missed %d offers, though her time for them was not over", n)
	}
}

func TestClocks_WhoLostALeadCannotTakeItAtOnce(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	open := everybodyIn("open", long, "mia", "ben")
	open.SLA = routing.SLA{Attempt: time.Hour}
	d.configure(1, open)
	p := d.run()
	id := d.submit(p, 1)[0]
	d.reaches(id, "pool:open open")
	d.take(p, id, "mia")
	d.presence("ben", "off")
	d.later(routing.ClockAttempt, 61*time.Minute, id)
	d.stepsBecome(routing.ClockAttempt, "warn 1, act 1", id)
	if got := d.path(id); got != "pool:open accepted" {
		t.Errorf("opened to nobody but her: %s", got)
	}
	other := d.submit(p, 1)[0]
	d.reaches(other, "pool:open open")
	d.take(p, other, "mia")
	d.presence("ben", "available")
	d.later(routing.ClockAttempt, 61*time.Minute, other)
	d.reaches(other, "pool:open accepted, pool:open open")
	if _, err := p.Claim(t.Context(), dispatch.ClaimRequest{LeadID: other, RepID: d.reps["mia"]}); !fault.Is(err, fault.Conflict) {
		t.Errorf("mia took it again: %v", err)
	}
	d.take(p, other, "ben")
}

func TestClocks_WhatFollowsIsForThePoolToSay(t *testing.T) {
	t.Parallel()
	for act, want := range map[routing.Act][2]string{
		routing.ActReassign: {"warn 1, act 1 (moved 1)", "turn:first:mia accepted, turn:first:ben open"},
		routing.ActEscalate: {"warn 1, act 1 (moved 1)", "turn:first:mia accepted, manager:first:max open"},
		routing.ActNone:     {"warn 1, act 1, escalate 1", "turn:first:mia accepted"},
	} {
		t.Run(string(act), func(t *testing.T) {
			t.Parallel()
			d := setup(t, "mia", "ben", "max")
			first := timed("first", "mia", "ben")
			first.SLA.Act, first.Offer.Manager = act, email("max")
			d.configure(1, first)
			p := d.run()
			id := d.held(p, 1, "ben")[0]
			d.later(routing.ClockAttempt, 24*time.Hour, id)
			d.stepsBecome(routing.ClockAttempt, want[0], id)
			d.reaches(id, want[1])
			if n := ask[int](d, `SELECT count(*) FROM alarm WHERE kind = 'sla_missed' AND closed_at IS NULL`); (n == 1) != (act != routing.ActReassign) {
				t.Errorf("%d alarms are open", n)
			}
		})
	}
}

func TestClocks_AScreenStopsTheClockOfTheSystem(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	first, open := timed("first", "mia"), everybodyIn("open", long, "ben")
	first.SLA.System, open.SLA.System = time.Minute, time.Minute
	d.configureRules(1, []routing.Rule{
		{Name: "austria", When: routing.Condition{Country: []string{"AT"}}, Then: routing.Target{Pool: "open"}},
		{Name: "all", Band: routing.Default, Then: routing.Target{Pool: "first"}},
	}, first, open)
	p := d.run()
	shown, blank := d.submit(p, 1)[0], d.submit(p, 1)[0]
	pooled := d.submitFrom(p, 1, "AT")[0]
	d.settled([]uuid.UUID{shown, blank, pooled})
	p.Shown(d.reps["mia"], []dispatch.OfferRef{{Lead: shown, Attempt: 1}, {Lead: pooled, Attempt: 1}, {Lead: blank, Attempt: 7}})
	p.Painted([]dispatch.PoolLead{{Lead: pooled, Pool: "open"}, {Lead: blank, Pool: "elsewhere"}})
	d.eventually("the clocks of what is on a screen to stop", func() bool {
		return ask[int](d, `SELECT count(*) FROM lead_clock WHERE kind = 'system' AND stopped_by = 'painted' AND lead_id = ANY($1)`, []uuid.UUID{shown, pooled}) == 2
	})
	d.later(routing.ClockSystem, time.Hour, shown, blank, pooled)
	d.stepsBecome(routing.ClockSystem, "warn 1, act 1, escalate 1", blank)
	if got := d.steps(routing.ClockSystem, shown, pooled); got != "" {
		t.Errorf("a screen showed them, yet %s", got)
	}
	if got := d.path(blank); got != "turn:first:mia open" {
		t.Errorf("a clock of the system moved the lead: %s", got)
	}
}

func TestClocks_NoneRunsThatThePoolDoesNotHave(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	d.configure(1, pool("first", long, "mia"))
	p := d.run()
	d.held(p, 3)
	if n := ask[int](d, `SELECT count(*) FROM lead_clock`); n != 0 {
		t.Errorf("%d clocks run", n)
	}
}

func TestClocks_WhatTheReleaseBeforeDidCountsThoughItStoppedNone(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	d.configure(1, timed("first", "mia", "ben"))
	p := d.join()
	d.start(p)
	ids := d.held(p, 3, "ben")
	spoke, tried, back := ids[0], ids[1], ids[2]
	d.outcome(p, spoke, "mia", "connected")
	d.outcome(p, spoke, "mia", "no_answer")
	d.outcome(p, tried, "mia", "no_answer")
	p.stop()
	<-p.ended
	d.exec(`UPDATE lead_clock SET stopped_at = NULL, stopped_by = ''`)
	d.exec(`UPDATE lead SET stage = 'waiting', rep_id = NULL WHERE id = $1`, back)
	d.exec(`UPDATE lead_clock SET since = since - interval '1 day', warn_at = now(), target_at = now(), escalate_at = now() WHERE NOT (lead_id = $1 AND kind = 'contact')`, tried)
	d.run()
	d.eventually("clocks to stop", func() bool {
		return ask[int](d, `SELECT count(*) FROM lead_clock WHERE stopped_by IN ('claimed', 'attempt', 'contact', 'taken_back')`) == 7
	})
	for _, id := range []uuid.UUID{spoke, tried} {
		if holder := ask[uuid.UUID](d, `SELECT rep_id FROM lead WHERE id = $1`, id); holder != d.reps["mia"] {
			t.Errorf("lead %s was taken from who had called", id)
		}
	}
}
