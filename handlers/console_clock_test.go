package handlers_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// A card counts down to what its rep has to do next: the clock that runs out first.
func TestConsole_CardsShowTheClockThatRuns(t *testing.T) {
	o := openOffice(t)
	mia := o.rep("mia@example.com")
	screen := mia.console("")
	screen.until("a frame", func(frame) bool { return true })
	id := o.submit("PT", "Anna Kovacs")
	screen.until("the lead", func(f frame) bool { return f.shows("pool-" + id) })
	o.eventually("the clock of the system to stop with the screen", func() bool {
		return o.count(`SELECT count(*) FROM lead_clock WHERE kind = 'system' AND stopped_by = 'painted'`) == 1
	})
	clock := func(card, want string) {
		t.Helper()
		waitFor(t, func() (answer, bool) {
			a := mia.get("/live")
			return a, strings.Contains(strings.Join(strings.Fields(a.find(t, card).Find(".clock").Text()), " "), want)
		})
	}
	clock("pool-card", "left of 10:00 to take it")
	mia.post("/leads/"+id+"/claim", "attempt=1", false)
	clock("mine-card", "left of 30:00 to call")

	move := func(sql string) {
		t.Helper()
		o.sql(`UPDATE lead_clock SET ` + sql + ` WHERE stopped_at IS NULL`)
		o.sql(`SELECT append_events(ARRAY['` + id + `'::uuid], ARRAY['clock'], ARRAY['timed'], ARRAY[NULL::uuid], ARRAY[0], ARRAY['{"clock": "first_attempt", "step": "warn"}'::jsonb])`)
		o.hub.Wake()
	}
	move(`warn_at = now(), warned_at = now()`)
	waitFor(t, func() (answer, bool) {
		a := mia.get("/live")
		return a, a.find(t, "mine-card").Find(`.clock[data-phase="soon"]`).Length() == 1
	})
	move(`since = NULL, warn_at = NULL, target_at = NULL, escalate_at = NULL`)
	clock("mine-card", "Paused until resumed")
	move(`since = now() + interval '1 hour', target_at = now() + interval '2 hours'`)
	clock("mine-card", "Paused until ")
	move(`since = now() - interval '1 hour', target_at = now() - interval '1 minute', acted_at = now(), escalated_at = now()`)
	clock("mine-card", "past ")

	// The rep lets it stand, until a time by the rep's own clock, and run again.
	ben := o.rep("ben@example.com")
	if a := ben.post("/leads/"+id+"/pause", "reason=on_hold&note=mine", false); a.status != http.StatusNotFound {
		t.Errorf("somebody else's lead: %d", a.status)
	}
	if a := mia.post("/leads/"+id+"/pause", "reason=asked_for_time&until=soon", false); a.status != http.StatusUnprocessableEntity {
		t.Errorf("no time: %d", a.status)
	}
	berlin, _ := time.LoadLocation("Europe/Berlin")
	until := time.Now().In(berlin).AddDate(0, 0, 2).Truncate(time.Minute)
	if a := mia.post("/leads/"+id+"/pause", "reason=asked_for_time&until="+until.Format("2006-01-02T15:04"), false); a.status != http.StatusSeeOther {
		t.Errorf("pause: %d %s", a.status, a.body)
	}
	if n := o.count(`SELECT count(*) FROM lead_pause WHERE until = $1 AND by = 'console'`, until); n != 1 {
		t.Errorf("%d pauses until %v", n, until)
	}
	waitFor(t, func() (answer, bool) { a := mia.get("/leads/" + id); return a, a.find(t, "resume").Length() == 1 })
	mia.post("/leads/"+id+"/resume", "", false)
	waitFor(t, func() (answer, bool) { a := mia.get("/leads/" + id); return a, a.find(t, "pause-button").Length() == 1 })

	mia.post("/leads/"+id+"/outcome", "disposition=no_answer", false)
	clock("mine-card", "to speak")
	mia.post("/leads/"+id+"/outcome", "disposition=connected", false)
	waitFor(t, func() (answer, bool) {
		a := mia.get("/live")
		return a, a.find(t, "mine-card").Find(".clock").Length() == 0
	})
	if timeline := mia.get("/leads/"+id).find(t, "timeline").Text(); !strings.Contains(timeline, "Half of the time is over") {
		t.Errorf("the timeline does not say that time went by: %s", timeline)
	}
}
