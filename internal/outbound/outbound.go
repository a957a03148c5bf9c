// Package outbound provides the HTTP client for addresses that come from configuration: it reaches the public internet and what
// was allowed by name, never the machine's own neighbourhood. Called by crm and notify; imports nothing of ours.
//
// The check is made when a connection is dialled, on the address that the name resolved to, so that no DNS trick passes it.
// docs/outbound.md says it for operators.
package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrForbidden is wrapped by errors for addresses that may not be reached; trying again does not help until the settings change.
var ErrForbidden = errors.New("address is not public and not in LEADLINE_OUTBOUND_ALLOW")

// Options say which private addresses may be reached, and how much of an answer is worth waiting for.
type Options struct {
	Allow     []netip.Prefix   // private networks
	AllowHost []netip.AddrPort // single private addresses with their port, such as the demo's sandbox
	Connect   time.Duration    // limit for connecting and for the TLS handshake; zero: 5 s each
	Limit     time.Duration    // limit for a whole call, body included, whose context has no deadline; zero: 30 s
	MaxBody   int64            // most bytes of an answer's body, counted after decompression; zero: 1 MiB
}

// Client is an HTTP client with the guard. It follows no redirects, uses no proxy and keeps no cookies. Safe for concurrent use.
type Client struct {
	dialer    *net.Dialer
	transport *http.Transport
	allow     allowed
	limit     time.Duration
	maxBody   int64
	passed    func(netip.AddrPort) error // tests see here what the guard let through; nil otherwise
}

// New makes a Client with connection pools of its own.
func New(o Options) *Client {
	connect := positive(o.Connect, 5*time.Second)
	c := &Client{
		allow: newAllowed(o.Allow, o.AllowHost), limit: positive(o.Limit, 30*time.Second), maxBody: positive(o.MaxBody, 1<<20),
	}
	c.dialer = &net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second, ControlContext: c.guard}
	c.transport = &http.Transport{
		Proxy:                  nil, // a proxy would do the dialling, and the guard would see the proxy's address alone
		DialContext:            c.dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    connect,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    512, // as many as a connection may have slots: a call that has to dial is a slow one
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return c
}

func positive[T ~int64](given, otherwise T) T {
	if given > 0 {
		return given
	}
	return otherwise
}

// Do makes one request. The caller closes the body of the answer; reading more of it than MaxBody gives ErrTooLarge. A redirect
// comes back as it is. The error wraps ErrURL or ErrForbidden where waiting changes nothing, and never shows the URL's path or
// query, which may hold credentials.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	if err := CheckURL(req.URL); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	stop := context.CancelFunc(func() {})
	if _, bounded := req.Context().Deadline(); !bounded {
		var ctx context.Context
		ctx, stop = context.WithTimeout(req.Context(), c.limit)
		req = req.WithContext(ctx)
	}
	// Not through http.Client: all it adds are redirects, cookies, credentials out of the URL and errors that repeat the URL.
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		stop()
		return nil, err
	}
	resp.Body = &body{from: resp.Body, left: c.maxBody, stop: stop}
	return resp, nil
}

// CloseIdle closes connections that are not in use.
func (c *Client) CloseIdle() { c.transport.CloseIdleConnections() }

// guard runs between resolving and connecting, once for every address that is tried.
func (c *Client) guard(_ context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrForbidden, address)
	}
	target = netip.AddrPortFrom(target.Addr().Unmap().WithZone(""), target.Port())
	if !Public(target.Addr()) && !c.allow.has(target) {
		return fmt.Errorf("%w: %s", ErrForbidden, target.Addr())
	}
	if c.passed != nil {
		return c.passed(target)
	}
	return nil
}
