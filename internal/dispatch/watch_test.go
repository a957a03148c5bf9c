package dispatch_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/fault"
)

// open lists a lead's open alarms.
func (d *desk) open(id uuid.UUID) string {
	return ask[string](d, `SELECT coalesce(string_agg(kind, ' ' ORDER BY kind), '') FROM alarm WHERE lead_id = $1 AND closed_at IS NULL`, id)
}

// broken are ways to break the promise, and to mend it again. $1 is a lead.
var broken = []struct{ name, kind, plant, mend string }{
	{
		"nobody dispatches it", dispatch.AlarmUndispatched,
		`UPDATE lead SET stage = 'new', dispatch_lease = clock_timestamp() - interval '6 seconds' WHERE id = $1`, `UPDATE lead SET stage = 'closed' WHERE id = $1`,
	},
	{
		"an offer without a row", dispatch.AlarmNoOffer,
		`UPDATE lead SET stage = 'offered', attempt = 7 WHERE id = $1`, `UPDATE lead SET stage = 'waiting', pool = 'first' WHERE id = $1`,
	},
	{
		"an offer that nobody ends", dispatch.AlarmNoOffer,
		`WITH o AS (INSERT INTO offer (lead_id, attempt, kind, pool, cause, deadline) VALUES ($1, 8, 'pool', 'first', 'first', clock_timestamp() - interval '6 seconds'))
		UPDATE lead SET stage = 'offered', attempt = 8 WHERE id = $1`, `UPDATE offer SET deadline = NULL WHERE lead_id = $1`,
	},
	{
		"an offer whose screen nobody waits for", dispatch.AlarmNoOffer,
		`WITH o AS (INSERT INTO offer (lead_id, attempt, kind, pool, cause, screen_by) VALUES ($1, 9, 'pool', 'first', 'first', clock_timestamp() - interval '6 seconds'))
		UPDATE lead SET stage = 'offered', attempt = 9 WHERE id = $1`, `UPDATE offer SET screen_by = NULL WHERE lead_id = $1`,
	},
	{
		"in no pool", dispatch.AlarmNoQueue,
		`UPDATE lead SET stage = 'waiting', pool = '' WHERE id = $1`, `UPDATE lead SET pool = 'first' WHERE id = $1`,
	},
	{
		"in a pool that is no longer configured", dispatch.AlarmNoQueue,
		`UPDATE lead SET stage = 'waiting', pool = 'gone' WHERE id = $1`, `UPDATE lead SET pool = 'first' WHERE id = $1`,
	},
	{
		"claimed by nobody", dispatch.AlarmNoOwner,
		`UPDATE lead SET stage = 'claimed', rep_id = NULL WHERE id = $1`, `UPDATE lead SET rep_id = (SELECT id FROM rep WHERE active LIMIT 1) WHERE id = $1`,
	},
	{
		"claimed by somebody who does not exist", dispatch.AlarmNoOwner,
		`UPDATE lead SET stage = 'claimed', rep_id = gen_random_uuid() WHERE id = $1`, `UPDATE lead SET stage = 'contacted' WHERE id = $1`,
	},
	{
		"claimed by somebody who left", dispatch.AlarmOwnerInactive,
		`UPDATE lead SET stage = 'claimed', rep_id = (SELECT id FROM rep WHERE NOT active LIMIT 1) WHERE id = $1`,
		`UPDATE lead SET stage = 'contacted' WHERE id = $1`,
	},
	{
		"held for a review that nobody sees", dispatch.AlarmNoReview,
		`UPDATE lead SET stage = 'held' WHERE id = $1`, `INSERT INTO hold (lead_id, form, score, reasons) VALUES ($1, 'demo', 90, '{}')`,
	},
	{
		"waiting for longer than its pool allows", dispatch.AlarmUnrouted,
		`UPDATE lead SET stage = 'waiting', pool = 'first', accepted_at = clock_timestamp() - interval '2 hours' WHERE id = $1`,
		`UPDATE lead SET stage = 'claimed', rep_id = (SELECT id FROM rep WHERE active LIMIT 1) WHERE id = $1`,
	},
}

func TestWatch_FindsEveryWayToBreakThePromiseAndSaysWhenItIsMended(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	d.exec(`UPDATE rep SET active = false WHERE email = $1`, email("ben"))
	terms := long
	terms.Total = time.Hour
	d.configure(1, pool("first", terms, "mia"))
	p := d.join() // nothing but the watch is at work
	ids := make([]uuid.UUID, len(broken))
	for i := range broken {
		ids[i] = d.submit(p, 1)[0]
	}
	if err := p.Watch(t.Context()); err != nil || ask[int](d, `SELECT count(*) FROM alarm`) != 0 {
		t.Fatalf("alarms about nothing: %v", err)
	}
	for i, b := range broken {
		d.exec(b.plant, ids[i])
	}
	if n, err := p.Unowned(t.Context()); err != nil || n != len(broken)-1 {
		t.Errorf("%d leads that nobody was told of, want all but the one that waits: %v", n, err)
	}
	for range 2 { // the second time nothing is new
		if err := p.Watch(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i, b := range broken {
		if got := d.open(ids[i]); got != b.kind {
			t.Errorf("%s: open alarms are %q, want %q", b.name, got, b.kind)
		}
	}
	if n, err := p.Unowned(t.Context()); err != nil || n != 0 {
		t.Errorf("%d leads are still without anybody although alarms are open: %v", n, err)
	}
	for i, b := range broken {
		d.exec(b.mend, ids[i])
	}
	if err := p.Watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, b := range broken {
		if got := d.open(ids[i]); got != "" {
			t.Errorf("%s: the alarm %q is open although it is mended", b.name, got)
		}
	}
	if n := ask[int](d, `SELECT count(*) FROM event WHERE kind = 'alarm'`); n != 2*len(broken) {
		t.Errorf("%d events tell of %d alarms that opened and closed", n, len(broken))
	}
	d.exec(`UPDATE lead SET stage = 'closed'`)
}

func TestWatch_OneProcessWatchesForAllAndAnotherTakesOver(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	d.configure(1, pool("first", long, "mia"))
	d.watchEvery = 10 * time.Millisecond
	one, two := d.run(), d.run()
	holders := func() int {
		return ask[int](d, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND granted`, 0x4C4C_5741)
	}
	d.eventually("one to watch", func() bool { return holders() == 1 })
	one.stop()
	<-one.ended
	id := d.submit(two, 1)[0]
	d.reaches(id, "turn:first:mia open")
	d.exec(`UPDATE lead SET stage = 'claimed', rep_id = NULL WHERE id = $1`, id)
	d.eventually("the other to find it", func() bool { return d.open(id) == dispatch.AlarmNoOwner && holders() == 1 })
}

func TestConservation_EveryLeadIsInOnePlace(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	d.configure(1, pool("first", long, "mia"))
	d.exec(`INSERT INTO config_version (number, hash, body, created_at) VALUES (1, '', '', clock_timestamp() - interval '1 minute')`)
	p := d.run()
	ids := d.submit(p, 7)
	d.settled(ids)
	p.stop()
	<-p.ended
	count := func() dispatch.Conserved {
		c, err := p.Conservation(t.Context(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := count(); c.Lost() != 0 || c.InFlight != 7 {
		t.Errorf("seven under way: %+v", c)
	}
	d.exec(`UPDATE delivery SET state = 'delivered', written = wanted WHERE lead_id = ANY($1)`, ids[:3])
	d.exec(`UPDATE delivery SET state = 'quarantined' WHERE lead_id = $1`, ids[3])
	d.exec(`UPDATE lead SET stage = 'held' WHERE id = $1`, ids[4])
	d.exec(`INSERT INTO hold (lead_id, form, score, reasons) VALUES ($1, 'demo', 90, '{}')`, ids[4])
	d.exec(`UPDATE lead SET erased_at = clock_timestamp() WHERE id = $1`, ids[5])
	if c := count(); c != (dispatch.Conserved{Accepted: 7, Delivered: 3, Held: 1, Quarantined: 1, InFlight: 1, Erased: 1}) {
		t.Errorf("one in each place and three delivered: %+v", c)
	}
	d.exec(`DELETE FROM delivery WHERE lead_id = $1`, ids[6])
	if c := count(); c.Lost() != 1 {
		t.Errorf("a lead that reaches nobody is not missed: %+v", c)
	}
	if err := p.Watch(t.Context()); err != nil || ask[int](d, `SELECT count(*) FROM alarm WHERE kind = 'conservation' AND closed_at IS NULL`) != 1 {
		t.Errorf("no alarm is open about the lost lead: %v", err)
	}
	d.exec(`UPDATE lead SET stage = 'new' WHERE id = $1`, ids[6])
	if err := p.Watch(t.Context()); err != nil || ask[int](d, `SELECT count(*) FROM alarm WHERE kind = 'conservation' AND closed_at IS NULL`) != 0 {
		t.Errorf("the alarm is open although the lead is back: %v", err)
	}
}

func TestAlarms_AreListedAndAcknowledgedOnce(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	d.configure(1, pool("first", long, "mia"))
	p := d.join()
	id := d.submit(p, 1)[0]
	d.exec(`UPDATE lead SET stage = 'waiting', pool = 'gone' WHERE id = $1`, id)
	if err := p.Watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	open, err := p.Alarms(t.Context(), dispatch.AlarmFilter{Kind: dispatch.AlarmNoQueue})
	if err != nil || len(open) != 1 || *open[0].LeadID != id || open[0].Pool != "gone" {
		t.Fatalf("%+v %v", open, err)
	}
	first, err := p.Acknowledge(t.Context(), open[0].ID)
	if err != nil || first.AcknowledgedAt == nil || first.ClosedAt != nil {
		t.Fatalf("%+v %v", first, err)
	}
	again, err := p.Acknowledge(context.WithoutCancel(t.Context()), open[0].ID)
	if err != nil || !again.AcknowledgedAt.Equal(*first.AcknowledgedAt) || ask[int](d, `SELECT count(*) FROM audit WHERE action = 'alarm.acknowledged'`) != 1 {
		t.Errorf("the second time: %+v %v", again, err)
	}
	if _, err := p.Acknowledge(t.Context(), uuid.New()); !fault.Is(err, fault.NotFound) {
		t.Errorf("an alarm that is not: %v", err)
	}
	if _, err := p.Alarms(t.Context(), dispatch.AlarmFilter{Kind: "fire"}); !fault.Is(err, fault.Malformed) {
		t.Errorf("a kind that is not: %v", err)
	}
}
