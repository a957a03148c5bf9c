package web_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"leadline/internal/lead"
)

// line is the network between a browser and the server. While broken, posts arrive but their answers are lost.
type line struct {
	broken atomic.Bool
	posts  atomic.Int64
}

func (l *line) between(t *testing.T, server string) string {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			proxy.ServeHTTP(w, r)
			return
		}
		l.posts.Add(1)
		if !l.broken.Load() {
			proxy.ServeHTTP(w, r)
			return
		}
		proxy.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(front.Close)
	return front.URL
}

// window is a headless browser.
func window(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	for _, name := range []string{"chromium-browser", "google-chrome"} {
		if err != nil {
			path, err = exec.LookPath(name)
		}
	}
	if err != nil {
		t.Fatal("no Chromium found; make setup installs it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU)
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() { cancel(); cancelAlloc() })
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal("start Chromium:", err)
	}
	return ctx
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := chromedp.Do(limited, steps...); err != nil {
		t.Fatal("browser:", err)
	}
}

func shows(t *testing.T, ctx context.Context, what, expression string) {
	t.Helper()
	eventually(t, what, func() bool {
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		ok, err := chromedp.Run(limited, chromedp.Evaluate[bool](`!!(`+expression+`)`))
		return err == nil && ok
	})
}

func TestFormScript_ALostAnswerIsAskedForAgainWithTheSameKey(t *testing.T) {
	s, l := setup(t), &line{}
	front := l.between(t, s.url)
	b := window(t)
	do(
		t, b, chromedp.Navigate(front+"/f/demo"),
		chromedp.Click(chromedp.CSS(`input[value=platform]`)),
		chromedp.SendKeys(chromedp.CSS(`[name=email]`), "lost@acme.example"),
	)
	l.broken.Store(true)
	do(t, b, chromedp.Click(chromedp.CSS(`button[type=submit]`)))
	shows(t, b, "that the connection dropped", `document.body.innerText.includes("Your connection dropped. We kept your answers and try again by ourselves.")`)
	do(t, b, chromedp.Click(chromedp.CSS(`button[type=submit]`))) // impatience changes nothing
	eventually(t, "a second attempt", func() bool { return l.posts.Load() >= 2 })
	l.broken.Store(false)
	shows(t, b, "the thank-you page", `location.pathname.startsWith("/f/demo/thanks/") && document.body.innerText.includes("We are finding the right person")`)
	found, _, err := s.leads.List(t.Context(), lead.Everything(), lead.Filter{})
	if err != nil || len(found) != 1 {
		t.Errorf("%d leads, %v", len(found), err)
	}
	if found[0].Timezone == "" || found[0].CorrelationID == "" {
		t.Errorf("the script's context did not arrive: %+v", found[0])
	}
}

func TestFormScript_SaysWhatToFixBesideTheFields(t *testing.T) {
	s := setup(t)
	b := window(t)
	do(
		t, b, chromedp.Navigate(s.url+"/f/demo"),
		chromedp.SendKeys(chromedp.CSS(`[name=email]`), "nonsense"),
		chromedp.Click(chromedp.CSS(`button[type=submit]`)),
	)
	shows(t, b, "a summary with the focus", `document.activeElement.matches("[data-leadline-summary]") && document.activeElement.innerText.includes("There are 2 things to fix.")`)
	shows(t, b, "the message tied to its field", `(e => e.getAttribute("aria-invalid") === "true" && document.getElementById(e.getAttribute("aria-describedby")).innerText.includes("anna@acme.com"))(document.querySelector("[name=email]"))`)
	do(t, b, chromedp.SendKeys(chromedp.CSS(`[name=email]`), "@acme.example"))
	shows(t, b, "no message once the field changes", `!document.querySelector("[name=email]").hasAttribute("aria-invalid")`)
	do(t, b, chromedp.Reload())
	shows(t, b, "what was typed, after a reload", `document.querySelector("[name=email]").value === "nonsense@acme.example"`)
	do(t, b, chromedp.Click(chromedp.CSS(`input[value=analytics]`)), chromedp.Click(chromedp.CSS(`button[type=submit]`)))
	shows(t, b, "the thank-you page", `location.pathname.startsWith("/f/demo/thanks/")`)
}

func TestFormScript_OnAPageOfANamedSiteTellsThePage(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server := r.URL.Query().Get("server")
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self' "+server+"; connect-src "+server)
		if strings.HasSuffix(r.URL.Path, ".js") {
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write([]byte(`addEventListener("leadline:accepted", (e) => { document.title = "accepted " + e.detail.reference; });`))
			return
		}
		_, _ = w.Write([]byte(`<!DOCTYPE html><title>Site</title><script src="/own.js"></script><form data-leadline="demo" action="` + server +
			`/v1/forms/demo/leads" method="post"><input name="email"><input name="product" value="platform"><button>Go</button></form><script src="` + server + `/leadline.js" crossorigin defer></script>`))
	}))
	t.Cleanup(page.Close)
	s := setup(t)
	s.deps.Handlers.Playbook.Current().Forms["demo"].AllowedOrigins = []string{page.URL}
	b := window(t)
	do(
		t, b, chromedp.Navigate(page.URL+"/?server="+url.QueryEscape(s.url)),
		chromedp.SendKeys(chromedp.CSS(`[name=email]`), "foreign@acme.example"),
		chromedp.Click(chromedp.CSS(`button`)),
	)
	shows(t, b, "the page's own reaction", `/^accepted [0-9A-Z]{4}-[0-9A-Z]{4}$/.test(document.title)`)
	shows(t, b, "the words for the visitor", `document.body.innerText.includes("Thanks. We have your request. Reference ")`)
}
