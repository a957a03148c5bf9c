package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"leadline/internal/account"
	"leadline/internal/config"
	"leadline/internal/demo"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/sandbox"
)

// What the demo keeps in the data directory.
const (
	sandboxJournal = "sandbox.jsonl" // what the simulated vendors hold
	sandboxAddress = "sandbox.addr"  // where the sandbox listens
)

// demoShow is what --demo adds to a server. The zero demoShow adds nothing.
type demoShow struct {
	on         bool // the live configuration is demo data
	sandboxURL string
	smtp       config.SMTP       // the sandbox's mail server
	secrets    map[string]string // credentials of the demo's connections, by the name their reference gives
	allow      []netip.AddrPort  // where the sandbox is: configured URLs may always reach it
	trickle    func(ctx context.Context) error
	end        func()
}

// stop ends the sandbox.
func (s demoShow) stop() {
	if s.end != nil {
		s.end()
	}
}

// lookup resolves the demo's own credentials first, then the environment.
func (s demoShow) lookup(env func(string) (string, bool)) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if v, ok := s.secrets[name]; ok {
			return v, true
		}
		return env(name)
	}
}

// startDemo starts the vendor sandbox and, in an empty database, publishes the demo playbook and adds people who can sign in.
// A database with a configuration of its own is left as it is.
func (c *call) startDemo(ctx context.Context, db *postgres.DB, secret []byte, log *slog.Logger) (demoShow, error) {
	state, err := demo.Inspect(ctx, db.Console)
	if err != nil {
		return demoShow{}, err
	}
	if state == demo.Foreign {
		fmt.Fprintln(c.stderr, "This database has a configuration of its own, so no demo data was added.")
		return demoShow{}, nil
	}
	show := demoShow{on: true, secrets: map[string]string{
		demo.WebhookSecretName: "whsec_" + derived(secret, "sandbox webhook"),
		demo.SlackTokenName:    "xoxb-" + derived(secret, "sandbox slack"),
	}}
	listener, err := c.demoSandboxListener(ctx)
	if err != nil {
		return demoShow{}, err
	}
	show.sandboxURL = "http://" + listener.Addr().String()
	if show.allow, err = addressOf(listener); err != nil {
		_ = listener.Close()
		return demoShow{}, err
	}

	server, err := sandbox.Open(sandbox.Options{
		Now: c.now, Log: log, Journal: filepath.Join(c.cfg.DataDir, sandboxJournal),
		WebhookSecret: show.secrets[demo.WebhookSecretName], SlackToken: show.secrets[demo.SlackTokenName],
	})
	if err != nil {
		return demoShow{}, err
	}
	mailListener, err := sandboxListener(ctx, "127.0.0.1:0")
	if err != nil {
		return demoShow{}, errors.Join(err, server.Close(), listener.Close())
	}
	if show.smtp, err = config.ParseSMTP("smtp://" + mailListener.Addr().String()); err != nil {
		return demoShow{}, errors.Join(err, server.Close(), listener.Close(), mailListener.Close())
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := serveSandbox(running, server, listener, mailListener); err != nil {
			log.Error("the sandbox ended", "error", err)
		}
	}()
	show.end = func() { cancel(); <-done }

	if err := c.seedDemo(ctx, db, secret, show.sandboxURL); err != nil {
		show.stop()
		return demoShow{}, err
	}
	if c.flags["no-trickle"] == "" {
		trickle := demo.Trickle{Target: c.cfg.PublicURL.String(), Form: demo.Form, Now: c.now, Log: log}
		show.trickle = trickle.Run
	}
	return show, nil
}

// seedDemo publishes the demo playbook (again, if the sandbox had to move) and makes sure that its people can sign in.
func (c *call) seedDemo(ctx context.Context, db *postgres.DB, secret []byte, sandboxURL string) error {
	cfg, problems := playbook.Parse("demo.yaml", demo.Playbook(sandboxURL))
	if playbook.Failed(problems) {
		return fmt.Errorf("the demo playbook has errors: %v", problems)
	}
	if _, _, err := playbook.Apply(ctx, db, cfg, "demo", "demo data", true); err != nil {
		return fmt.Errorf("publish the demo playbook: %w", err)
	}
	accounts := account.NewStore(db.Gorm, c.now)
	for _, person := range demo.People {
		added := account.NewAccount{Email: person.Email, Name: person.Name, Roles: []string{person.Role}, Password: demoPassword(secret, person.Email), Demo: true}
		if _, err := accounts.Add(ctx, added); err != nil {
			return fmt.Errorf("add demo sign-in for role %s: %w", person.Role, err)
		}
	}
	return nil
}

// demoSandboxListener listens where the sandbox listened last time, because the demo's records and connections name that
// address; the first time, or when something else has taken it, it finds another.
func (c *call) demoSandboxListener(ctx context.Context) (net.Listener, error) {
	kept := filepath.Join(c.cfg.DataDir, sandboxAddress)
	addr := "127.0.0.1:9090"
	if text, err := os.ReadFile(filepath.Clean(kept)); err == nil {
		addr = strings.TrimSpace(string(text))
	}
	listener, err := sandboxListener(ctx, addr)
	if err != nil {
		if listener, err = sandboxListener(ctx, "127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("find a port for the sandbox: %w", err)
		}
	}
	if err := os.WriteFile(kept, []byte(listener.Addr().String()+"\n"), 0o600); err != nil { //nolint:gosec // the operator names the data directory
		_ = listener.Close()
		return nil, fmt.Errorf("keep the sandbox's address: %w", err)
	}
	return listener, nil
}

// derived makes a credential from the installation's secret: random per installation, the same at each start, kept nowhere.
func derived(secret []byte, purpose string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("demo|" + purpose))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)[:20]))
}

// demoPassword is easy to copy: four groups of four.
func demoPassword(secret []byte, email string) string {
	p := derived(secret, "password "+email)
	return strings.Join([]string{p[0:4], p[4:8], p[8:12], p[12:16]}, "-")
}

func addressOf(listener net.Listener) ([]netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(listener.Addr().String())
	if err != nil {
		return nil, fmt.Errorf("read the sandbox's address: %w", err)
	}
	return []netip.AddrPort{at}, nil
}

// greet tells a person at the terminal where everything is. setup is the link for the first admin, if one is needed.
func (c *call) greet(show demoShow, setup string) {
	url := c.cfg.PublicURL.String()
	fmt.Fprintf(c.stdout, "\nLeadline %s is ready.\n\n  Console      %s\n", version, url)
	if show.on {
		secret, err := c.secret()
		if err != nil {
			return
		}
		fmt.Fprintf(c.stdout, "  Demo form    %s/f/%s\n  Sandbox      %s   (the CRM, chat and mail of the demo)\n\n  Demo sign-ins\n", url, demo.Form, show.sandboxURL)
		for _, person := range demo.People {
			fmt.Fprintf(c.stdout, "    %-6s %-32s password %s\n", person.Role, person.Email, demoPassword(secret, person.Email))
		}
		fmt.Fprint(c.stdout, "\n  Demo leads arrive now and then; --no-trickle turns them off, leadline demo remove deletes all demo data.\n")
	}
	if setup != "" {
		fmt.Fprintf(c.stdout, "\n  Become the first admin, once, within a day:\n    %s\n", setup)
	}
	if c.cfg.DatabaseURL == "" {
		fmt.Fprintf(c.stdout, "  Data is kept in %s\n", c.cfg.DataDir)
	} else {
		fmt.Fprint(c.stdout, "  Data is kept in the database of DATABASE_URL\n")
	}
	fmt.Fprint(c.stdout, "  Stop with Ctrl-C\n\n")
}
