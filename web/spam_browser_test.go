package web_test

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"leadline/internal/lead"
)

// slowed gives a browser a quarter of the processor, as a cheap phone has.
func slowed(ctx context.Context, target *chromedp.Target) (none chromedp.Void, err error) {
	_, err = cdp.Call(ctx, target, emulation.SetCPUThrottlingRate, emulation.SetCPUThrottlingRateParams{Rate: 4})
	return none, err
}

// linger lets the page grow as old as it is when a person has filled it in: sooner is a reason of its own to hold a lead.
func linger(t *testing.T, b context.Context) {
	t.Helper()
	shows(t, b, "for a second", `performance.now() > 1000`)
}

// A browser of a slow phone, and a visitor who is in doubt: nothing is seen of the proof of work, and it takes no time to speak of.
func TestFormScript_ProvesItselfInTheBackground(t *testing.T) {
	s := setup(t)
	b := window(t)
	do(t, b, chromedp.Navigate(s.url+"/f/demo"))
	linger(t, b)
	do(
		t, b,
		chromedp.Click(chromedp.CSS(`input[value=platform]`)),
		chromedp.SendKeys(chromedp.CSS(`[name=email]`), "doubtful@mailinator.com"),
		// The page goes on to its thanks; what it measured is kept in the tab.
		chromedp.Evaluate[chromedp.Void](`document.querySelector("form").addEventListener("leadline:accepted", () => {
			const posts = performance.getEntriesByType("resource").filter((e) => e.name.endsWith("/leads") && e.initiatorType === "fetch").slice(-2);
			sessionStorage.setItem("proof", Math.round(posts[1].startTime - posts[0].responseEnd));
		}); undefined`),
		slowed, chromedp.Click(chromedp.CSS(`button[type=submit]`)),
	)
	shows(t, b, "the thank-you page", `location.pathname.startsWith("/f/demo/thanks/")`)
	shows(t, b, "that there was a proof to do", `Number(sessionStorage.getItem("proof")) > 0`)
	took, err := chromedp.Run(b, chromedp.Evaluate[float64](`Number(sessionStorage.getItem("proof"))`))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the proof took %.0f ms at a quarter of the speed", took)
	found, _, err := s.leads.List(t.Context(), lead.Everything(), lead.Filter{})
	if err != nil || len(found) != 1 || found[0].Stage != lead.StageNew {
		t.Errorf("%d leads, %v: %+v", len(found), err, found)
	}
}

// Pages over plain http have no cryptography: the script says so, and the visitor is thanked like anybody.
func TestFormScript_WithoutCryptographyNobodyIsRefused(t *testing.T) {
	s := setup(t)
	b := window(t)
	do(t, b, chromedp.Navigate(s.url+"/f/demo"))
	linger(t, b)
	do(
		t, b,
		chromedp.Evaluate[chromedp.Void](`Object.defineProperty(crypto, "subtle", { value: undefined }); undefined`),
		chromedp.Click(chromedp.CSS(`input[value=platform]`)),
		chromedp.SendKeys(chromedp.CSS(`[name=email]`), "plain@mailinator.com"),
		chromedp.Click(chromedp.CSS(`button[type=submit]`)),
	)
	shows(t, b, "the thank-you page", `location.pathname.startsWith("/f/demo/thanks/")`)
	var why string
	err := s.db.Console.QueryRow(t.Context(), `SELECT array_to_string(reasons, ',') FROM hold`).Scan(&why)
	if err != nil || why != "disposable,unproven" {
		t.Errorf("held because of %q, %v", why, err)
	}
}
