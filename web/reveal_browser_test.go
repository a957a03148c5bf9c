package web_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"leadline/internal/account"
	"leadline/web"
)

// What is being typed survives the page's refreshes, the details come in place, and go by themselves when their time is over.
func TestReveal_InABrowserComesAndGoesInPlace(t *testing.T) {
	w := newWorld(t, web.New)
	lee, err := w.accounts.Add(t.Context(), account.NewAccount{Email: "lee@example.com", Name: "Lee", Roles: []string{account.RoleOps}})
	if err != nil {
		t.Fatal(err)
	}
	link, err := w.accounts.NewLink(t.Context(), lee.ID)
	if err != nil {
		t.Fatal(err)
	}
	b := window(t)
	do(t, b, chromedp.Navigate(w.url+"/signin/link/"+link), chromedp.Click(chromedp.CSS(`form[action^="/signin/link/"] button`)))
	shows(t, b, "the console", `location.pathname === "/live"`)
	do(t, b, chromedp.Navigate(w.url+"/leads/"+w.plants[0].id.String()), chromedp.SendKeys(chromedp.CSS("#reveal-reason"), "Nora is ill today"))
	do(t, b, chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`))
	shows(t, b, "two refreshes", `performance.getEntriesByType("resource").filter(e => e.name.includes("part=1")).length >= 2`)
	shows(t, b, "the reason as it was typed", `document.querySelector("#reveal-reason").value === "Nora is ill today"`)
	do(t, b, chromedp.Click(chromedp.CSS(`[data-testid=reveal-button]`)))
	shows(t, b, "the details in place", `document.querySelector("[data-testid=revealed]") && document.querySelector('a[href="tel:`+w.plants[0].phone()+`"]') && !document.querySelector("#reveal")`)
	shows(t, b, "the reason in the timeline", `document.querySelector("[data-testid=timeline]").innerText.includes("Lee looked at the contact details: Nora is ill today")`)
	w.exec(`UPDATE reveal SET until = clock_timestamp()`)
	shows(t, b, "the details gone", `document.querySelector("#reveal") && !document.querySelector("[data-testid=revealed]") && !document.body.innerHTML.includes("`+w.plants[0].mark("name")+`")`)
}
