package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// TLS is the port that Leadline ends TLS on by itself. With Addr set there are either two files or domains.
type TLS struct {
	Addr    string   // empty: a proxy in front ends TLS, or nobody does
	Cert    string   // PEM files
	Key     string   //
	Domains []string // certificates are obtained for these
	ACME    string   // directory of who issues them; empty: Let's Encrypt
}

// completeTLS checks what must hold between the settings of TLS, and makes the public address from them when it is not set.
func (c *Config) completeTLS() (bad []string) {
	t := c.TLS
	files, domains := t.Cert != "" || t.Key != "", len(t.Domains) > 0
	switch {
	case t.Addr == "" && (files || domains || t.ACME != ""):
		return append(bad, "LEADLINE_TLS_ADDR: must be set, like :443, when there is a certificate or a domain")
	case t.Addr == "":
		return nil
	case files && domains:
		bad = append(bad, "LEADLINE_TLS_DOMAINS: certificates come either from LEADLINE_TLS_CERT and LEADLINE_TLS_KEY or for these domains; leave one out")
	case domains:
	case !files:
		bad = append(bad, "LEADLINE_TLS_ADDR: needs LEADLINE_TLS_CERT and LEADLINE_TLS_KEY, or LEADLINE_TLS_DOMAINS")
	case t.Cert == "":
		bad = append(bad, "LEADLINE_TLS_CERT: must be set beside LEADLINE_TLS_KEY")
	case t.Key == "":
		bad = append(bad, "LEADLINE_TLS_KEY: must be set beside LEADLINE_TLS_CERT")
	}
	if t.ACME != "" && !domains {
		bad = append(bad, "LEADLINE_TLS_ACME_URL: is only for LEADLINE_TLS_DOMAINS")
	}
	if t.Addr == c.Addr {
		bad = append(bad, "LEADLINE_TLS_ADDR: must differ from LEADLINE_ADDR, which stays without TLS")
	}
	if c.PublicURL == nil {
		c.PublicURL = t.publicURL()
	}
	if c.PublicURL.Scheme != "https" {
		bad = append(bad, "LEADLINE_PUBLIC_URL: must be an https address when LEADLINE_TLS_ADDR is set")
	} else if domains && !slices.Contains(t.Domains, strings.ToLower(c.PublicURL.Hostname())) {
		bad = append(bad, "LEADLINE_TLS_DOMAINS: must name the host of LEADLINE_PUBLIC_URL")
	}
	return bad
}

// publicURL is how browsers reach the TLS port, as far as it is known.
func (t TLS) publicURL() *url.URL {
	host, port, _ := net.SplitHostPort(t.Addr)
	if len(t.Domains) > 0 {
		host = t.Domains[0]
	} else if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	if port == "443" {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return &url.URL{Scheme: "https", Host: host}
	}
	return &url.URL{Scheme: "https", Host: net.JoinHostPort(host, port)}
}

// parseDomains takes a list of names apart. Names alone can be certified: no addresses, no wildcards.
func parseDomains(s string) ([]string, error) {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		name := strings.ToLower(strings.TrimSpace(part))
		if name == "" {
			continue
		}
		if !strings.Contains(name, ".") || strings.ContainsAny(name, "*:/ ") || strings.Trim(name, ".") != name || net.ParseIP(name) != nil {
			return nil, fmt.Errorf("%q is no domain like leads.example.com", name)
		}
		out = append(out, name)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("give at least one domain like leads.example.com")
	}
	return out, nil
}

func parseCount(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 1_000_000 {
		return 0, fmt.Errorf("give a number of connections, like 200")
	}
	return n, nil
}
