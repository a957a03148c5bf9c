package handlers_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// offers tells a lead's offers, in order.
func (o *office) offers(id string) (told string) {
	o.t.Helper()
	must(o.t, o.db.Jobs.QueryRow(o.t.Context(), `SELECT coalesce(string_agg(format('%s %s %s %s', split_part(r.email, '@', 1), o.cause, o.state,
			CASE WHEN o.shown_at IS NULL THEN 'unseen' ELSE 'shown' END), ', ' ORDER BY o.attempt), '')
		FROM offer o LEFT JOIN rep r ON r.id = o.rep_id WHERE o.lead_id = $1`, id).Scan(&told))
	return told
}

func (o *office) eventually(what string, ok func() bool) {
	o.t.Helper()
	limit, tick := time.After(patience), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-limit:
			o.t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

func TestConsole_AnOfferThatNoScreenShowsGoesToTheNext(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	mia, ben := o.rep("mia@example.com"), o.rep("ben@example.com")
	mia.console("") // connected, and never says that it painted anything
	screen := ben.console("")
	reachable := func() bool { return o.count(`SELECT count(*) FROM rep WHERE reachable_at IS NOT NULL`) == 2 }
	o.eventually("both to be reachable", reachable)
	id := o.submit("AT", "Anna")
	screen.until("the offer", func(f frame) bool { return f.shows("offer-" + id) })
	o.eventually("ben's screen to be confirmed", func() bool {
		return o.offers(id) == "mia first withdrawn unseen, ben unseen open shown"
	})
	if n := o.count(`SELECT count(*) FROM offer WHERE attempt = 1 AND ended_at - offered_at BETWEEN interval '0.9 seconds' AND interval '3 seconds'
		AND reason = 'no screen showed it in time'`); n != 1 {
		t.Error("mia's offer did not move on after about a second")
	}
	if n := o.count(`SELECT count(*) FROM offer WHERE attempt = 2 AND screen_by IS NULL AND state = 'open'`); n != 1 {
		t.Error("a confirmed offer still waits for a screen")
	}
	if n := o.count(`SELECT sum(missed) FROM rep`); n != 0 {
		t.Error("a dead screen counted as a missed offer")
	}
}

func TestConsole_AConsoleThatPollsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	mia := o.rep("mia@example.com")
	if a := mia.get("/live/delta"); a.status != http.StatusOK {
		t.Fatalf("poll: %d", a.status)
	}
	o.eventually("mia to be reachable", func() bool { return o.count(`SELECT count(*) FROM console_poll`) == 1 })
	id := o.submit("AT", "Anna")
	o.eventually("the offer", func() bool { return o.offers(id) == "mia first open unseen" })
	if n := o.count(`SELECT count(*) FROM offer WHERE screen_by IS NOT NULL`); n != 0 {
		t.Error("a screen is waited for that cannot answer")
	}
}

func TestConsole_PassingTakesAReasonThatExists(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	mia := o.rep("mia@example.com")
	mia.console("")
	o.eventually("mia to be reachable", func() bool { return o.count(`SELECT count(*) FROM rep WHERE reachable_at IS NOT NULL`) == 1 })
	id := o.submit("DE", "Anna")
	o.eventually("the offer", func() bool { return strings.HasPrefix(o.offers(id), "mia first open") })
	if a := mia.post("/leads/"+id+"/pass", "attempt=1&reason=lunch", true); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "not a reason") {
		t.Errorf("a reason that does not exist: %d %s", a.status, a.body)
	}
	if a := mia.post("/leads/"+id+"/pass", "attempt=1&reason=language", true); a.status != http.StatusOK {
		t.Fatalf("pass: %d %s", a.status, a.body)
	}
	if n := o.count(`SELECT count(*) FROM offer o JOIN event e ON e.lead_id = o.lead_id AND e.kind = 'offer_ended'
		WHERE o.attempt = 1 AND o.state = 'declined' AND o.declined = 'language' AND e.data->>'code' = 'language'`); n != 1 {
		t.Error("the reason stands neither on the offer nor in the timeline")
	}
}
