package journey_test

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// A program fills in what people do not see: it is answered like everybody, nobody hears of it, and a person who looks lets it go on.
func TestJourney_AHeldLeadIsOfferedOnceSomebodyReleasesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, playbook)
	w.addUser("mia@example.com", "rep", miasPassword)
	w.addUser("ops@example.com", "ops", "another long password")
	w.present("mia@example.com")

	visitor := newBrowser(t)
	visitor.open(w.public + "/f/demo")
	visitor.do(
		chromedp.SendKeys(chromedp.CSS(`[name=email]`), "bot@acme.example"),
		chromedp.SendKeys(chromedp.CSS(`[name=name]`), "Bot Berg"),
		chromedp.Evaluate[chromedp.Void](`document.querySelector("[name=page_link]").value = "http://spam.example"; undefined`),
		chromedp.Click(chromedp.CSS(`button[type=submit]`)),
	)
	visitor.seesText("We are finding the right person")
	ids := w.leadIDs()
	if len(ids) != 1 || w.lead(ids[0]).Stage != "held" {
		t.Fatalf("leads %v", ids)
	}

	ops := newBrowser(t)
	ops.signIn(w, "ops@example.com", "another long password")
	ops.open(w.public + "/live")
	ops.sees("the number of held leads", `document.querySelector("[data-testid=nav-held]").innerText.includes("1")`)
	ops.open(w.public + "/held")
	ops.seesText("Filled in a field that people do not see")
	ops.do(chromedp.Focus(chromedp.CSS(`[data-testid=release-one]`)), chromedp.KeyEvent("\r")) // the keyboard is enough
	ops.seesText("Released 1 lead.")
	w.eventually("the lead to be offered", func() bool { return w.lead(ids[0]).Stage == "offered" || w.lead(ids[0]).Stage == "waiting" })
	if records := w.records(); len(records) > 1 {
		t.Errorf("%d records in the CRM", len(records))
	}
}
