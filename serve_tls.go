package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"

	"leadline/web"
)

// tlsPort is the port on which Leadline ends TLS itself, taken but not served yet. A nil one does nothing.
type tlsPort struct {
	edge web.Edge
	acme *web.ACME // nil: certificates come from files
}

// openTLS takes the TLS port, on TCP and UDP, and reads the certificate. It gives nil when there is no such port.
func (c *call) openTLS(ctx context.Context, log *slog.Logger) (*tlsPort, error) {
	t := c.cfg.TLS
	if t.Addr == "" {
		return nil, nil
	}
	p := &tlsPort{}
	if len(t.Domains) > 0 {
		p.acme = web.NewACME(t.Domains, filepath.Join(c.cfg.DataDir, "acme"), t.ACME, log)
		p.edge.Certificates = p.acme.TLS
	} else {
		var err error
		if p.edge.Certificates, err = web.CertificateFiles(t.Cert, t.Key, c.now, log); err != nil {
			return nil, fmt.Errorf("see LEADLINE_TLS_CERT and LEADLINE_TLS_KEY: %w", err)
		}
	}
	var listen net.ListenConfig
	var err error
	if p.edge.TCP, err = listen.Listen(ctx, "tcp", t.Addr); err != nil {
		return nil, fmt.Errorf("cannot listen on %s; choose another with LEADLINE_TLS_ADDR: %w", t.Addr, err)
	}
	if p.edge.UDP, err = listen.ListenPacket(ctx, "udp", p.edge.TCP.Addr().String()); err != nil {
		_ = p.edge.TCP.Close()
		return nil, fmt.Errorf("cannot take the UDP port of %s, which HTTP/3 needs; choose another with LEADLINE_TLS_ADDR: %w", t.Addr, err)
	}
	return p, nil
}

// close frees the ports; normally the web server has done so already.
func (p *tlsPort) close() {
	if p != nil {
		_, _ = p.edge.TCP.Close(), p.edge.UDP.Close()
	}
}

// challenges answers the authority that issues certificates on the listener without TLS, if that is where it asks: port 80.
func (p *tlsPort) challenges(plain string) http.Handler {
	if _, port, _ := net.SplitHostPort(plain); p == nil || p.acme == nil || port != "80" {
		return nil
	}
	return p.acme.Challenges()
}

// run obtains certificates until ctx ends.
func (p *tlsPort) run(ctx context.Context) error {
	if p.acme == nil {
		return nil
	}
	return p.acme.Run(ctx)
}
