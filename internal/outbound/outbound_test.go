package outbound_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"leadline/internal/outbound"
)

func get(t *testing.T, c *outbound.Client, url string) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func TestClient_ReachesPrivateAddressesOnlyWhereAllowed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	defer server.Close()
	at := netip.MustParseAddrPort(server.Listener.Addr().String())
	_, err := get(t, outbound.New(outbound.Options{}), server.URL)
	if !errors.Is(err, outbound.ErrForbidden) {
		t.Errorf("loopback without permission: %v", err)
	}
	_, err = get(t, outbound.New(outbound.Options{AllowHost: []netip.AddrPort{netip.AddrPortFrom(at.Addr(), at.Port()+1)}}), server.URL)
	if !errors.Is(err, outbound.ErrForbidden) {
		t.Errorf("another port of an allowed host: %v", err)
	}
	for _, allowed := range []outbound.Options{
		{AllowHost: []netip.AddrPort{at}},
		{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	} {
		if code, err := get(t, outbound.New(allowed), server.URL); err != nil || code != http.StatusFound {
			t.Errorf("%+v: %d %v; a redirect must come back as it is", allowed, code, err)
		}
	}
}

func TestPublic_IsTheOpenInternetAlone(t *testing.T) {
	t.Parallel()
	for text, public := range map[string]bool{
		"8.8.8.8": true, "2606:4700:4700::1111": true, "172.15.0.1": true, "172.32.0.1": true, "100.128.0.1": true, "100.63.255.255": true,
		"168.63.129.15": true, "192.0.1.1": true, "2001:200::1": true, "2003::1": true, "2620:4f:8001::1": true, "2606::5efe:1:2:3": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"0.0.0.0": false, "224.0.0.1": false, "255.255.255.255": false, "198.18.0.1": false, "192.0.0.192": false, "168.63.129.16": false,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fd00:ec2::254": false, "fec0::1": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:8.8.8.8": false, "64:ff9b::7f00:1": false, "64:ff9b::808:808": false,
		"64:ff9b:1::1": false, "2002:7f00:1::": false, "2001:db8::1": false, "2001:1ff::1": false, "2606::5efe:10.0.0.1": false, "2606::200:5efe:8.8.8.8": false,
	} {
		if got := outbound.Public(netip.MustParseAddr(text)); got != public {
			t.Errorf("%s: public %v", text, got)
		}
	}
	if outbound.Public(netip.Addr{}) {
		t.Error("no address passed for a public one")
	}
}
