package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"leadline/internal/config"
	"leadline/internal/demo"
	"leadline/internal/load"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/sandbox"
	"leadline/internal/telemetry"
	"leadline/migrations"
)

// command is one line of leadline help.
type command struct {
	name    string
	usage   string
	summary string
	flags   map[string]bool // own flags: does it take a value?
	plain   bool            // needs no settings, so bad ones do not stop it
	words   bool            // takes words that are no flags: files, names
	run     func(ctx context.Context, c *call) error
}

// commands is the table of contents of the command line.
func commands() []command {
	all := []command{
		{
			name: "serve", usage: "serve [--demo [--no-trickle]] [--no-migrate]", summary: "web, console and jobs in one process",
			flags: map[string]bool{"demo": false, "no-trickle": false, "no-migrate": false}, run: serve,
		},
		{name: "migrate", usage: "migrate", summary: "brings the schema up to date", run: migrate},
		{
			name: "apply", usage: "apply FILE... [--note TEXT] [--ack CODE[:PATH],...] [--onto N]",
			summary: "publishes configuration as the live version; --onto: only if version N is live",
			flags:   map[string]bool{"note": true, "ack": true, "onto": true}, words: true, run: apply,
		},
		{name: "export", usage: "export", summary: "prints the live configuration", run: export},
		{name: "check", usage: "check FILE...", summary: "checks configuration without loading it", plain: true, words: true, run: check},
		{name: "demo remove", usage: "demo remove", summary: "removes all demo data", run: demoRemove},
		{
			name: "sandbox", usage: "sandbox [--addr 127.0.0.1:9090] [--smtp-addr 127.0.0.1:0]", summary: "the vendor simulators on their own",
			flags: map[string]bool{"addr": true, "smtp-addr": true, "slack-token": true, "webhook-secret": true}, plain: true, run: runSandbox,
		},
		{
			name: "load", usage: "load --target URL --form SLUG --rate N --duration D [--json]", summary: "sends leads at a steady rate and prints latencies",
			flags: map[string]bool{"target": true, "form": true, "rate": true, "duration": true, "json": false}, plain: true, run: runLoad,
		},
		{name: "version", usage: "version", summary: "prints the version", plain: true, run: func(_ context.Context, c *call) error {
			fmt.Fprintln(c.stdout, "leadline", version)
			return nil
		}},
		{name: "help", usage: "help [command]", summary: "prints this, or how a command is used", plain: true, words: true, run: help},
	}
	all = append(all, userCommands()...)
	all = append(all, repCommands()...)
	all = append(all, leadCommands()...)
	all = append(all, secretCommands()...)
	all = append(all, auditCommands()...)
	all = append(all, eraseCommands()...)
	all = append(all, routingCommands()...)
	all = append(all, versionCommands()...)
	all = append(all, shadowCommands()...)
	all = append(all, canaryCommands()...)
	return all
}

// find looks a command up; names of two words take the second from args.
func find(name string, args *[]string) *command {
	all := commands()
	for i := range all {
		if all[i].name == name {
			return &all[i]
		}
		if len(*args) > 0 && all[i].name == name+" "+(*args)[0] {
			*args = (*args)[1:]
			return &all[i]
		}
	}
	return nil
}

func help(_ context.Context, c *call) error {
	if len(c.args) > 0 {
		rest := c.args[1:]
		cmd := find(c.args[0], &rest)
		if cmd == nil && len(rest) == 0 && c.helpTopic(c.args[0]) {
			return nil
		}
		if cmd == nil || len(rest) > 0 {
			return usageError(fmt.Sprintf("there is no command %q", strings.Join(c.args, " ")))
		}
		fmt.Fprintf(c.stdout, "leadline %s\n\n%s%s.\n", cmd.usage, strings.ToUpper(cmd.summary[:1]), cmd.summary[1:])
		return nil
	}
	fmt.Fprintln(c.stdout, "Leadline turns web forms into leads that a person calls within seconds.\n\nCommands:")
	for _, cmd := range commands() {
		fmt.Fprintf(c.stdout, "  %-26s %s\n", cmd.name, cmd.summary)
	}
	fmt.Fprintf(c.stdout, "\nSettings (environment, or a flag such as --addr for LEADLINE_ADDR):\n%s", config.Help())
	return nil
}

// helpTopic explains all commands that begin with a word, such as token; false when there are none.
func (c *call) helpTopic(word string) bool {
	found := false
	for _, cmd := range commands() {
		if strings.HasPrefix(cmd.name, word+" ") {
			fmt.Fprintf(c.stdout, "leadline %s\n    %s\n", cmd.usage, cmd.summary)
			found = true
		}
	}
	return found
}

// logger makes the log of a command: structured, on standard error, without personal data.
func (c *call) logger() *slog.Logger { return telemetry.NewLogger(c.stderr, c.cfg.LogLevel) }

// openDatabase opens the configured database or the private one. A server owns its private PostgreSQL: it starts it, or adopts
// the one that a killed server left behind, and nobody else serves from there. Other commands join what is up, and start and stop
// it themselves otherwise. The function it returns closes everything again.
func (c *call) openDatabase(ctx context.Context, log *slog.Logger, owner bool) (*postgres.DB, func(), error) {
	dsn, stop, err := c.database(ctx, log, owner)
	if err != nil {
		return nil, nil, err
	}
	db, err := postgres.Open(ctx, dsn)
	if err != nil {
		stop()
		return nil, nil, err
	}
	return db, func() { db.Close(); stop() }, nil
}

func (c *call) database(ctx context.Context, log *slog.Logger, owner bool) (dsn string, stop func(), err error) {
	if c.cfg.DatabaseURL != "" {
		return c.cfg.DatabaseURL, func() {}, nil
	}
	if !owner {
		if dsn, running := postgres.FindPrivate(c.cfg.DataDir); running { //nolint:contextcheck // it limits itself
			return dsn, func() {}, nil
		}
	}
	private, err := postgres.StartPrivate(ctx, postgres.PrivateOptions{DataDir: c.cfg.DataDir, Log: log, Now: c.now})
	if err != nil {
		return "", nil, err
	}
	return private.DSN(), func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		if err := private.Stop(ctx); err != nil {
			log.Error("private PostgreSQL did not stop", "error", err)
		}
	}, nil
}

// withDatabase runs a short command against a database whose schema fits this binary. A private database is brought up to
// date on the way; a configured one must have been migrated on purpose.
func (c *call) withDatabase(ctx context.Context, f func(db *postgres.DB) error) error {
	db, done, err := c.openDatabase(ctx, c.logger(), false)
	if err != nil {
		return err
	}
	defer done()
	if c.cfg.DatabaseURL == "" {
		err = migrations.Up(ctx, db.Jobs)
	} else {
		err = migrations.Check(ctx, db.Jobs)
	}
	if err != nil {
		return err
	}
	return f(db)
}

func migrate(ctx context.Context, c *call) error {
	db, done, err := c.openDatabase(ctx, c.logger(), false)
	if err != nil {
		return err
	}
	defer done()
	if err := migrations.Up(ctx, db.Jobs); err != nil {
		return err
	}
	fmt.Fprintln(c.stdout, "The schema is up to date.")
	return nil
}

// readPlaybook reads the files named on the command line. It answers with the warnings.
func (c *call) readPlaybook() (*playbook.Config, []playbook.Problem, error) {
	if len(c.args) == 0 {
		return nil, nil, usageError("name at least one file")
	}
	return c.readFiles(c.args)
}

// readFiles parses and checks configuration and prints every problem to standard error. It answers with the warnings.
func (c *call) readFiles(names []string) (*playbook.Config, []playbook.Problem, error) {
	var files []playbook.File
	for _, name := range names {
		src, err := c.readFile(name)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, playbook.File{Name: name, Source: src})
	}
	cfg, problems := playbook.ParseFiles(files)
	if !playbook.Failed(problems) {
		problems = append(problems, playbook.Check(cfg)...)
		problems = append(problems, playbook.CheckDates(cfg, c.now())...)
	}
	for _, p := range problems {
		fmt.Fprintln(c.stderr, p)
	}
	if playbook.Failed(problems) {
		return nil, nil, fmt.Errorf("the configuration has errors; nothing was loaded")
	}
	return cfg, problems, nil
}

func (c *call) readFile(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(c.stdin)
	}
	src, err := os.ReadFile(filepath.Clean(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s", name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", name, err)
	}
	return src, nil
}

func check(_ context.Context, c *call) error {
	cfg, _, err := c.readPlaybook()
	if err != nil {
		return err
	}
	fmt.Fprintln(c.stdout, "The configuration is fine.")
	fmt.Fprintln(c.stdout, playbook.MutationScore(cfg))
	return nil
}

func apply(ctx context.Context, c *call) error {
	cfg, problems, err := c.readPlaybook()
	if err != nil {
		return err
	}
	o := playbook.PublishOptions{Author: byCommand, Note: c.flags["note"], Acknowledged: c.acks()}
	if onto := c.flags["onto"]; onto != "" {
		if o.Expected, err = strconv.ParseInt(onto, 10, 64); err != nil || o.Expected < 1 {
			return usageError("--onto needs the number of a version")
		}
	}
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		if err := c.acknowledged(ctx, db, cfg, problems); err != nil {
			return err
		}
		number, changed, err := playbook.Publish(ctx, db, cfg, o)
		if err != nil {
			return err
		}
		if changed {
			fmt.Fprintf(c.stdout, "Version %d is live.\n", number)
		} else {
			fmt.Fprintf(c.stdout, "Nothing changed: version %d stays live; reps are up to date.\n", number)
		}
		fmt.Fprintln(c.stdout, playbook.MutationScore(cfg))
		return c.warnUnsetSecrets(ctx, db, cfg)
	})
}

// acknowledged compares the text with the leads of last week and the people who are there, prints what it finds, and refuses to go on while a warning stands that nobody
// has acknowledged.
func (c *call) acknowledged(ctx context.Context, db *postgres.DB, cfg *playbook.Config, problems []playbook.Problem) error {
	found, err := playbook.CheckStored(ctx, db, cfg, problems)
	if err != nil {
		return err
	}
	for _, p := range found {
		fmt.Fprintln(c.stderr, p)
	}
	if playbook.Failed(found) {
		return fmt.Errorf("the configuration has errors; nothing was published")
	}
	problems = slices.Concat(problems, found)
	open := playbook.Unacknowledged(problems, c.acks())
	if len(open) == 0 {
		return nil
	}
	var codes []string
	for _, p := range open {
		if !slices.Contains(codes, p.Code) {
			codes = append(codes, p.Code)
		}
	}
	return fmt.Errorf("nothing was published: %d of the warnings above are not acknowledged; change the text, or add --ack %s", len(open), strings.Join(codes, ","))
}

// acks are the warnings that are meant, as the command line names them.
func (c *call) acks() []string {
	return strings.FieldsFunc(c.flags["ack"], func(r rune) bool { return r == ',' || r == ' ' })
}

func export(ctx context.Context, c *call) error {
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		text, err := playbook.Export(ctx, db)
		if err != nil {
			return err
		}
		_, err = c.stdout.Write(text)
		return err
	})
}

func demoRemove(ctx context.Context, c *call) error {
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		if err := demo.Remove(ctx, db.Console); err != nil {
			return err
		}
		for _, name := range []string{sandboxJournal, sandboxAddress} {
			if err := os.Remove(filepath.Join(c.cfg.DataDir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		fmt.Fprintln(c.stdout, "All demo data is gone.")
		return nil
	})
}

func runSandbox(ctx context.Context, c *call) error {
	addr, smtpAddr := c.flags["addr"], c.flags["smtp-addr"]
	if addr == "" {
		addr = "127.0.0.1:9090"
	}
	if smtpAddr == "" {
		smtpAddr = "127.0.0.1:0"
	}
	log := c.logger()
	server := sandbox.New(sandbox.Options{Now: c.now, Log: log, SlackToken: c.flags["slack-token"], WebhookSecret: c.flags["webhook-secret"]})
	listener, err := sandboxListener(ctx, addr)
	if err != nil {
		return err
	}
	mailListener, err := sandboxListener(ctx, smtpAddr)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	// One line that ends with the web address: programs read it.
	fmt.Fprintf(c.stdout, "The vendor sandbox listens on smtp://%s and http://%s\n", mailListener.Addr(), listener.Addr())
	return serveSandbox(ctx, server, listener, mailListener)
}

// serveSandbox serves the vendors' pages and takes mail until the context ends or one of them fails.
func serveSandbox(ctx context.Context, server *sandbox.Server, listener, mailListener net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer func() { _ = server.Close() }() // ends the mail server too; what it kept is on disk already
		return serveHTTP(ctx, listener, server)
	})
	group.Go(func() error { return server.ServeSMTP(mailListener) })
	return group.Wait()
}

// sandboxListener listens on loopback only: the sandbox's controls have no sign-in.
func sandboxListener(ctx context.Context, addr string) (net.Listener, error) {
	if err := sandbox.CheckAddr(addr); err != nil {
		return nil, err
	}
	return (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
}

// serveHTTP serves until the context ends.
func serveHTTP(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		err := server.Close() // ends calls that hang on purpose too
		if served := <-done; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}
}

func runLoad(ctx context.Context, c *call) error {
	rate, err := strconv.ParseFloat(c.flags["rate"], 64)
	if err != nil || rate <= 0 {
		return usageError("--rate needs a number of leads per second")
	}
	duration, err := time.ParseDuration(c.flags["duration"])
	if err != nil || duration <= 0 {
		return usageError("--duration needs a time like 30s")
	}
	if c.flags["target"] == "" || c.flags["form"] == "" {
		return usageError("--target and --form are needed")
	}
	report, err := load.Run(ctx, load.Options{Target: c.flags["target"], Form: c.flags["form"], Rate: rate, Duration: duration, Now: c.now})
	if err != nil {
		return err
	}
	if c.flags["json"] != "" {
		err = json.NewEncoder(c.stdout).Encode(report)
	} else {
		fmt.Fprint(c.stdout, report)
	}
	if err == nil && report.OK == 0 {
		err = fmt.Errorf("not one lead was stored; check --target and --form")
	}
	return err
}
