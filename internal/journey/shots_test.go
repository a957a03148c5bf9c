//go:build shots

package journey_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// TestShots takes the README's pictures from the running product: make shots.
func TestShots(t *testing.T) {
	w := newWorld(t, playbook)
	admin := newBrowser(t)
	admin.open(setupLink(w))
	admin.shoot(t, "setup")
	admin.becomeAdmin(setupLink(w))
	w.addUser("mia@example.com", "rep", miasPassword)
	rep := newBrowser(t)
	rep.signIn(w, "mia@example.com", miasPassword)
	rep.ready(w)

	visitor := newBrowser(t)
	visitor.open(w.public + "/f/demo")
	visitor.do(
		chromedp.EmulateViewport(760, 900),
		chromedp.SendKeys(chromedp.CSS(`[name=email]`), "anna@acme.example"),
		chromedp.SendKeys(chromedp.CSS(`[name=name]`), "Anna Kovacs"),
		chromedp.SetValue(chromedp.CSS(`[name=country]`), "DE"),
		chromedp.SendKeys(chromedp.CSS(`[name=phone]`), "030 123456"),
	)
	visitor.shoot(t, "form")
	visitor.do(chromedp.Click(chromedp.CSS(`form [type=submit]`)))
	visitor.sees("the thank-you page", `location.pathname.includes("/thanks/")`)
	visitor.shoot(t, "thanks")

	rep.do(
		chromedp.WaitVisible(testid("offer-card")),
		chromedp.Click(chromedp.CSS(`[data-testid="offer-card"] [data-testid="claim-button"]`)),
		chromedp.WaitVisible(chromedp.CSS(`[data-testid="mine-card"] [data-testid="phone"]`)),
	)
	for n, country := range []string{"ES", "FR", "JP", "BR"} {
		lead := person(n)
		lead["country"], lead["product"] = country, []string{"Platform", "Analytics", "", "Platform"}[n]
		w.submit(lead)
	}
	w.submit(person(99)) // a new offer, with its countdown
	rep.do(chromedp.WaitVisible(testid("offer-card")), chromedp.WaitVisible(testid("pool-card")))
	rep.sees("the CRM's confirmation", `document.querySelector('[data-testid="mine-card"] [data-testid="crm-chip"]')?.innerText.includes("In CRM")`)
	rep.shoot(t, "live")
	rep.scheme("dark")
	rep.shoot(t, "live-dark")
	rep.scheme("light")
	rep.do(chromedp.EmulateViewport(360, 800))
	rep.shoot(t, "live-phone")
	rep.do(chromedp.EmulateViewport(1280, 900))
	id := w.leadIDs()
	rep.open(w.public + "/leads/" + id[len(id)-1])
	rep.do(chromedp.WaitVisible(testid("why")))
	rep.shoot(t, "lead")
	admin.open(w.public + "/leads/" + id[len(id)-1])
	admin.do(chromedp.WaitVisible(testid("reveal")))
	admin.shoot(t, "masked")
	admin.do(chromedp.SendKeys(chromedp.CSS(`#reveal [name=reason]`), "Asked us to correct the number"), chromedp.Click(testid("reveal-button")), chromedp.WaitVisible(testid("revealed")))
	admin.shoot(t, "revealed")
	admin.open(w.public + "/audit")
	admin.do(chromedp.Click(testid("audit-verify")), chromedp.WaitVisible(testid("audit-report")))
	admin.shoot(t, "audit")
	rep.open(w.public + "/leads/" + id[len(id)-1])
	rep.do(chromedp.WaitVisible(testid("timeline")))
	rep.shoot(t, "looked")
	phone := newBrowser(t)
	phone.signIn(w, "mia@example.com", miasPassword)
	rep.open(w.public + "/me/devices")
	rep.do(chromedp.WaitVisible(testid("device")))
	rep.shoot(t, "devices")
	visitor.open(w.public + "/signin")
	visitor.shoot(t, "signin")
	visitor.open(w.sandbox)
	visitor.shoot(t, "sandbox")

	for n, notes := range []string{"Cheap SEO links https://a.example https://b.example https://c.example https://d.example", "WIN casino bonus http://x.example http://y.example"} {
		suspect := person(200 + n)
		suspect["notes"], suspect["page_link"] = notes, "https://spam.example"
		w.submit(suspect)
	}
	admin.open(w.public + "/held")
	admin.do(chromedp.WaitVisible(testid("held-lead")))
	admin.shoot(t, "held")
	for n := range 6 {
		odd := person(300 + n)
		odd["fields"] = map[string]any{"budget": "50000", "how_many": fmt.Sprint(n)}
		odd["email"] = "no address"
		if n%2 == 0 {
			odd["email"] = fmt.Sprintf("ada%d@odd.example", n)
		}
		w.call("POST", w.url+"/v1/forms/demo/leads", odd)
	}
	w.eventually("the differences to be counted", func() bool {
		_, body := w.get("/v1/drift")
		return strings.Contains(string(body), "budget")
	})
	admin.open(w.public + "/drift")
	admin.do(chromedp.WaitVisible(testid("drift-group")))
	admin.shoot(t, "drift")
}

// scheme sets the colours the system asks for.
func (b *browser) scheme(name string) {
	b.t.Helper()
	b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return chromedp.Void{}, err
	})
}

// shoot writes a picture below docs/pictures.
func (b *browser) shoot(t *testing.T, name string) {
	t.Helper()
	b.sees("stillness", `document.getAnimations().every(a => a.playState === "finished")`)
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatalf("picture %s: %v", name, err)
	}
	dir := filepath.Join("..", "..", "docs", "pictures")
	if out := os.Getenv("SHOTS_DIR"); out != "" {
		dir = out
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // documents
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil { //nolint:gosec // documents
		t.Fatal(err)
	}
	fmt.Println("wrote", name)
}
