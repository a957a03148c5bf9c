package outbound

import "net/netip"

// global is all of IPv6 that was ever given out for the open internet. Starting from it keeps out by itself: loopback, mapped,
// compatible and translated IPv4, NAT64, unique local, link-local, site-local, segment routing, discard and multicast.
var global = netip.MustParsePrefix("2000::/3")

// notPublic are the special-purpose networks of IANA's two registries. Networks whose nearest instance may be run by anybody
// close by (AS112, AMT, 6to4 relays) are here too, although the registry calls them reachable: no CRM lives in them.
var notPublic = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23", // Teredo, ORCHID, benchmarking, drone identifiers and other protocols
	"2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3ffe::/16", "3fff::/20",
)

// metadata are the addresses at which clouds give credentials or settings to whoever asks from inside. One of them looks
// public; others lie inside networks that people allow for good reasons, such as 100.64.0.0/10 or fd00::/8.
var metadata = addresses(
	"169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "fe80::a9fe:a9fe", // AWS and most others, Google, OpenStack
	"169.254.170.2", "169.254.170.23", "fd00:ec2::23", // credentials of containers at AWS
	"168.63.129.16",                                // Azure's wire server
	"100.100.100.200",                              // Alibaba
	"192.0.0.192",                                  // Oracle
	"169.254.42.42", "fd00:42::42", "169.254.0.23", // Scaleway, Tencent
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

func addresses(texts ...string) map[netip.Addr]bool {
	all := make(map[netip.Addr]bool, len(texts))
	for _, text := range texts {
		all[netip.MustParseAddr(text)] = true
	}
	return all
}

// Public tells whether an address belongs to the open internet. IPv6 addresses that carry an IPv4 one never do: a gateway
// would open the way to any private address.
func Public(ip netip.Addr) bool {
	ip = ip.WithZone("")
	if !ip.IsValid() || metadata[ip] {
		return false
	}
	if _, carries := embedded(ip); carries || ip.Is6() && !global.Contains(ip) {
		return false
	}
	for _, prefix := range notPublic {
		if prefix.Contains(ip) {
			return false
		}
	}
	return true
}
