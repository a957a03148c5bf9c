// Package outbound provides the HTTP client for addresses that come from configuration: it reaches the public internet and what
// was allowed by name, never the machine's own neighbourhood. Called by crm and notify; imports nothing of ours.
//
// The check is made when a connection is dialled, on the address that the name resolved to, so that no DNS trick passes it.
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

// Options say which private addresses may be reached.
type Options struct {
	Allow     []netip.Prefix   // private networks
	AllowHost []netip.AddrPort // single private addresses with their port, such as the demo's sandbox
	Connect   time.Duration    // limit for connecting and for the TLS handshake; zero: 5 s each
}

// Client is an HTTP client with the guard. It follows no redirects and uses no proxy. Safe for concurrent use; callers bound
// each request by its context.
type Client struct {
	http  *http.Client
	allow []netip.Prefix
	hosts map[netip.AddrPort]bool
}

// New makes a Client with connection pools of its own.
func New(o Options) *Client {
	c := &Client{allow: o.Allow, hosts: make(map[netip.AddrPort]bool)}
	for _, host := range o.AllowHost {
		c.hosts[netip.AddrPortFrom(host.Addr().Unmap(), host.Port())] = true
	}
	connect := o.Connect
	if connect <= 0 {
		connect = 5 * time.Second
	}
	dialer := &net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second, ControlContext: c.guard}
	c.http = &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    connect,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           512,
			MaxIdleConnsPerHost:    64,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
	return c
}

// Do makes one request. The caller closes the body of the answer.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	return c.http.Do(req) //nolint:gosec // the guard in DialContext is the answer to this warning
}

// CloseIdle closes connections that are not in use.
func (c *Client) CloseIdle() { c.http.CloseIdleConnections() }

func (c *Client) guard(_ context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrForbidden, address)
	}
	ip := target.Addr().Unmap().WithZone("")
	if Public(ip) || c.hosts[netip.AddrPortFrom(ip, target.Port())] {
		return nil
	}
	for _, prefix := range c.allow {
		if prefix.Contains(ip) {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", ErrForbidden, ip)
}
