package journey_test

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// browser is one person's browser window, with cookies of its own.
type browser struct {
	t   *testing.T
	ctx context.Context
}

// newBrowser opens a headless Chromium.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Fatal("no Chromium found; make setup installs it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(1280, 900))
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() { cancel(); cancelAlloc() })
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return &browser{t: t, ctx: ctx}
}

// do runs steps within the patience of a test.
func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("browser: %v\non %s\n%s", err, b.location(), b.pageText())
	}
}

func (b *browser) open(address string) {
	b.t.Helper()
	b.do(chromedp.Navigate(address))
}

func (b *browser) location() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	s, _ := chromedp.Run(ctx, chromedp.Location())
	return s
}

func (b *browser) pageText() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	s, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body ? document.body.innerText.slice(0, 2000) : ""`))
	return s
}

// testid is the selector of an element that tests know.
func testid(name string) chromedp.CSS { return chromedp.CSS(`[data-testid="` + name + `"]`) }

// sees waits until an expression is true in the page.
func (b *browser) sees(what, expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`!!(`+expression+`)`))
		cancel()
		if err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("the page never showed %s (last error %v); it is %s\n%s", what, err, b.location(), b.pageText())
		}
		<-time.After(30 * time.Millisecond)
	}
}

func (b *browser) seesText(text string) {
	b.t.Helper()
	b.sees("the words "+text, `document.body.innerText.includes(`+quote(text)+`)`)
}

func (b *browser) eval(expression string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression))
	if err != nil {
		b.t.Fatalf("evaluate %s: %v", expression, err)
	}
	return s
}

// signIn signs a person in by the page.
func (b *browser) signIn(w *world, email, password string) {
	b.t.Helper()
	b.open(w.public + "/signin")
	b.do(
		chromedp.SendKeys(chromedp.CSS(`input[name=email]`), email),
		chromedp.SendKeys(chromedp.CSS(`input[name=password]`), password),
		chromedp.Click(chromedp.CSS(`form button[type=submit]`)),
	)
	b.sees("a page behind the sign-in", `!location.pathname.startsWith("/signin")`)
}

// ready opens the console and starts to receive leads.
func (b *browser) ready(w *world) {
	b.t.Helper()
	b.open(w.public + "/live")
	b.sees("the live state", `document.querySelector('[data-testid="connection-state"]')?.innerText.includes("Live")`)
	if b.eval(`document.querySelector('[data-testid="presence"]')?.dataset.presence || ""`) != "available" {
		b.do(chromedp.Click(testid("go-available")))
		b.sees("being available", `document.querySelector('[data-testid="presence"]')?.dataset.presence === "available"`)
	}
}

// disableScripts turns JavaScript off in a window.
func disableScripts(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
	_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	return chromedp.Void{}, err
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }
