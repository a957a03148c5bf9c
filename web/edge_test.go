package web_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"leadline/handlers"
	"leadline/web"
)

const submit = "POST /v1/forms/:slug/leads"

// seen is what a handler sees of a request.
type seen struct {
	Method, Path, Body, Address, Peer, Cookie, Forwarded, Key, Protocol string
	Secure                                                              bool
	Deadline                                                            bool
}

func look(c *fiber.Ctx) error {
	_, deadline := c.UserContext().Deadline()
	return c.JSON(seen{
		Method: c.Method(), Path: c.Path(), Body: string(c.Body()), Address: handlers.AddressOf(c), Peer: c.Context().RemoteIP().String(), Cookie: c.Cookies("b"),
		Forwarded: c.Get(fiber.HeaderXForwardedFor), Key: c.Get("Idempotency-Key"), Protocol: c.Protocol(), Secure: c.Secure(), Deadline: deadline,
	})
}

func TestEdge_HandlersSeeTheSameOverEveryProtocol(t *testing.T) {
	d := openDoor(t, map[string]fiber.Handler{submit: look}, func(d *web.Deps) { d.TrustedProxies = prefixes("127.0.0.0/8", "10.0.0.0/8") })
	for name, client := range d.protocols() {
		res := d.do(client, http.MethodPost, "/v1/forms/demo/leads?x=%2F", strings.NewReader("a=1"), "Content-Type", typeForm, "Idempotency-Key", "k-1",
			"Cookie", "a=1", "Cookie", "b=2", "X-Forwarded-For", "6.6.6.6, 9.9.9.9", "X-Forwarded-For", "10.0.0.7")
		if res.StatusCode != http.StatusOK || res.Proto != name {
			t.Fatalf("%s: %d over %s: %s", name, res.StatusCode, res.Proto, res.body)
		}
		got := res.json(t)
		for member, want := range map[string]any{
			"Method": "POST", "Path": "/v1/forms/demo/leads", "Body": "a=1", "Address": "9.9.9.9", "Peer": "127.0.0.1", "Cookie": "2",
			"Key": "k-1", "Protocol": "https", "Secure": true, "Deadline": true,
		} {
			if got[member] != want {
				t.Errorf("%s: %s is %v, want %v", name, member, got[member], want)
			}
		}
		for header, want := range map[string]string{
			"Strict-Transport-Security": "max-age=31536000; includeSubDomains", "X-Content-Type-Options": "nosniff", "Content-Type": "application/json",
			"Content-Length": strconv.Itoa(len(res.body)),
		} {
			if res.Header.Get(header) != want {
				t.Errorf("%s: %s is %q, want %q", name, header, res.Header.Get(header), want)
			}
		}
		_, port, _ := strings.Cut(d.tls, ":")
		offer := `h3=":` + port + `"; ma=86400`
		if name == "HTTP/3.0" {
			offer = ""
		}
		if res.Header.Get("Alt-Svc") != offer || res.Header.Get("Date") == "" || res.Header.Get("X-Correlation-Id") == "" {
			t.Errorf("%s: headers %v", name, res.Header)
		}
		if res.TLS == nil || res.TLS.Version != tls.VersionTLS13 {
			t.Errorf("%s: not TLS 1.3", name)
		}
	}
	plain, err := http.Get("http://" + d.plain + "/healthz")
	if err != nil || plain.Header.Get("Alt-Svc") != "" || plain.StatusCode != http.StatusOK {
		t.Errorf("without TLS: %v %v", plain, err)
	}
	_ = plain.Body.Close()
}

func TestEdge_NobodySpoofsAnAddress(t *testing.T) {
	d := openDoor(t, map[string]fiber.Handler{submit: look}, func(d *web.Deps) { d.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	for name, client := range d.protocols() {
		got := d.do(client, http.MethodPost, leads, strings.NewReader("a=1"), "X-Forwarded-For", "9.9.9.9", "X-Real-Ip", "9.9.9.9", "Forwarded", "for=9.9.9.9").json(t)
		if got["Address"] != "127.0.0.1" {
			t.Errorf("%s: believed to be %v", name, got["Address"])
		}
	}
}

func TestEdge_LimitsAreTheSameOverEveryProtocol(t *testing.T) {
	d := openDoor(t, map[string]fiber.Handler{submit: look})
	long := strings.Repeat("x", 33*1024)
	for name, client := range d.protocols() {
		for _, c := range []struct {
			what    string
			body    io.Reader
			headers []string
			status  int
		}{
			{"a whole body", strings.NewReader(long[:32*1024]), nil, http.StatusOK},
			{"a byte too much", strings.NewReader(long[:32*1024+1]), nil, http.StatusRequestEntityTooLarge},
			{"too much of unknown length", struct{ io.Reader }{strings.NewReader(long)}, nil, http.StatusRequestEntityTooLarge},
			{"long headers", strings.NewReader("a=1"), []string{"X-Long", long[:9*1024]}, http.StatusRequestHeaderFieldsTooLarge},
			{"compressed", strings.NewReader("a=1"), []string{"Content-Encoding", "gzip"}, http.StatusUnsupportedMediaType},
		} {
			res := d.do(client, http.MethodPost, leads, c.body, c.headers...)
			expect(t, name+": "+c.what, res, c.status)
			if c.status == http.StatusOK {
				continue
			}
			if doc := res.json(t); res.Header.Get("Content-Type") != "application/problem+json" || doc["status"] != float64(c.status) || doc["correlation_id"] == "" {
				t.Errorf("%s: %s: %v", name, c.what, doc)
			}
		}
	}
	for name, client := range map[string]*http.Client{"HTTP/2": d.two(), "HTTP/3": d.three()} {
		// A body announced as too long is refused before it comes: this one never does.
		never, writer := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+d.tls+leads, never)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = 1 << 30
		res, err := client.Do(req)
		if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: a gigabyte announced: %v %v", name, res, err)
		} else {
			_ = res.Body.Close()
		}
		_ = writer.Close()
	}
}

func TestEdge_AnswersWithoutABodyHaveNone(t *testing.T) {
	d := openDoor(t, map[string]fiber.Handler{
		"HEAD /v1/forms/:slug/leads": func(c *fiber.Ctx) error { return c.SendStatus(http.StatusNoContent) },
		"GET /static/:name": func(c *fiber.Ctx) error {
			c.Set(fiber.HeaderETag, `"x"`)
			if c.Get(fiber.HeaderIfNoneMatch) == `"x"` {
				return c.SendStatus(http.StatusNotModified)
			}
			c.Cookie(&fiber.Cookie{Name: "a", Value: "1"})
			c.Cookie(&fiber.Cookie{Name: "b", Value: "2"})
			return c.SendString("whole")
		},
	})
	for name, client := range d.protocols() {
		head := d.do(client, http.MethodHead, "/static/x", nil)
		if head.StatusCode != http.StatusOK || head.body != "" || head.ContentLength != 5 || head.Header.Get("ETag") != `"x"` {
			t.Errorf("%s: HEAD: %d %q %d %v", name, head.StatusCode, head.body, head.ContentLength, head.Header)
		}
		if got := d.do(client, http.MethodGet, "/static/x", nil); got.body != "whole" || len(got.Cookies()) != 2 {
			t.Errorf("%s: GET: %q %v", name, got.body, got.Cookies())
		}
		same := d.do(client, http.MethodGet, "/static/x", nil, "If-None-Match", `"x"`)
		if same.StatusCode != http.StatusNotModified || same.body != "" || same.Header.Get("ETag") != `"x"` {
			t.Errorf("%s: 304: %d %q %v", name, same.StatusCode, same.body, same.Header)
		}
		warm := d.do(client, http.MethodHead, leads, nil)
		if warm.StatusCode != http.StatusNoContent || warm.body != "" {
			t.Errorf("%s: 204: %d %q", name, warm.StatusCode, warm.body)
		}
	}
}

// A socket cannot be opened over the bridge; whoever tries must not wait for a server that said yes.
func TestEdge_RefusesSocketsOverTheBridge(t *testing.T) {
	d := openDoor(t, map[string]fiber.Handler{"GET /live/socket": func(c *fiber.Ctx) error { return look(c) }})
	for name, client := range map[string]*http.Client{"HTTP/2": d.two(), "HTTP/3": d.three()} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodConnect, "https://"+d.tls+"/live/socket", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := client.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode < 400 {
				t.Errorf("%s: CONNECT answered %d", name, res.StatusCode)
			}
		}
	}
}

func TestEdge_RefusesOldTLS(t *testing.T) {
	d := openDoor(t, nil)
	config := d.trust()
	config.MaxVersion = tls.VersionTLS12
	if conn, err := tls.Dial("tcp", d.tls, config); err == nil {
		_ = conn.Close()
		t.Error("TLS 1.2 was accepted")
	}
}

// Forms are often the last thing a page does: the visitor is gone before the answer is there.
func TestEdge_WorksOnForVisitorsWhoHaveLeft(t *testing.T) {
	arrived, left, result := make(chan struct{}, 1), make(chan struct{}), make(chan error, 1)
	d := openDoor(t, map[string]fiber.Handler{submit: func(c *fiber.Ctx) error {
		arrived <- struct{}{}
		<-left
		result <- c.UserContext().Err()
		return c.SendString("done")
	}})
	for name, client := range map[string]*http.Client{"HTTP/2": d.two(), "HTTP/3": d.three()} {
		client.Timeout = 0
		done := make(chan struct{})
		req, err := http.NewRequest(http.MethodPost, "https://"+d.tls+leads, strings.NewReader("a=1"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := contextWithCancel(t)
		go func() {
			defer close(done)
			if res, err := client.Do(req.WithContext(ctx)); err == nil {
				_ = res.Body.Close()
			}
		}()
		<-arrived
		leave()
		<-done
		left <- struct{}{}
		if err := <-result; err != nil {
			t.Errorf("%s: the work was ended: %v", name, err)
		}
	}
}

func TestEdge_StopsWithoutBreakingWhatIsInFlight(t *testing.T) {
	const each = 3
	arrived, release := make(chan struct{}, 9), make(chan struct{})
	d := openDoor(t, map[string]fiber.Handler{submit: func(c *fiber.Ctx) error {
		arrived <- struct{}{}
		<-release
		return c.SendString("safe")
	}})
	var wg sync.WaitGroup
	clients := d.protocols()
	for name, client := range clients {
		for range each {
			wg.Go(func() {
				if res := d.do(client, http.MethodPost, leads, strings.NewReader("a=1")); res.StatusCode != http.StatusOK || res.body != "safe" {
					t.Errorf("%s: %d %q", name, res.StatusCode, res.body)
				}
			})
		}
	}
	for range 3 * each {
		<-arrived
	}
	stopped := make(chan struct{})
	started := time.Now()
	go func() { defer close(stopped); d.stop() }()
	waitFor(t, "the TCP port to be closed", func() bool {
		conn, err := tls.Dial("tcp", d.tls, d.trust())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	select {
	case <-stopped:
		t.Error("stopped while requests were in flight")
	default:
	}
	close(release)
	wg.Wait()
	<-stopped
	t.Logf("stopped after %v", time.Since(started))
	for name, client := range clients {
		client.Timeout = 2 * time.Second
		if res, err := client.Get("https://" + d.tls + "/healthz"); err == nil {
			_ = res.Body.Close()
			t.Errorf("%s: answered after the stop", name)
		}
	}
}

func TestEdge_IdleClientsDoNotHoldUpTheStop(t *testing.T) {
	d := openDoor(t, nil)
	for name, client := range d.protocols() {
		expect(t, name, d.do(client, http.MethodGet, "/healthz", nil), http.StatusOK)
	}
	started := time.Now()
	d.stop()
	if took := time.Since(started); took > 8*time.Second {
		t.Errorf("took %v", took)
	}
}

// Bytes that trickle are cut off over each protocol, and the answer says why.
func TestEdge_CutsOffSlowBodies(t *testing.T) {
	d := openDoor(t, map[string]fiber.Handler{submit: look})
	var wg sync.WaitGroup
	for name, client := range d.protocols() {
		wg.Go(func() {
			body, writer := io.Pipe()
			defer func() { _ = writer.Close() }()
			go func() { _, _ = writer.Write([]byte("a")) }()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+d.tls+leads, body)
			if err != nil {
				t.Error(err)
				return
			}
			req.ContentLength = 100
			started := time.Now()
			res, err := client.Do(req)
			took := time.Since(started)
			if err == nil {
				text, _ := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if res.StatusCode != http.StatusRequestTimeout {
					t.Errorf("%s: %d %s", name, res.StatusCode, text)
				}
			} else if errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("%s: %v", name, err)
			}
			if took > 15*time.Second {
				t.Errorf("%s: took %v", name, took)
			}
		})
	}
	wg.Wait()
}

func TestEdge_FollowsCertificateFiles(t *testing.T) {
	d := openDoor(t, nil)
	name := func() string {
		config := d.trust()
		config.InsecureSkipVerify = true
		conn, err := tls.Dial("tcp", d.tls, config)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if name() != "first" {
		t.Fatal(name())
	}
	d.roots.AddCert(d.files.write(t, "second"))
	waitFor(t, "the second certificate", func() bool { return name() == "second" })
	expect(t, "over HTTP/3", d.do(d.three(), http.MethodGet, "/healthz", nil), http.StatusOK)

	writeFile(t, d.files.cert, []byte("nonsense"))
	waitFor(t, "the log to say that the pair is bad", func() bool { _ = name(); return strings.Contains(d.said(), "does not load") })
	if name() != "second" {
		t.Errorf("a bad pair changed the certificate to %q", name())
	}
	if n := bytes.Count([]byte(d.said()), []byte("does not load")); n != 1 {
		t.Errorf("said %d times", n)
	}
	d.files.write(t, "third")
	waitFor(t, "the third certificate", func() bool { return name() == "third" })
}
