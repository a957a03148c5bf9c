package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// webhookSecret signs what goes to the bench's CRM.
const webhookSecret = "whsec_YmVuY2gtYmVuY2gtYmVuY2gtYmVuY2g=" //nolint:gosec // protects nothing: the CRM does not look

// serve starts the real leadline on a database and waits until it takes leads.
func (b *bench) serve(ctx context.Context, dsn string, n int) (*process, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	cmd := exec.Command(b.leadline, "serve") //nolint:gosec,noctx // built by us; stop ends it
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir, "LEADLINE_DATA_DIR=" + filepath.Join(b.dir, fmt.Sprintf("serve-%d", n)), "LEADLINE_ADDR=" + addr,
		"DATABASE_URL=" + dsn, "LEADLINE_SECRET=" + base64.StdEncoding.EncodeToString(make([]byte, 32)), "LEADLINE_OUTBOUND_ALLOW=127.0.0.0/8",
		"LEADLINE_LOG_LEVEL=warn", "BENCH_WEBHOOK_SECRET=" + webhookSecret,
	}
	p := &process{name: "serve", cmd: cmd, addr: addr, errs: &tail{}, done: make(chan struct{})}
	cmd.Stderr = p.errs
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start leadline: %w", err)
	}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // what matters was said before
	}()
	if err := p.takesLeads(ctx); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// takesLeads waits until the form is there.
func (p *process) takesLeads(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url()+"/v1/forms/"+benchForm, nil)
		if err != nil {
			return fmt.Errorf("ask for the form: %w", err)
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("leadline ended while starting: %s", p.errs)
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("leadline did not get ready: %s", p.errs), ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// system is leadline with everything on: one or more servers on one database, and the CRM.
type system struct {
	b       *bench
	dsn     string
	crm     *process // nil: none is connected
	servers []*process
}

// system starts everything on a new database. The caller calls stop.
func (b *bench) system(ctx context.Context, name string, servers int) (*system, error) {
	crm, err := b.child(ctx, "crm")
	if err != nil {
		return nil, err
	}
	return b.launch(ctx, &system{b: b, crm: crm}, name, servers, usual())
}

// launch starts a system's servers.
func (b *bench) launch(ctx context.Context, s *system, name string, servers int, l layout) (*system, error) {
	crm := ""
	if s.crm != nil {
		crm = s.crm.url()
	}
	var err error
	if s.dsn, err = b.prepared(ctx, name, crm, l); err != nil {
		s.stop()
		return nil, err
	}
	for i := range servers {
		server, err := b.serve(ctx, s.dsn, i)
		if err != nil {
			s.stop()
			return nil, err
		}
		s.servers = append(s.servers, server)
	}
	return s, b.checkpoint(ctx)
}

func (s *system) stop() {
	for _, p := range s.servers {
		p.stop()
	}
	if s.crm != nil {
		s.crm.stop()
	}
}

func (s *system) target(name string) target {
	t := target{b: s.b, name: name, servers: s.servers}
	if s.crm != nil {
		t.others = []*process{s.crm}
	}
	return t
}
