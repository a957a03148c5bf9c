package outbound

import "net/netip"

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")
	translated = netip.MustParsePrefix("::ffff:0:0:0/96")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
	compatible = netip.MustParsePrefix("::/96")
)

// embedded tells whether an IPv6 address carries an IPv4 one that a gateway, tunnel or translator would send the packet on to,
// and which. The address is the zero Addr where only the gateway knows how to read it. NAT64 under a prefix of the operator's
// own cannot be told from any other address.
func embedded(ip netip.Addr) (netip.Addr, bool) {
	if !ip.Is6() {
		return netip.Addr{}, false
	}
	b := ip.As16()
	last := netip.AddrFrom4([4]byte(b[12:]))
	switch {
	case ip.Is4In6(), nat64.Contains(ip), translated.Contains(ip):
		return last, true
	case nat64Local.Contains(ip):
		return netip.Addr{}, true
	case sixToFour.Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case teredo.Contains(ip):
		return netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}), true
	case ip.IsUnspecified(), ip.IsLoopback():
		return netip.Addr{}, false
	case compatible.Contains(ip):
		return last, true
	}
	// ISATAP is a form of the last 64 bits, under any prefix. Its two lowest flag bits say group and universal.
	if b[8]&^3 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
		return last, true
	}
	return netip.Addr{}, false
}
