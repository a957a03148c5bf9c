package handlers_test

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"leadline/internal/account"
)

func TestConsole_OfferClaimAndOutcomeReachTheRepWhoHoldsTheLeadAlone(t *testing.T) {
	o := openOffice(t)
	mia, ben := o.rep("mia@example.com"), o.rep("ben@example.com")
	screen, other := mia.console(""), ben.console("")
	screen.until("the first frame", func(f frame) bool { return f.has("list", "offers") })
	id := o.submit("DE", "Anna Kovacs")

	offer := screen.until("the offer", func(f frame) bool { return f.shows("offer-" + id) })
	if offer.Sound != "offer" || !strings.Contains(offer.Alert, "Demo request, Germany") || offer.Offers != 1 || offer.Until <= offer.Now {
		t.Errorf("the offer is not announced: %+v", offer)
	}
	if text := screen.all.String(); strings.Contains(text, "Kovacs") || strings.Contains(text, "901820") || strings.Contains(text, "anna") {
		t.Errorf("contact details before the claim:\n%s", text)
	}
	if page := mia.get("/leads/" + id); strings.Contains(page.body, "Kovacs") {
		t.Error("the lead page shows the name before the claim")
	}

	won := mia.post("/leads/"+id+"/claim", "attempt=1&place=offer-"+id, true)
	card := won.find(t, "mine-card")
	if won.status != http.StatusOK || card.Length() != 1 {
		t.Fatalf("claim answered %d %s", won.status, won.body)
	}
	if href, _ := card.Find(`[data-testid="phone"]`).Attr("href"); href != "tel:+4930901820" || !strings.Contains(card.Text(), "Anna Kovacs") {
		t.Errorf("the winner does not see whom to call: %s", won.body)
	}
	if !strings.Contains(card.Find(`[data-testid="crm-chip"]`).Text(), "Not in CRM yet") {
		t.Error("the card does not say that the CRM does not know the lead")
	}
	claimed := screen.until("the card among the rep's own", func(f frame) bool { return f.shows("mine-" + id) })
	if !claimed.has("remove", "offer-"+id) {
		t.Error("the offer stays in its place")
	}
	if again := mia.post("/leads/"+id+"/claim", "attempt=1", true); again.status != http.StatusOK {
		t.Errorf("a double click answered %d", again.status)
	}

	lost := ben.post("/leads/"+id+"/claim", "attempt=1&place=pool-"+id, true)
	gone := lost.find(t, "gone-card")
	if lost.status != http.StatusConflict || !strings.Contains(gone.Text(), "Mia took this") || gone.Find(`[data-testid="claim-next"]`).Length() != 1 {
		t.Errorf("the loser is told %d %s", lost.status, lost.body)
	}
	if at, _ := gone.Attr("id"); at != "pool-"+id || strings.Contains(lost.body, "Kovacs") {
		t.Errorf("the answer does not fit its place (%s) or says too much", at)
	}
	if hidden := ben.get("/leads/" + id); strings.Contains(hidden.body, "Kovacs") || strings.Contains(hidden.body, "901820") {
		t.Error("another rep sees the contact")
	}

	done := mia.post("/leads/"+id+"/outcome", "disposition=connected", true)
	if done.status != http.StatusOK || !strings.Contains(done.find(t, "mine-card").Text(), "Connected") {
		t.Errorf("outcome answered %d %s", done.status, done.body)
	}
	screen.until("the finished card", func(f frame) bool {
		return f.shows("mine-"+id) && strings.Contains(f.Ops[0].HTML+f.Ops[len(f.Ops)-1].HTML, "Connected")
	})
	if text := other.all.String(); strings.Contains(text, "Kovacs") {
		t.Error("the other console was sent the contact")
	}
}

func TestConsole_OneOfManyClaimsWinsAndTheNextBestIsOneMorePress(t *testing.T) {
	o := openOffice(t)
	mia, ben := o.rep("mia@example.com"), o.rep("ben@example.com")
	screen := mia.console("")
	first := o.submit("ES", "First Lead")
	screen.until("the first lead in the pool", func(f frame) bool { return f.shows("pool-" + first) })
	second := o.submit("ES", "Second Lead")
	screen.until("the second lead in the pool", func(f frame) bool { return f.shows("pool-" + second) })

	var mu sync.Mutex
	count := map[int]int{}
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			a := []*person{mia, ben}[n%2].post("/leads/"+first+"/claim", "", true)
			mu.Lock()
			defer mu.Unlock()
			count[a.status]++
		})
	}
	wg.Wait()
	if count[http.StatusOK] != 10 || count[http.StatusConflict] != 10 { // a winner's repeats are the winner's
		t.Errorf("answers: %v, want one rep to win all its presses", count)
	}
	for _, p := range []*person{mia, ben} {
		a := p.post("/live/next", "place=pool-"+first, true)
		if p == mia && (a.status != http.StatusOK || !strings.Contains(a.body, "Second Lead")) {
			t.Errorf("claim next best answered %d %s", a.status, a.body)
		}
		if p == ben && !strings.Contains(a.find(t, "gone-card").Text(), "No leads waiting") && !strings.Contains(a.body, "faster") {
			t.Errorf("with none left: %d %s", a.status, a.body)
		}
	}
}

func TestConsole_WorksWithoutScripts(t *testing.T) {
	o := openOffice(t)
	mia, ben := o.rep("mia@example.com"), o.rep("ben@example.com")
	id := o.submit("ES", "Anna Kovacs")
	page := waitFor(t, func() (answer, bool) {
		a := mia.get("/live")
		return a, a.find(t, "pool-card").Length() == 1
	})
	form := page.find(t, "pool-card").Find("form")
	if action, _ := form.Attr("action"); action != "/leads/"+id+"/claim" {
		t.Fatalf("the claim is no plain form: %q", action)
	}
	if a := mia.post("/leads/"+id+"/claim", "attempt=1", false); a.status != http.StatusSeeOther || a.header.Get("Location") != "/live" {
		t.Errorf("claim answered %d to %s", a.status, a.header.Get("Location"))
	}
	waitFor(t, func() (answer, bool) {
		a := mia.get("/live")
		return a, a.find(t, "mine-card").Find(`[data-testid="phone"]`).Length() == 1
	})
	lost := ben.post("/leads/"+id+"/claim", "attempt=1", false)
	if lost.status != http.StatusConflict || !strings.Contains(lost.body, "Mia took this") || lost.find(t, "presence").Length() != 1 {
		t.Errorf("losing without scripts answered %d", lost.status)
	}
	if a := mia.post("/leads/"+id+"/outcome", "disposition=disqualified:spam&back=lead", false); a.status != http.StatusSeeOther || a.header.Get("Location") != "/leads/"+id {
		t.Errorf("outcome answered %d to %s", a.status, a.header.Get("Location"))
	}
}

func waitFor(t *testing.T, ask func() (answer, bool)) answer {
	t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		a, ok := ask()
		if ok {
			return a
		}
		if time.Now().After(deadline) {
			t.Fatalf("never; the last answer was %d\n%s", a.status, a.body)
		}
	}
}

func TestConsole_StreamOpensForOurOwnOriginAlone(t *testing.T) {
	o := openOffice(t)
	mia := o.rep("mia@example.com")
	host := strings.TrimPrefix(o.url, "http://")
	for _, origin := range []string{
		"", "null", "https://evil.example", o.url + ".evil.example", "http://evil" + host, o.url + "/", strings.ToUpper(o.url), "http://" + strings.Split(host, ":")[0],
		"ws://" + host, "file://", "http://" + host + "@evil.example", "http://localhost.evil.example",
	} {
		conn, res, err := mia.dial("", origin)
		if err == nil {
			_ = conn.Close()
			t.Errorf("origin %q was let in", origin)
		}
		if res != nil {
			_ = res.Body.Close()
		}
	}
	stranger := &person{office: o, token: "no such session"}
	if conn, res, err := stranger.dial("", o.url); err == nil {
		_ = conn.Close()
		t.Error("nobody was let in")
	} else if res != nil {
		_ = res.Body.Close()
	}
	mia.console("").until("a frame for our own page", func(frame) bool { return true })
}

func TestConsole_StreamEndsWithTheSessionAndWithTheServer(t *testing.T) {
	o := openOffice(t)
	mia, ben := o.rep("mia@example.com"), o.rep("ben@example.com")
	miasScreen, bensScreen := mia.console(""), ben.console("")
	miasScreen.until("a frame", func(frame) bool { return true })
	bensScreen.until("a frame", func(frame) bool { return true })
	must(t, o.accounts.SignOut(t.Context(), mia.token))
	if code := closedWith(t, miasScreen); code != 1008 {
		t.Errorf("signed out: closed with %d", code)
	}
	must(t, o.hub.CloseConsoles(t.Context()))
	if code := closedWith(t, bensScreen); code != 1012 {
		t.Errorf("server stops: closed with %d", code)
	}
}

func closedWith(t *testing.T, c *console) int {
	t.Helper()
	select {
	case code := <-c.closed:
		return code
	case <-time.After(patience):
		t.Fatal("the stream stays open")
		return 0
	}
}

func TestConsole_ComesBackWithEverythingAndSaysWhatWasMissed(t *testing.T) {
	o := openOffice(t)
	mia := o.rep("mia@example.com")
	screen := mia.console("")
	before := screen.until("a frame", func(frame) bool { return true })
	must(t, screen.conn.Close())
	id := o.submit("ES", "Anna Kovacs")
	waitFor(t, func() (answer, bool) { a := mia.get("/live"); return a, a.find(t, "pool-card").Length() == 1 })

	back := mia.console("&since="+itoa(max(1, before.Seq))).until("a frame", func(frame) bool { return true })
	if !back.shows("pool-"+id) || !back.has("list", "offers") || !strings.Contains(back.Missed, "came to your pool") {
		t.Errorf("the first frame after a return: %+v", back)
	}
	if poll := mia.get("/live/delta?since=1", "Accept", "application/json"); poll.status != http.StatusOK || !strings.Contains(poll.body, "pool-"+id) {
		t.Errorf("the poll answered %d %s", poll.status, poll.body)
	}
}

func TestConsole_MeasuresHowLongALeadTookToBePainted(t *testing.T) {
	o := openOffice(t)
	mia := o.rep("mia@example.com")
	screen := mia.console("")
	screen.until("a frame", func(frame) bool { return true })
	id := o.submit("ES", "Anna Kovacs")
	screen.until("the lead", func(f frame) bool { return f.shows("pool-" + id) })
	waitFor(t, func() (answer, bool) {
		a := mia.get("/metrics")
		return a, strings.Contains(a.body, "leadline_submit_to_console_seconds_count 1")
	})
}

func TestConsole_ShowsWatchersEverythingMaskedAndNothingToPress(t *testing.T) {
	o := openOffice(t)
	mia := o.rep("mia@example.com")
	id := o.submit("ES", "Anna Kovacs")
	waitFor(t, func() (answer, bool) { a := mia.get("/live"); return a, a.find(t, "pool-card").Length() == 1 })
	for _, role := range []string{account.RoleViewer, account.RoleOps, account.RoleAdmin} {
		watcher := o.person(role+"@example.com", role)
		page := watcher.get("/live")
		if page.find(t, "pool-card").Length() != 1 || page.find(t, "claim-button").Length() != 0 || page.find(t, "presence").Length() != 0 {
			t.Errorf("%s sees %d cards and %d claim buttons", role, page.find(t, "pool-card").Length(), page.find(t, "claim-button").Length())
		}
		sheet := watcher.get("/leads/" + id)
		if strings.Contains(sheet.body, "Kovacs") || !strings.Contains(sheet.body, "@acme.example") {
			t.Errorf("%s does not see the contact masked", role)
		}
		if strings.Contains(sheet.body, "We lose leads at night") {
			t.Errorf("%s reads what the visitor wrote", role)
		}
	}
}

func TestConsole_LeadPageSaysWhyAndWhen(t *testing.T) {
	o := openOffice(t)
	mia := o.rep("mia@example.com")
	mia.console("").until("a frame", func(frame) bool { return true })
	id := o.submit("DE", "Anna Kovacs")
	waitFor(t, func() (answer, bool) { a := mia.get("/live"); return a, a.find(t, "offer-card").Length() == 1 })
	if a := mia.post("/leads/"+id+"/claim", "attempt=1&back=lead", false); a.header.Get("Location") != "/leads/"+id {
		t.Errorf("claim from the page went to %q", a.header.Get("Location"))
	}
	page := mia.get("/leads/" + id)
	why, timeline := page.find(t, "why").Text(), page.find(t, "timeline").Text()
	for _, want := range []string{"DACH demos", "dach", "Chosen"} {
		if !strings.Contains(why, want) {
			t.Errorf("why does not say %q: %s", want, why)
		}
	}
	for _, want := range []string{"Stored", "Routed", "Offered", "Claimed"} {
		if !strings.Contains(timeline, want) {
			t.Errorf("the timeline does not say %q: %s", want, timeline)
		}
	}
	if strings.Count(page.body, "<h1") != 1 || strings.Contains(page.body, " style=") || strings.Contains(page.body, "<title>Anna") {
		t.Error("the page has no single h1, an inline style, or a name in its title")
	}
	reference := strings.TrimSpace(strings.TrimPrefix(mia.get("/leads/"+id).find(t, "reference").Text(), "Reference "))
	if a := mia.get("/leads/" + reference); a.status != http.StatusOK {
		t.Errorf("by reference %q: %d", reference, a.status)
	}
	if part := mia.get("/leads/"+id+"?part=1", "HX-Request", "true"); strings.Contains(part.body, "<html") || part.find(t, "timeline").Length() != 1 {
		t.Error("the part is not the changing part of the page")
	}
}

func TestConsole_AsksWhoWasAwayForLongWhetherToReceiveLeads(t *testing.T) {
	o := openOffice(t)
	mia := o.rep("mia@example.com")
	if a := mia.get("/live"); a.find(t, "go-available").Length() != 0 {
		t.Error("an available rep is asked")
	}
	_, err := o.db.Console.Exec(t.Context(), `UPDATE rep SET reachable_at = clock_timestamp() - interval '61 seconds'`)
	must(t, err)
	a := mia.get("/live")
	if a.find(t, "go-available").Length() != 1 || !strings.Contains(a.body, "No console of yours was open since") {
		t.Error("a rep who was gone for over a minute is not asked")
	}
	if p := mia.post("/me/presence", "presence=available", false); p.status != http.StatusSeeOther {
		t.Errorf("presence without scripts answered %d", p.status)
	}
	if state, _ := mia.get("/live").find(t, "presence").Attr("data-presence"); state != "available" {
		t.Errorf("presence is %q", state)
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
