package web

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"

	"github.com/gofiber/fiber/v2"
	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ACME obtains certificates by itself and renews them a month before they end. It proves that a domain is ours inside a handshake on
// the TLS port (TLS-ALPN-01), or on port 80 (HTTP-01) where the listener without TLS is there.
type ACME struct {
	manager *autocert.Manager
	domains []string
	log     *slog.Logger
}

// NewACME keeps accounts, keys and certificates in dir. directory is the authority's address; empty: Let's Encrypt. Whoever names
// domains agrees to the authority's terms.
func NewACME(domains []string, dir, directory string, log *slog.Logger) *ACME {
	return &ACME{domains: domains, log: log, manager: &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(dir), HostPolicy: autocert.HostWhitelist(domains...),
		Client: &acme.Client{DirectoryURL: directory, UserAgent: "leadline"},
	}}
}

// TLS says how a TLS port gets its certificates.
func (a *ACME) TLS(c *tls.Config) {
	c.GetCertificate = a.get
	c.NextProtos = append(c.NextProtos, acme.ALPNProto)
}

// get gives a certificate with an elliptic curve. autocert looks for a cipher suite of TLS 1.2 to know whether a client takes one, finds
// none with browsers that speak QUIC, and would order a second certificate for them; with TLS 1.3 everybody takes it.
func (a *ACME) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	asked := *hello
	asked.CipherSuites, asked.SupportedCurves = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, nil
	return a.manager.GetCertificate(&asked)
}

// Challenges answers the authority on port 80. What is no challenge is not found.
func (a *ACME) Challenges() http.Handler { return a.manager.HTTPHandler(http.NotFoundHandler()) }

// Run obtains what is missing at once, so that no visitor waits for it, and returns when ctx ends. A domain that fails is logged, and
// tried again by whoever asks for it next.
func (a *ACME) Run(ctx context.Context) error {
	for _, domain := range a.domains {
		go func() {
			if _, err := a.get(&tls.ClientHelloInfo{ServerName: domain}); err != nil && ctx.Err() == nil {
				a.log.Error("no certificate could be obtained; the name must lead to this server, and its port 443 be reachable", "host", domain, "error", err)
			}
		}()
	}
	<-ctx.Done()
	return nil
}

// GET /.well-known/acme-challenge/:token — shows an authority that this domain is ours.
//
// Fiber's adaptor will not do: the context it hands over ends with the server's own, which the package for ACME still watches when
// this server has begun to stop.
func (s *server) challenge() fiber.Handler {
	return func(c *fiber.Ctx) error {
		if s.Challenge == nil {
			return fiber.ErrNotFound
		}
		r, err := http.NewRequestWithContext(c.UserContext(), http.MethodGet, c.Path(), http.NoBody)
		if err != nil {
			return fiber.ErrNotFound
		}
		r.Host = string(c.Request().Host())
		s.Challenge.ServeHTTP(&plainAnswer{c: c, header: http.Header{}}, r)
		return nil
	}
}

// plainAnswer takes a short answer in text.
type plainAnswer struct {
	c      *fiber.Ctx
	header http.Header
}

// Header takes headers, of which none matters here.
func (a *plainAnswer) Header() http.Header { return a.header }

// WriteHeader takes the status.
func (a *plainAnswer) WriteHeader(status int) { a.c.Status(status) }

// Write takes the text.
func (a *plainAnswer) Write(p []byte) (int, error) { return a.c.Write(p) }
