package outbound

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/idna"
)

// ErrURL is wrapped by errors for URLs that are refused before anything is resolved. They never repeat the URL.
var ErrURL = errors.New("this is no address to send to")

// CheckURL tells whether Do takes a URL: http or https, a host, no user or password, no fragment, and a host that looks like
// an IPv4 address only where it is one in the common spelling. It says nothing of where the host leads: only Do knows that.
func CheckURL(u *url.URL) error {
	switch {
	case u == nil || u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "":
		return fmt.Errorf("%w: it is neither http:// nor https://", ErrURL)
	case u.Hostname() == "":
		return fmt.Errorf("%w: it has no host", ErrURL)
	case u.User != nil:
		return fmt.Errorf("%w: it has a user or password in it", ErrURL)
	case u.Fragment != "":
		return fmt.Errorf("%w: it has a fragment", ErrURL)
	}
	host := u.Hostname()
	if !ascii(host) {
		var err error
		if host, err = idna.Lookup.ToASCII(host); err != nil || host == "" { // what the transport does as well: full-width digits become digits
			return fmt.Errorf("%w: its host is no name", ErrURL)
		}
	}
	if _, err := netip.ParseAddr(host); err != nil && numeric(host) {
		return fmt.Errorf("%w: its host is an address in an unusual spelling", ErrURL)
	}
	return nil
}

func ascii(host string) bool {
	return strings.IndexFunc(host, func(r rune) bool { return r >= 0x80 }) < 0
}

// numeric tells whether a resolver might take a name for an IPv4 address: browsers and C libraries do where the last label is
// a number, be it decimal, octal or hexadecimal. No top-level domain is one.
func numeric(host string) bool {
	labels := strings.Split(strings.TrimSuffix(strings.ToLower(host), "."), ".")
	last, digits := labels[len(labels)-1], "0123456789"
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		last, digits = hex, "0123456789abcdef"
		if hex == "" {
			return true
		}
	}
	return last != "" && strings.Trim(last, digits) == ""
}
