package outbound

import "net/netip"

// allowed is what the operator opened beyond the public internet.
type allowed struct {
	nets  []netip.Prefix
	hosts map[netip.AddrPort]bool
}

func newAllowed(nets []netip.Prefix, hosts []netip.AddrPort) allowed {
	a := allowed{hosts: make(map[netip.AddrPort]bool)}
	for _, prefix := range nets {
		if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
		}
		a.nets = append(a.nets, prefix)
	}
	for _, host := range hosts {
		a.hosts[netip.AddrPortFrom(host.Addr().Unmap(), host.Port())] = true
	}
	return a
}

// has tells whether an address, unmapped and without zone, was opened.
func (a allowed) has(target netip.AddrPort) bool { return a.hosts[target] || a.contains(target.Addr()) }

// contains follows one rule: an entry that is this very address opens it, whatever it is; a network opens what lies in it
// except metadata services and except IPv6 addresses carrying an IPv4 one that could not be reached by itself.
func (a allowed) contains(ip netip.Addr) bool {
	for _, prefix := range a.nets {
		if prefix.Contains(ip) && (prefix.IsSingleIP() || !metadata[ip] && a.mayCarry(ip)) {
			return true
		}
	}
	return false
}

func (a allowed) mayCarry(ip netip.Addr) bool {
	inner, carries := embedded(ip)
	return !carries || inner.IsValid() && (Public(inner) || a.contains(inner))
}
