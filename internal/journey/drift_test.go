package journey_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const driftPlaybook = `
version: 1
forms:
  - slug: demo
    name: Demo request
    owners: [owner@acme.example]
    fields: [{name: team_size, type: choice, options: ["1-10", "11-50"]}, {name: seats, type: number}]
reps: [{email: mia@example.com, name: Mia}]
pools: [{slug: open, strategy: pull, members: [{rep: mia@example.com}]}]
rules: [{name: Everything, band: default, when: {}, then: {pool: open}}]
`

// mutated is what a page sends after somebody has changed it in one or several ways; keeps tells whether the form still takes it.
func mutated(n int, random *rand.Rand) (body map[string]any, keeps bool) {
	fields := map[string]any{"team_size": "1-10"}
	body = map[string]any{"email": fmt.Sprintf("visitor%d@acme.example", n), "name": "Ada", "fields": fields}
	for _, change := range random.Perm(6)[:1+random.IntN(3)] {
		switch change {
		case 0: // a new field in the wrong place
			body[[]string{"budget", "job_title", "e-mail"}[random.IntN(3)]] = "something"
		case 1: // a misspelt one
			delete(fields, "team_size")
			fields["team_sise"] = "1-10"
		case 2: // a list where a text was
			body["tags"] = []string{"a", "b"}
		case 3: // another type
			fields["seats"] = true
		case 4: // a new option
			fields["team_size"] = "51-200"
		case 5: // an optional one is gone
			delete(body, "name")
		}
	}
	_, wrong := fields["seats"]
	return body, !wrong && fields["team_size"] != "51-200"
}

// TestDrift_OwnersLearnOfPagesThatChangeAndNoLeadIsLost posts what changed pages send: whoever can be reached is kept where the contract
// lets us, and the owner of the form hears of each difference once, within a minute of the first.
func TestDrift_OwnersLearnOfPagesThatChangeAndNoLeadIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, driftPlaybook)
	random := rand.New(rand.NewPCG(53, 1))
	kept := 0
	began := time.Now()
	for n := range 500 {
		body, keeps := mutated(n, random)
		status, answer := w.call(http.MethodPost, w.url+"/v1/forms/demo/leads", body)
		if keeps {
			kept++
		}
		if keeps && status != http.StatusCreated || !keeps && status != http.StatusUnprocessableEntity {
			t.Fatalf("%v: %d %s", body, status, answer)
		}
	}
	var leads, groups int
	if w.query(`SELECT count(*) FROM lead`, &leads); leads != kept {
		t.Errorf("%d leads were kept of %d", leads, kept)
	}
	w.eventually("the owner to have been told of everything", func() bool {
		var untold int
		w.query(`SELECT count(*) FROM drift_group g WHERE NOT EXISTS (SELECT FROM drift_notice n JOIN drift_mail m ON m.id = n.mail_id WHERE n.group_id = g.id AND m.state = 'sent')`, &untold)
		w.query(`SELECT count(*) FROM drift_group`, &groups)
		return groups == 7 && untold == 0
	})
	var slowest float64
	w.query(`SELECT max(extract(epoch FROM m.ended_at - g.first_seen))::float8 FROM drift_group g JOIN drift_notice n ON n.group_id = g.id JOIN drift_mail m ON m.id = n.mail_id`, &slowest)
	var twice int
	w.query(`SELECT count(*) FROM (SELECT group_id FROM drift_notice GROUP BY group_id, day, owner HAVING count(*) > 1) x`, &twice)
	if slowest > 60 || twice > 0 {
		t.Errorf("the owner heard after %.1f s, %d times twice", slowest, twice)
	}
	t.Logf("500 changed submissions in %.1f s, %d groups; the owner heard of the slowest after %.1f s", time.Since(began).Seconds(), groups, slowest)

	var mails []struct {
		To   []string `json:"to"`
		Text string   `json:"text"`
	}
	_, text := w.call(http.MethodGet, w.sandbox+"/_control/records?vendor=smtp", nil)
	if err := json.Unmarshal(text, &mails); err != nil || len(mails) == 0 || len(mails) > groups {
		t.Fatalf("%d mails: %v", len(mails), err)
	}
	all := ""
	for _, m := range mails {
		all += m.Text
	}
	for _, want := range []string{"budget", "team_sise", "team_size", "99-999", w.public + "/drift?form=demo"} {
		if !strings.Contains(all, want) {
			t.Errorf("the mails do not say %q", want)
		}
	}
}

// TestDrift_IsDealtWithByKeyboardAndWithoutScripts goes the way of somebody who looks after forms.
func TestDrift_IsDealtWithByKeyboardAndWithoutScripts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, driftPlaybook)
	w.addUser("ops@example.com", "ops", "a long enough password")
	ops := newBrowser(t)
	ops.do(disableScripts)
	ops.signIn(w, "ops@example.com", "a long enough password")
	ops.open(w.public + "/drift")
	ops.seesText("All forms get what they ask for.")
	body := map[string]any{"email": "a@acme.example", "fields": map[string]any{"team_size": "99-999"}}
	w.call(http.MethodPost, w.url+"/v1/forms/demo/leads", body)
	w.eventually("the badge", func() bool {
		ops.open(w.public + "/live")
		return ops.eval(`document.querySelector('[data-testid="drift-badge"]')?.firstChild.textContent.trim() || ""`) == "1"
	})
	ops.do(chromedp.Click(chromedp.CSS(`[data-testid="drift-line"] a`)))
	ops.seesText("“team_size” sends values that are not among its options, like 99-999.")
	ops.do(chromedp.SendKeys(testid("drift-resolve"), "\r"))
	ops.seesText("Marked as resolved.")
	ops.sees("nothing open", `!document.querySelector('[data-testid="drift-group"]') && !document.querySelector('[data-testid="drift-badge"]')`)
	w.call(http.MethodPost, w.url+"/v1/forms/demo/leads", body)
	w.eventually("it to come back", func() bool {
		ops.open(w.public + "/drift?form=demo")
		return ops.eval(`document.querySelector('[data-testid="drift-today"]')?.innerText || ""`) == "2"
	})
	ops.open(w.public + "/audit")
	ops.seesText("marked as resolved")
}
