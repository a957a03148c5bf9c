package web_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"leadline/handlers"
	"leadline/internal/telemetry"
	"leadline/web"
)

// door is a web server with both ports and no database: what stands before the handlers needs none. Handlers are replaced by the test.
type door struct {
	t      *testing.T
	server *web.Server
	plain  string // address without TLS
	tls    string // address with TLS
	roots  *x509.CertPool
	files  pair
	log    *locked
}

// pair is a certificate's two files.
type pair struct{ cert, key string }

// openDoor serves with handlers that replace those of routes such as "POST /v1/forms/:slug/leads".
func openDoor(t *testing.T, replace map[string]fiber.Handler, change ...func(*web.Deps)) *door {
	t.Helper()
	d := &door{t: t, roots: x509.NewCertPool(), log: &locked{}}
	d.files = pair{filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")}
	d.roots.AddCert(d.files.write(t, "first"))
	plain, secure := listenTCP(t), listenTCP(t)
	udp, err := net.ListenPacket("udp", secure.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d.plain, d.tls = plain.Addr().String(), secure.Addr().String()
	deps := web.Deps{
		PublicURL: &url.URL{Scheme: "https", Host: d.tls}, Log: slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Now: time.Now, Metrics: telemetry.NewMetrics(),
	}
	deps.Handlers = handlers.Deps{Metrics: deps.Metrics, PublicURL: deps.PublicURL.String(), Now: time.Now, Log: deps.Log}
	for _, f := range change {
		f(&deps)
	}
	if d.server, err = web.NewWith(deps, web.Text(), replace); err != nil {
		t.Fatal(err)
	}
	certificates, err := web.CertificateFiles(d.files.cert, d.files.key, time.Now, deps.Log)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() { done <- d.server.Serve(plain) }()
	go func() { done <- d.server.ServeTLS(web.Edge{TCP: secure, UDP: udp, Certificates: certificates}) }()
	t.Cleanup(func() {
		d.stop()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	waitFor(t, "HTTP/3 to be offered", func() bool {
		return d.do(d.one(), http.MethodGet, "/healthz", nil).Header.Get("Alt-Svc") != ""
	})
	return d
}

func (d *door) stop() {
	limit, release := context.WithTimeout(context.WithoutCancel(d.t.Context()), 20*time.Second)
	defer release()
	if err := d.server.Shutdown(limit); err != nil {
		d.t.Error(err)
	}
}

// write makes a new certificate for 127.0.0.1 and localhost.
func (p pair) write(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	cert, key := selfSigned(t, name)
	for file, text := range map[string][]byte{p.cert: cert, p.key: key} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	block, _ := pem.Decode(cert)
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func selfSigned(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

func (d *door) trust() *tls.Config { return &tls.Config{RootCAs: d.roots} }

// one, two and three are clients of HTTP/1.1, HTTP/2 and HTTP/3 over TLS.
func (d *door) one() *http.Client {
	transport := &http.Transport{TLSClientConfig: d.trust(), DisableCompression: true}
	return d.client(transport, transport.CloseIdleConnections)
}

func (d *door) two() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	transport := &http.Transport{TLSClientConfig: d.trust(), Protocols: protocols, DisableCompression: true}
	return d.client(transport, transport.CloseIdleConnections)
}

func (d *door) three() *http.Client {
	transport := &http3.Transport{TLSClientConfig: d.trust(), QUICConfig: &quic.Config{}, DisableCompression: true}
	return d.client(transport, func() { _ = transport.Close() })
}

func (d *door) client(transport http.RoundTripper, end func()) *http.Client {
	d.t.Cleanup(end)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// protocols are all three by name.
func (d *door) protocols() map[string]*http.Client {
	return map[string]*http.Client{"HTTP/1.1": d.one(), "HTTP/2.0": d.two(), "HTTP/3.0": d.three()}
}

// do sends a request to the TLS port; headers are pairs of name and value, and a name may come several times.
func (d *door) do(client *http.Client, method, path string, body io.Reader, headers ...string) answer {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, "https://"+d.tls+path, body)
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{Response: res, body: string(text)}
}

// waitFor waits for a condition without guessing how long it takes.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting for %s", what)
		}
	}
}

// locked is a log that can be read while it is written.
type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *locked) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// said is what the server logged.
func (d *door) said() string { return d.log.text() }

func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func contextWithCancel(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

func writeFile(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func percentile(took []time.Duration, p float64) time.Duration {
	slices.Sort(took)
	return took[int(float64(len(took)-1)*p)]
}

// setupTLS is setup with a TLS port, whose address it gives, and its certificate in d.
func setupTLS(t *testing.T, d *door) (*site, string) {
	t.Helper()
	d.roots = x509.NewCertPool()
	d.files = pair{filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")}
	d.roots.AddCert(d.files.write(t, "site"))
	tcp := listenTCP(t)
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	certificates, err := web.CertificateFiles(d.files.cert, d.files.key, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	t.Cleanup(func() { // after the site has stopped
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	s := setupWith(t, config, func(deps web.Deps) (*web.Server, error) {
		server, err := web.New(deps)
		if err == nil {
			go func() { done <- server.ServeTLS(web.Edge{TCP: tcp, UDP: udp, Certificates: certificates}) }()
		}
		return server, err
	})
	return s, tcp.Addr().String()
}
