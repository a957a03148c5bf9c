package account

import (
	"net/netip"
	"strings"
)

// shorten keeps of an address what tells a person where a device was: the /24 or, for IPv6, the /48. Empty when it is no address.
func shorten(address string) string {
	bare, _, _ := strings.Cut(address, "/")
	addr, err := netip.ParseAddr(bare)
	if err != nil {
		return ""
	}
	addr = addr.Unmap().WithZone("")
	bits := 24
	if addr.Is6() {
		bits = 48
	}
	prefix, _ := addr.Prefix(bits) // the length fits the kind
	return prefix.String()
}

// The words to look for in a user agent, the more telling first: every browser claims to be several others.
var (
	browsers = [][2]string{
		{"Edg", "Edge"},
		{"OPR/", "Opera"},
		{"Vivaldi", "Vivaldi"},
		{"SamsungBrowser", "Samsung Internet"},
		{"Firefox", "Firefox"},
		{"FxiOS", "Firefox"},
		{"CriOS", "Chrome"},
		{"Chrome", "Chrome"},
		{"Chromium", "Chromium"},
		{"Safari", "Safari"},
		{"curl", "curl"},
	}
	systems = [][2]string{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"CrOS", "ChromeOS"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"},
	}
)

// Browser says in words what a session was begun with, such as "Firefox on Windows". A user agent can say anything, so nothing but
// our own words comes out.
func (s Session) Browser() string {
	browser, system := named(s.UserAgent, browsers), named(s.UserAgent, systems)
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser != "":
		return browser
	case system != "":
		return "A browser on " + system
	}
	return "An unknown browser"
}

func named(agent string, words [][2]string) string {
	for _, w := range words {
		if strings.Contains(agent, w[0]) {
			return w[1]
		}
	}
	return ""
}
