package journey_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// playbook is a small sales organisation: two reps who share a pool, one pool to pull from, a CRM and a chat.
const playbook = `
version: 1
forms:
  - {slug: demo, name: Demo request, intent: high, dedupe_window: 10m, consent: {text_version: v3}}
teams:
  - {slug: dach, name: DACH, timezone: Europe/Berlin}
reps:
  - {email: mia@example.com, name: Mia, team: dach, timezone: Europe/Berlin, hours: "Mon-Sun 00:00-24:00"}
  - {email: ben@example.com, name: Ben, team: dach, timezone: Europe/Berlin, hours: "Mon-Sun 00:00-24:00"}
pools:
  - slug: dach
    strategy: weighted
    members: [{rep: mia@example.com}, {rep: ben@example.com}]
    offer: {exclusive: 60s, pool: 60s, screen: 10s}
    last_resort: mia@example.com
  - slug: open
    strategy: pull
    members: [{rep: mia@example.com}, {rep: ben@example.com}]
territories:
  - {slug: dach, places: [DE, AT, CH]}
rules:
  - {name: DACH demos, when: {territory: dach}, then: {pool: dach}}
  - {name: Everything else, band: default, when: {}, then: {pool: open}}
tests:
  - {name: Berlin demo, lead: {form: demo, country: DE, email: a@acme.example}, expect: {pool: dach}}
connections:
  - {slug: crm, kind: webhook, base_url: "SANDBOX/webhook", secret: "env:WEBHOOK_SECRET"}
  - {slug: chat, kind: slack, base_url: "SANDBOX/slack", token: "env:SLACK_TOKEN", channel: leads}
`

const (
	miasPassword = "a long enough password 1"
	bensPassword = "a long enough password 2"
)

func TestJourney_FormToConsoleToClaimToCRM(t *testing.T) {
	t.Parallel()
	w := newWorld(t, playbook)
	w.addUser("mia@example.com", "rep", miasPassword)
	rep := newBrowser(t)
	rep.signIn(w, "mia@example.com", miasPassword)
	rep.ready(w)

	visitor := newBrowser(t)
	visitor.open(w.public + "/f/demo")
	visitor.do(
		chromedp.SendKeys(chromedp.CSS(`[name=email]`), "anna@acme.example"),
		chromedp.SendKeys(chromedp.CSS(`[name=name]`), "Anna Kovacs"),
		chromedp.SetValue(chromedp.CSS(`[name=country]`), "DE"),
		chromedp.SendKeys(chromedp.CSS(`[name=phone]`), "030 123456"),
		chromedp.Click(chromedp.CSS(`form [type=submit]`)),
	)
	visitor.sees("the thank-you page", `location.pathname.includes("/thanks/")`)
	visitor.seesText("finding the right person")

	rep.do(chromedp.WaitVisible(testid("offer-card")))
	w.eventually("the browser to confirm that it shows the offer", func() bool {
		offers := w.lead(w.leadIDs()[0]).Offers
		return len(offers) == 1 && offers[0].ShownAt != nil
	})
	if text := rep.pageText(); strings.Contains(text, "Kovacs") || strings.Contains(text, "123456") || strings.Contains(text, "anna@") {
		t.Errorf("contact details are visible before the claim:\n%s", text)
	}
	rep.do(chromedp.Click(chromedp.CSS(`[data-testid="offer-card"] [data-testid="claim-button"]`)))
	rep.sees("the phone number after the claim", `document.querySelector('[data-testid="mine-card"] [data-testid="phone"]')?.innerText.replace(/\s/g, "").includes("+4930123456")`)
	rep.sees("the CRM's confirmation", `document.querySelector('[data-testid="mine-card"] [data-testid="crm-chip"]')?.innerText.includes("In CRM")`)
	link := rep.eval(`document.querySelector('[data-testid="mine-card"] a[data-testid="crm-link"]')?.href || ""`)
	if status, body := w.call(http.MethodGet, link, nil); status != http.StatusOK || !strings.Contains(string(body), "Anna Kovacs") {
		t.Errorf("the link to the CRM record (%s) answered %d", link, status)
	}
	visitor.seesText("Mia")

	rep.do(chromedp.Click(chromedp.CSS(`[data-testid="mine-card"] [data-testid="outcome-connected"]`)))
	w.eventually("the outcome to reach the CRM as an update of the one record", func() bool {
		records := w.records()
		text, _ := json.Marshal(records)
		return len(records) == 1 && strings.Contains(string(text), `"contacted"`)
	})
	w.eventually("one chat card, updated in place", func() bool {
		list := w.sandboxList("/_control/records?vendor=slack", "records")
		text, _ := json.Marshal(list)
		return len(list) == 1 && strings.Contains(string(text), "Mia")
	})
}

func TestJourney_TwoRepsRaceForOneLead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, playbook)
	w.addUser("mia@example.com", "rep", miasPassword)
	w.addUser("ben@example.com", "rep", bensPassword)
	mia, ben := newBrowser(t), newBrowser(t)
	mia.signIn(w, "mia@example.com", miasPassword)
	mia.ready(w)
	ben.signIn(w, "ben@example.com", bensPassword)
	ben.ready(w)

	lead := person(1)
	lead["country"] = "ES" // the pull pool: open to both
	id := w.submit(lead).LeadID
	mia.do(chromedp.WaitVisible(testid("pool-card")))
	ben.do(chromedp.WaitVisible(testid("pool-card")))
	var wg sync.WaitGroup
	for _, b := range []*browser{mia, ben} {
		wg.Go(func() {
			b.do(chromedp.Click(chromedp.CSS(`[data-testid="pool-card"] [data-testid="claim-button"]`)))
		})
	}
	wg.Wait()
	w.eventually("somebody to have it", func() bool { return w.lead(id).Rep != nil })
	winner, loser, name := mia, ben, "Mia"
	if w.lead(id).Rep.Email == "ben@example.com" {
		winner, loser, name = ben, mia, "Ben"
	}
	winner.do(chromedp.WaitVisible(chromedp.CSS(`[data-testid="mine-card"] [data-testid="phone"]`)))
	loser.sees("who won, or the card gone before the press", `document.body.innerText.includes("`+name+`") || !document.querySelector('[data-testid="pool-card"]')`)
	if text := loser.pageText(); strings.Contains(text, "90 00001") || strings.Contains(text, "9000001") {
		t.Errorf("the loser sees the phone number:\n%s", text)
	}
}

func TestJourney_FiftyProgramsRaceForOneLead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, playbook)
	w.present("mia@example.com")
	w.present("ben@example.com")
	lead := person(1)
	lead["country"] = "ES"
	id := w.submit(lead).LeadID
	w.eventually("the lead to be offered", func() bool { return w.lead(id).Stage == "offered" })

	var mu sync.Mutex
	won := map[string]int{}
	var wg sync.WaitGroup
	for n := range 50 {
		wg.Go(func() {
			rep := []string{"mia@example.com", "ben@example.com"}[n%2]
			status, body := w.call(http.MethodPost, w.url+"/v1/leads/"+id+"/claim", map[string]any{"rep": rep, "attempt": 1})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case status == http.StatusOK:
				won[rep]++
			case status != http.StatusConflict || !strings.Contains(string(body), "example.com"):
				t.Errorf("a loser was told %d %s", status, body)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Errorf("winners: %v, want one rep", won)
	}
}

func TestJourney_CRMDownThenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, playbook)
	w.present("mia@example.com")
	w.fault(map[string]any{"vendor": "webhook", "status": 500})
	var ids []string
	for n := range 20 {
		ids = append(ids, w.submit(person(n)).LeadID)
	}
	w.eventually("the leads to be offered while the CRM is down", func() bool {
		for _, id := range ids {
			if w.lead(id).Stage != "offered" {
				return false
			}
		}
		return true
	})
	if len(w.records()) != 0 {
		t.Fatal("the CRM was down and holds records")
	}
	w.healFaults()
	w.eventually("every lead to be in the CRM", func() bool {
		for _, id := range ids {
			if w.lead(id).CRMState != "confirmed" {
				return false
			}
		}
		return true
	})
	w.onceEach(ids)
}

// onceEach asserts that the CRM holds exactly one record per lead, and that no write was repeated after a known answer.
func (w *world) onceEach(ids []string) {
	w.t.Helper()
	have := map[string]int{}
	for _, r := range w.records() {
		have[fmt.Sprint(r["external_id"])]++
	}
	for _, id := range ids {
		if have[id] != 1 {
			w.t.Errorf("lead %s has %d records in the CRM, want 1", id, have[id])
		}
	}
	answered := map[string]bool{}
	for _, r := range w.requests() {
		headers, _ := r["headers"].(map[string]any)
		name := ""
		for k, v := range headers {
			if strings.EqualFold(k, "webhook-id") {
				name = fmt.Sprint(v)
			}
		}
		if name == "" {
			w.t.Fatalf("a CRM request has no webhook-id: %v", r)
		}
		if answered[name] {
			w.t.Errorf("write %s was sent again after it had been answered 2xx", name)
		}
		if status, _ := r["status"].(float64); status >= 200 && status < 300 {
			answered[name] = true
		}
	}
}

func TestJourney_BrowserOfflineThenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, playbook)
	w.addUser("mia@example.com", "rep", miasPassword)
	rep := newBrowser(t)
	rep.signIn(w, "mia@example.com", miasPassword)
	rep.ready(w)
	w.network.cut()
	rep.sees("that the connection is lost", `document.body.innerText.includes("Connection lost")`)
	lead := person(7)
	lead["country"] = "ES"
	id := w.submit(lead).LeadID
	w.eventually("the lead to be offered to the pool", func() bool { return w.lead(id).Stage == "offered" || w.lead(id).Stage == "waiting" })
	w.network.mend()
	rep.sees("the live state again", `document.querySelector('[data-testid="connection-state"]')?.innerText.includes("Live")`)
	rep.do(chromedp.WaitVisible(testid("pool-card")))
}

func TestJourney_FormWithoutJavaScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t, playbook)
	visitor := newBrowser(t)
	visitor.scriptsOff()
	visitor.open(w.public + "/f/demo")
	visitor.do(
		chromedp.SendKeys(chromedp.CSS(`[name=name]`), "Zoë Ångström"),
		chromedp.Click(chromedp.CSS(`form [type=submit]`)),
		chromedp.WaitVisible(chromedp.CSS(`[aria-invalid=true]`)),
	)
	visitor.do(
		chromedp.SendKeys(chromedp.CSS(`[name=email]`), "zoe@acme.example"),
		chromedp.Click(chromedp.CSS(`form [type=submit]`)),
	)
	w.eventually("the thank-you page", func() bool { return strings.Contains(visitor.location(), "/thanks/") })
	ids := w.leadIDs()
	if len(ids) != 1 {
		t.Fatalf("%d leads came of one form", len(ids))
	}
	if _, body := w.get("/v1/leads/" + ids[0]); !strings.Contains(string(body), "Zoë Ångström") {
		t.Errorf("the name did not arrive whole: %s", body)
	}
}

func TestJourney_DoubleClickIsOneLead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, playbook)
	for n, scripts := range []bool{true, false} {
		visitor := newBrowser(t)
		if !scripts {
			visitor.scriptsOff()
		}
		visitor.open(w.public + "/f/demo")
		visitor.do(
			chromedp.SendKeys(chromedp.CSS(`[name=email]`), fmt.Sprintf("double-%t@acme.example", scripts)),
			chromedp.DoubleClick(chromedp.CSS(`form [type=submit]`)),
		)
		w.eventually("the thank-you page", func() bool { return strings.Contains(visitor.location(), "/thanks/") })
		if got := len(w.leadIDs()); got != n+1 {
			t.Errorf("after double click %d there are %d leads", n+1, got)
		}
	}
}

func TestJourney_KillAndRestartLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, playbook)
	w.present("mia@example.com")
	w.fault(map[string]any{"vendor": "webhook", "latency_ms": 80})
	var mu sync.Mutex
	var ids []string
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for n := range 10 { // 10 visitors, about 50 leads/s
		wg.Go(func() {
			ticker := time.NewTicker(200 * time.Millisecond)
			defer ticker.Stop()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-ticker.C:
				}
				status, body := w.call(http.MethodPost, w.url+"/v1/forms/demo/leads", person(n*100000+i))
				var a accepted
				if status == http.StatusCreated && json.Unmarshal(body, &a) == nil {
					mu.Lock()
					ids = append(ids, a.LeadID)
					mu.Unlock()
				}
			}
		})
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(ids) }
	w.eventually("some leads", func() bool { return count() >= 60 })
	w.server.kill()
	w.serve()
	before := count()
	w.eventually("more leads after the restart", func() bool { return count() >= before+30 })
	close(stop)
	wg.Wait()
	for _, id := range ids {
		w.eventually("lead "+id+" to be offered and in the CRM", func() bool {
			l := w.lead(id)
			return l.Stage != "new" && l.CRMState == "confirmed"
		})
	}
	have := map[string]int{}
	for _, r := range w.records() {
		have[fmt.Sprint(r["external_id"])]++
	}
	for _, id := range ids {
		if have[id] != 1 {
			t.Errorf("lead %s has %d records", id, have[id])
		}
	}
}

// scriptsOff turns JavaScript off in this window.
func (b *browser) scriptsOff() {
	b.t.Helper()
	b.do(disableScripts)
}
