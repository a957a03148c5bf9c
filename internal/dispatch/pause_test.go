package dispatch_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/fault"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

// left is how much of a clock's time is still to come, in minutes from now; -1: it stands.
func (d *desk) left(id uuid.UUID, kind routing.ClockKind) int {
	d.t.Helper()
	return int(math.Round(ask[float64](d, `SELECT coalesce(extract(epoch FROM target_at - clock_timestamp())::double precision, -60) / 60 FROM lead_clock WHERE lead_id = $1 AND kind = $2`,
		id, string(kind))))
}

func (d *desk) pause(p *process, r dispatch.PauseRequest) {
	d.t.Helper()
	r.By = "api"
	if err := p.Pause(d.t.Context(), r); err != nil {
		d.t.Fatal(err)
	}
}

func TestPause_ClocksStandAndGoOnWhereTheyWere(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	d.configure(1, timed("first", "mia", "ben"))
	p := d.run()
	ids := d.held(p, 2, "ben")
	id := ids[0]
	d.later(routing.ClockAttempt, 20*time.Minute, ids...)

	// On hold: nothing is due, however long it takes.
	d.pause(p, dispatch.PauseRequest{LeadID: id, Reason: dispatch.PauseOnHold, Note: "legal has to agree"})
	d.exec(`UPDATE lead_clock SET started_at = started_at - interval '30 days' WHERE lead_id = $1`, id)
	if got := d.left(id, routing.ClockAttempt); got != -1 {
		t.Errorf("a clock that stands has %d minutes", got)
	}
	// The other one runs out meanwhile, so that we know that somebody looked.
	d.later(routing.ClockAttempt, 41*time.Minute, ids[1])
	d.reaches(ids[1], "turn:first:mia accepted, turn:first:ben open")
	if got := d.steps(routing.ClockAttempt, id); got != "" {
		t.Errorf("on hold, yet %s", got)
	}
	// Asked for a time instead: the rest of the hour comes after that.
	d.pause(p, dispatch.PauseRequest{LeadID: id, Reason: dispatch.PauseAskedForTime, Until: time.Now().Add(3 * time.Hour)})
	if got := d.left(id, routing.ClockAttempt); got != 180+40 {
		t.Errorf("%d minutes are left, want 40 after three hours", got)
	}
	if n := ask[int](d, `SELECT count(*) FROM lead_pause WHERE lead_id = $1 AND resumed_at IS NULL`, id); n != 1 {
		t.Errorf("%d pauses are open", n)
	}
	// Resumed before that.
	if err := p.Resume(t.Context(), id, uuid.Nil, "api"); err != nil {
		t.Fatal(err)
	}
	if got := d.left(id, routing.ClockAttempt); got != 40 {
		t.Errorf("%d minutes are left, want 40", got)
	}
	if err := p.Resume(t.Context(), id, uuid.Nil, "api"); !codeIs(err, dispatch.CodeNotPaused) {
		t.Errorf("resumed twice: %v", err)
	}
	kinds := ask[[]string](d, `SELECT array_agg(kind ORDER BY seq) FROM event WHERE lead_id = $1 AND kind IN ('paused', 'resumed')`, id)
	if !slices.Equal(kinds, []string{"paused", "paused", "resumed"}) {
		t.Errorf("the timeline says %v", kinds)
	}
	d.later(routing.ClockAttempt, 41*time.Minute, id)
	d.reaches(id, "turn:first:mia accepted, turn:first:ben open")
}

func TestPause_HoldsForClocksThatBeginMeanwhile(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	d.configure(1, timed("first", "mia", "ben"))
	d.presence("ben", "off")
	p := d.run()
	id := d.submit(p, 1)[0]
	d.reaches(id, "turn:first:mia open")
	d.pause(p, dispatch.PauseRequest{LeadID: id, Reason: dispatch.PauseQuietHours, Until: time.Now().Add(10 * time.Hour)})
	if got := d.left(id, routing.ClockAccept); got != 660 {
		t.Errorf("%d minutes are left to take it", got)
	}
	d.take(p, id, "mia")
	if got := [2]int{d.left(id, routing.ClockAttempt), d.left(id, routing.ClockContact)}; got != [2]int{660, 720} {
		t.Errorf("%v minutes are left to call and to speak", got)
	}
	// She leaves: whoever is asked next has their hour after the night, too.
	d.presence("ben", "available")
	if _, err := rep.NewStore(d.db.Gorm).SetActive(t.Context(), email("mia"), false); err != nil {
		t.Fatal(err)
	}
	p.PresenceChanged()
	d.reaches(id, "turn:first:mia accepted, turn:first:ben open")
	if got := d.left(id, routing.ClockAccept); got != 660 {
		t.Errorf("%d minutes are left to take it again", got)
	}
	if n := ask[int](d, `SELECT count(*) FROM lead_clock WHERE lead_id = $1 AND stopped_by = 'taken_back'`, id); n != 2 {
		t.Errorf("%d of 2 clocks stopped with her", n)
	}
}

func TestPause_RefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	d.configure(1, timed("first", "mia"))
	p := d.run()
	id, closed := d.held(p, 1)[0], d.held(p, 1)[0]
	d.outcome(p, closed, "mia", "disqualified")
	for name, c := range map[string]struct {
		r     dispatch.PauseRequest
		field string
	}{
		"no reason":    {dispatch.PauseRequest{LeadID: id}, "reason"},
		"no end":       {dispatch.PauseRequest{LeadID: id, Reason: dispatch.PauseQuietHours}, "until"},
		"over already": {dispatch.PauseRequest{LeadID: id, Reason: dispatch.PauseQuietHours, Until: time.Now().Add(-time.Minute)}, "until"},
		"for ever":     {dispatch.PauseRequest{LeadID: id, Reason: dispatch.PauseQuietHours, Until: time.Now().AddDate(1, 0, 0)}, "until"},
		"no note":      {dispatch.PauseRequest{LeadID: id, Reason: dispatch.PauseOnHold, Note: " "}, "note"},
	} {
		var f *fault.Error
		if err := p.Pause(t.Context(), c.r); !errors.As(err, &f) || f.Kind != fault.Invalid || f.Fields[0].Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := p.Pause(t.Context(), dispatch.PauseRequest{LeadID: uuid.New(), Reason: dispatch.PauseOnHold, Note: "x"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("no such lead: %v", err)
	}
	if err := p.Pause(t.Context(), dispatch.PauseRequest{LeadID: closed, Reason: dispatch.PauseOnHold, Note: "x"}); !codeIs(err, dispatch.CodeMovedOn) {
		t.Errorf("a closed lead: %v", err)
	}
	if n := ask[int](d, `SELECT count(*) FROM lead_pause`); n != 0 {
		t.Errorf("%d pauses were kept", n)
	}
}

func codeIs(err error, code string) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Code == code
}

func TestClocks_StandInQuietHoursOfTheLead(t *testing.T) {
	t.Parallel()
	const zone = "Pacific/Kiritimati"
	place, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	opens := (time.Now().In(place).Hour() + 6) % 24
	d := setup(t, "mia")
	first := timed("first", "mia")
	first.SLA.Calling = fmt.Sprintf("Mon-Sun %02d:00-%02d:00", opens, (opens+4)%24)
	d.configure(1, first)
	p := d.run()
	id := d.submit(p, 1)[0]
	d.reaches(id, "turn:first:mia open")
	d.exec(`UPDATE lead SET timezone = $2 WHERE id = $1`, id, zone)
	if got := d.left(id, routing.ClockAccept); got != 60 {
		t.Errorf("%d minutes are left to take it: that is no call", got)
	}
	d.take(p, id, "mia")
	if got := d.left(id, routing.ClockAttempt); got < 5*60+59 || got > 7*60+1 {
		t.Errorf("%d minutes are left to call, want an hour after the sixth hour from now begins", got)
	}
	// A pause until long before that changes nothing.
	before := d.left(id, routing.ClockContact)
	d.pause(p, dispatch.PauseRequest{LeadID: id, Reason: dispatch.PauseQuietHours, Until: time.Now().Add(time.Hour)})
	if after := d.left(id, routing.ClockContact); after != before {
		t.Errorf("%d minutes were left to speak, and are %d after a pause in the night", before, after)
	}
}
