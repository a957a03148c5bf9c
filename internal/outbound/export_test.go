package outbound

import (
	"net"
	"net/http"
	"net/netip"
)

// Watch gives the client a resolver and shows what the guard let through: the last step before a connection is made. An error
// from passed stops that connection.
func (c *Client) Watch(resolver *net.Resolver, passed func(netip.AddrPort) error) {
	c.dialer.Resolver, c.passed = resolver, passed
}

// Unchecked makes a request without CheckURL, so that the guard is on its own.
func (c *Client) Unchecked(req *http.Request) (*http.Response, error) {
	return c.transport.RoundTrip(req)
}

// Proxied tells whether requests may go through a proxy.
func (c *Client) Proxied() bool { return c.transport.Proxy != nil }
