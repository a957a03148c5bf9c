package outbound_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"leadline/internal/outbound"
)

// What a setting opens, and what beside it stays closed.
func TestClient_AllowedNetworksOpenWhatTheySay(t *testing.T) {
	t.Parallel()
	for allow, want := range map[string]struct{ open, closed string }{
		"10.0.0.0/8": {
			open: "10.0.0.1 10.255.255.255 ::ffff:10.0.0.1",
			closed: "127.0.0.1 192.168.0.1 ::10.0.0.1 ::ffff:0:10.0.0.1 64:ff9b::10.0.0.1 64:ff9b:1:a00:0:100:: 2002:a00:1::1 " +
				"2001:0:4136:e378:8000:63bf:f5ff:fffe fe80::5efe:10.0.0.1 2606:4700::5efe:10.0.0.1",
		},
		"::ffff:10.0.0.0/104": {open: "10.0.0.1 ::ffff:10.1.1.1", closed: "127.0.0.1 ::10.0.0.1 64:ff9b::a00:1"},
		"127.0.0.0/8":         {open: "127.0.0.1 127.9.9.9", closed: "::1 ::127.0.0.1 0.0.0.0 10.0.0.1"},
		"::1":                 {open: "::1", closed: ":: 127.0.0.1 ::2"},
		"fd00::/8":            {open: "fd00::1 fd12:3456::7", closed: "fc00::1 fd00:ec2::254 fd20:ce::254 fd00::5efe:127.0.0.1 fe80::1"},
		"fe80::/10":           {open: "fe80::1", closed: "fe80::a9fe:a9fe fe80::5efe:10.0.0.1 fd00::1"},
		"100.64.0.0/10":       {open: "100.64.0.1 100.127.255.255", closed: "100.100.100.200 10.0.0.1"},
		"169.254.0.0/16":      {open: "169.254.1.1", closed: "169.254.169.254 169.254.170.2"},
		"169.254.169.254":     {open: "169.254.169.254 ::ffff:169.254.169.254", closed: "169.254.169.253 169.254.170.2 ::169.254.169.254"},
		"168.63.129.16":       {open: "168.63.129.16", closed: "64:ff9b::a83f:8110"},
		// An IPv6-only network behind NAT64: the open internet through it, and nothing of the IPv4 neighbourhood.
		"64:ff9b::/96":            {open: "64:ff9b::8.8.8.8", closed: "64:ff9b::10.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b::a83f:8110 64:ff9b:1::808:808"},
		"64:ff9b::/96,10.0.0.0/8": {open: "64:ff9b::10.0.0.1 10.0.0.1", closed: "64:ff9b::192.168.0.1 2002:a00:1::"},
		"64:ff9b:1::/48":          {closed: "64:ff9b:1::808:808 64:ff9b:1::7f00:1"},
		"64:ff9b:1::a00:1":        {open: "64:ff9b:1::a00:1", closed: "64:ff9b:1::a00:2 10.0.0.1"},
		"::/0":                    {open: "::1 fd00::1", closed: "127.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: fd00:ec2::254"},
		"0.0.0.0/0":               {open: "127.0.0.1 10.0.0.1", closed: "169.254.169.254 168.63.129.16 ::1 64:ff9b::7f00:1"},
	} {
		var prefixes []netip.Prefix
		for text := range strings.SplitSeq(allow, ",") {
			prefix, err := netip.ParsePrefix(text)
			if err != nil {
				prefix = netip.PrefixFrom(netip.MustParseAddr(text), netip.MustParseAddr(text).BitLen())
			}
			prefixes = append(prefixes, prefix)
		}
		client := outbound.New(outbound.Options{Allow: prefixes})
		client.Watch(nil, func(netip.AddrPort) error { return errStopped })
		check := func(ip string, expected error) {
			host := strings.ReplaceAll(net.JoinHostPort(ip, "80"), "%", "%25")
			if err := try(t, client.Do, "http://"+host+"/"); !errors.Is(err, expected) {
				t.Errorf("with %s: %s: %v, expected %v", allow, ip, err, expected)
			}
		}
		for _, ip := range strings.Fields(want.open) {
			check(ip, errStopped)
		}
		for _, ip := range strings.Fields(want.closed) {
			check(ip, outbound.ErrForbidden)
		}
	}
}
