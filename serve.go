package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	netmail "net/mail"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"leadline/handlers"
	"leadline/internal/account"
	"leadline/internal/audit"
	"leadline/internal/crm"
	"leadline/internal/demo"
	"leadline/internal/dispatch"
	"leadline/internal/drift"
	"leadline/internal/erasure"
	"leadline/internal/failpoint"
	"leadline/internal/hold"
	"leadline/internal/intake"
	"leadline/internal/keyring"
	"leadline/internal/lead"
	"leadline/internal/live"
	"leadline/internal/mail"
	"leadline/internal/notify"
	"leadline/internal/outbound"
	"leadline/internal/outbox"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/privacy"
	"leadline/internal/rep"
	"leadline/internal/simulate"
	"leadline/internal/spam"
	"leadline/internal/spool"
	"leadline/internal/telemetry"
	"leadline/jobs"
	"leadline/migrations"
	"leadline/web"
)

// ballastSize is address space that is never touched, so that it takes no memory. The garbage collector counts it as in use and therefore
// lets that much more garbage gather between two collections: with the few megabytes that a server really uses they would come many times
// a second under load, and take a tenth of the processor time of a lead. A server that uses much is collected as if there were none.
const ballastSize = 64 << 20

// serve is the product: web, console and jobs in one process, until the context ends.
//
// Parts start in the order in which they depend on each other and stop in reverse: intake is refused first, then sockets end,
// the committer drains, dispatch and the writers finish, River stops, and only then do connections close.
func serve(ctx context.Context, c *call) error {
	ballast := make([]byte, ballastSize)
	defer runtime.KeepAlive(ballast)
	log := c.logger()
	secret, err := c.secret()
	if err != nil {
		return err
	}
	// Taken before anything else starts: two processes on one address are found out while nothing has to be undone.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.cfg.Addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s; choose another with LEADLINE_ADDR: %w", c.cfg.Addr, err)
	}
	defer func() { _ = listener.Close() }() // normally closed by the web server already
	tls, err := c.openTLS(ctx, log)
	if err != nil {
		return err
	}
	defer tls.close()

	db, closeDB, err := c.openDatabase(ctx, log, true)
	if err != nil {
		return err
	}
	defer closeDB()
	if err := c.prepareDatabase(ctx, db); err != nil {
		return err
	}
	ring, err := c.openKeyring(ctx, db)
	if err != nil {
		return err
	}
	if err := ring.Ready(ctx); err != nil { // a wrong key stops the start; intake never waits for one
		return err
	}
	// Before anybody is let in: a restored backup may hold people who were erased since.
	eraser := c.eraser(db, secret, log)
	if _, err := eraser.ReplayMissing(ctx); err != nil {
		return err
	}
	node, err := joinNode(ctx, db)
	if err != nil {
		return err
	}

	var show demoShow
	if c.flags["demo"] != "" {
		if show, err = c.startDemo(ctx, db, secret, log); err != nil {
			return err
		}
		defer show.stop()
	}
	p, err := c.assemble(ctx, foundation{db, node, ring, eraser, secret, tls}, show, log)
	if err != nil {
		return err
	}
	setup, err := c.setupLink(ctx, db)
	if err != nil {
		return err
	}
	return p.run(ctx, listener, func() { c.greet(show, setup) })
}

// eraser makes the part that erases people.
func (c *call) eraser(db *postgres.DB, secret []byte, log *slog.Logger) *erasure.Service {
	return erasure.New(erasure.Options{DB: db, Secret: secret, List: c.cfg.ErasureList, TableOf: erasure.Tables(db), Log: log})
}

// mailSender makes the part that sends mail: by the configured server, else in the demo by the sandbox's, else by none.
func (c *call) mailSender(ring *keyring.Ring, show demoShow) *mail.Sender {
	o := mail.Options{Server: c.cfg.SMTP, From: c.cfg.MailFrom, Now: c.now, Password: c.smtpPassword(ring)}
	if !o.Server.Given() && show.on {
		o.Server, o.From, o.Password = show.smtp, &netmail.Address{Name: "Leadline", Address: demo.MailFrom}, nil
	}
	return mail.New(o)
}

// smtpPassword resolves the reference that the setting may be, each time that it is asked.
func (c *call) smtpPassword(ring *keyring.Ring) func(ctx context.Context) (privacy.Secret, error) {
	given := string(c.cfg.SMTP.Password)
	return func(ctx context.Context) (privacy.Secret, error) {
		if name, ok := strings.CutPrefix(given, "secret:"); ok {
			return ring.Secrets().Lookup(ctx, name)
		}
		if name, ok := strings.CutPrefix(given, "env:"); ok {
			value, set := c.env(name)
			if !set {
				return "", fmt.Errorf("the environment variable with the mail server's password is not set")
			}
			return privacy.Secret(value), nil
		}
		return privacy.Secret(given), nil
	}
}

// setupLink is the link for the first admin; empty when there is one.
func (c *call) setupLink(ctx context.Context, db *postgres.DB) (string, error) {
	token, needed, err := account.NewStore(db.Gorm, c.now).SetupLink(ctx)
	if err != nil || !needed {
		return "", err
	}
	return c.cfg.PublicURL.String() + "/setup/" + token, nil
}

// foundation is what stands before the parts are made.
type foundation struct {
	db     *postgres.DB
	node   *postgres.Node
	ring   *keyring.Ring
	eraser *erasure.Service
	secret []byte
	tls    *tlsPort // nil: none
}

// parts is everything that runs while serving.
type parts struct {
	log      *slog.Logger
	node     *postgres.Node
	ring     *keyring.Ring
	eraser   *erasure.Service
	anchors  *audit.Anchorer
	playbook *playbook.Live
	spool    *spool.Spool
	intake   *intake.Service
	dispatch *dispatch.Service
	writer   *crm.Writer
	notify   *notify.Service
	drift    *drift.Service
	shadow   *simulate.Follower
	canary   *playbook.CanaryGuard
	backtest *simulate.Backtests
	jobs     *jobs.Client
	hub      *live.Hub
	spam     *spam.Guard
	holds    *hold.Store
	web      *web.Server
	tls      *tlsPort                        // nil: none
	trickle  func(ctx context.Context) error // nil: none
}

// assemble makes the parts and ties them together; nothing runs yet.
func (c *call) assemble(ctx context.Context, f foundation, show demoShow, log *slog.Logger) (*parts, error) {
	db, node, ring := f.db, f.node, f.ring
	metrics := telemetry.NewMetrics()
	reps, leads := rep.NewStore(db.Gorm), lead.NewStore(db.Gorm)
	accounts := account.NewStore(db.Gorm, c.now).WithSecret(f.secret)
	p := &parts{log: log, node: node, ring: ring, eraser: f.eraser, tls: f.tls, trickle: show.trickle}

	p.playbook = playbook.NewLive(db, show.lookup(c.env), log)
	p.playbook.UseSecrets(ring.Secrets().Lookup)
	if err := p.playbook.Refresh(ctx); err != nil {
		return nil, fmt.Errorf("load the live configuration: %w", err)
	}
	p.hub = live.New(live.Options{
		DB: db, Log: log, Now: c.now, Seen: reps.Seen,
		Pools: func(email string) []string { return p.playbook.Current().PoolsOf(email) },
		Goals: func(pool string) time.Duration {
			if found := p.playbook.Current().Pool(pool); found != nil {
				return found.FirstTouch
			}
			return 0
		},
		Due: func(pool string, accepted time.Time, goal time.Duration, who *rep.Rep) time.Time {
			if found := p.playbook.Current().Pool(pool); found != nil {
				return found.Due(accepted, goal, who)
			}
			return accepted.Add(goal)
		},
		Polled:          func(ctx context.Context, reps []uuid.UUID) error { return p.dispatch.Polled(ctx, reps) },
		PresenceChanged: func() { p.dispatch.PresenceChanged() },
	})

	// The store hands failed writes to River, whose worker needs the writer, which needs the store: the ring closes here.
	outboxStore := outbox.NewStore(func(ctx context.Context, tx pgx.Tx, refs []outbox.Ref) error { return p.jobs.Enqueue(ctx, tx, refs) })
	client := outbound.New(outbound.Options{Allow: c.cfg.OutboundAllow, AllowHost: show.allow})
	// A commit may have changed what a console or a chat card shows.
	committed := func() {
		p.hub.Wake()
		p.notify.Hint()
	}
	connections := func() []outbox.Connection { return p.playbook.Current().Connections }
	p.writer = crm.NewWriter(crm.Options{
		DB: db, Store: outboxStore, Node: node.ID(), Connections: connections, HTTP: client,
		Now: c.now, Log: log, OnCommit: committed, Metrics: metrics,
	})
	p.notify = notify.NewService(notify.Options{
		DB: db, Store: outboxStore, Node: node.ID(), Connections: connections, HTTP: client,
		PublicURL: c.cfg.PublicURL.String(), Now: c.now, Log: log, OnCommit: p.hub.Wake, Metrics: metrics,
	})
	var err error
	p.anchors, err = audit.NewAnchorer(audit.AnchorerOptions{
		DB: db, Destinations: c.cfg.AuditAnchor, Dir: c.cfg.DataDir, Sign: ring.Sign, PublicKey: ring.PublicKey, HTTP: client, Now: c.now, Log: log,
	})
	if err != nil {
		return nil, err
	}
	p.drift = drift.NewService(drift.Options{
		DB: db, Forms: func() map[string]*lead.Form { return p.playbook.Current().Forms }, Mail: c.mailSender(ring, show),
		Enqueue: func(ctx context.Context, tx pgx.Tx, mailID int64) error {
			return p.jobs.EnqueueDriftMail(ctx, tx, mailID)
		},
		PublicURL: c.cfg.PublicURL.String(), Now: c.now, Log: log, Metrics: metrics,
	})
	if p.jobs, err = jobs.New(jobs.Options{DB: db, Writer: p.writer, Drift: p.drift, Seal: ring.Envelope, Now: c.now, Log: log}); err != nil {
		return nil, err
	}

	p.dispatch = dispatch.New(dispatch.Options{
		DB: db, Node: node.ID(), Outbox: outboxStore, Now: c.now, Log: log, Metrics: metrics,
		Snapshot: func() dispatch.Snapshot {
			current := p.playbook.Current()
			return dispatch.Snapshot{Table: current.Table, Hash: current.Hash, Canary: current.Canary, Targets: current.Targets(), Roster: p.playbook.Roster()}
		},
		OnCommit:  committed,
		OnClaimed: p.writer.Submit,
	})
	p.playbook.WhenPeopleChange(p.dispatch.PresenceChanged)
	p.backtest = simulate.NewBacktests(db, node.ID(), log)
	p.canary = playbook.NewCanaryGuard(db, log, 0)
	p.shadow = simulate.NewFollower(simulate.FollowerOptions{DB: db, Roster: p.playbook.Roster, Log: log, Metrics: metrics})
	p.spool, err = spool.Open(spool.Options{
		Dir: filepath.Join(c.cfg.DataDir, "spool"), Node: node.ID(), Now: c.now, Log: log, Seal: ring.Envelope, Open: ring.OpenEnvelope,
	})
	if err != nil {
		return nil, err
	}
	p.intake = intake.New(intake.Options{
		DB: db, Secret: f.secret, Seal: ring.Envelope, Node: node.ID(), Now: c.now, NewID: newID, Log: log, Spool: p.spool, Metrics: metrics,
		Erased:  p.eraser.ErasedSince,
		Persons: func() bool { return p.playbook.Current().AsksWho() },
		Waiting: p.dispatch.Waiting, Committed: p.dispatch.Wake, BatchCommitted: metrics.CommitBatch, EventsWritten: p.hub.Wake,
		// A corrected answer reaches the CRM like any other change: written down with it, sent after the commit.
		Amended: func(ctx context.Context, tx pgx.Tx, id uuid.UUID) (func(), error) {
			claimed, err := outboxStore.Bump(ctx, tx, node.ID(), id)
			return func() { p.writer.Submit(claimed) }, err
		},
	})
	spent := spam.NewSpentStore(db.Gorm)
	if p.spam, err = spam.New(spam.Options{Secret: f.secret, Now: c.now, Log: log, Dir: c.cfg.ReputationDir, Spend: spent.Spend}); err != nil {
		return nil, err
	}
	if err := p.spam.Load(); err != nil {
		return nil, fmt.Errorf("LEADLINE_REPUTATION_DIR: %w", err)
	}
	p.holds = hold.NewStore(hold.Options{
		DB: db.Gorm, Node: node.ID(), Log: log, Metrics: metrics, Released: p.dispatch.Wake, Changed: p.hub.Wake,
	})
	p.web, err = web.New(web.Deps{ //nolint:contextcheck // requests bring their own
		PublicURL: c.cfg.PublicURL, TrustedProxies: c.cfg.TrustedProxies, Log: log, Now: c.now, Metrics: metrics,
		Accounts: accounts, Behind: p.intake.Delay, Connections: c.cfg.Connections, PerAddress: c.cfg.PerAddress, Challenge: f.tls.challenges(c.cfg.Addr),
		Handlers: handlers.Deps{
			DB: db, Intake: p.intake, Dispatch: p.dispatch, Leads: leads, Holds: p.holds, Spam: p.spam, Reps: reps, Playbook: p.playbook, Accounts: accounts, Hub: p.hub,
			Drift: p.drift, Backtests: p.backtest, Metrics: metrics, PublicURL: c.cfg.PublicURL.String(), Now: c.now, Log: log,
			Payloads: lead.NewPayloadStore(db.Gorm, ring.OpenEnvelope),
			Audit:    handlers.AuditDeps{Store: audit.NewStore(db.Gorm, c.now), Anchoring: p.anchors.State, Verify: c.verifyNewest(db)},
		},
	})
	return p, err
}

// run starts everything, calls ready once the door is open, and returns when all has stopped again.
func (p *parts) run(ctx context.Context, listener net.Listener, ready func()) error {
	// inner outlives ctx: what is in flight finishes after the door has closed.
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	group, inner := errgroup.WithContext(inner)
	for _, part := range []func(context.Context) error{p.node.Run, p.ring.Run, p.eraser.Run, p.playbook.Run, p.hub.Run, p.writer.Run, p.notify.Run, p.dispatch.Run, p.drift.Run, p.spam.Run, p.holds.Run, p.shadow.Run, p.canary.Run, p.backtest.Run} {
		group.Go(func() error { return part(inner) })
	}
	if err := p.jobs.Start(inner); err != nil {
		return fmt.Errorf("start the job queue: %w", err)
	}
	intakeCtx, stopIntake := context.WithCancel(inner)
	defer stopIntake()
	intakeDone := make(chan error, 1)
	go func() { intakeDone <- p.intake.Run(intakeCtx) }()
	group.Go(func() error { return p.web.Serve(failpoint.Listener(listener)) })
	if p.tls != nil {
		group.Go(func() error { return p.web.ServeTLS(p.tls.edge) }) //nolint:contextcheck // requests bring their own
		group.Go(func() error { return p.tls.run(inner) })
	}
	anchorCtx, stopAnchors := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAnchors()
	anchored := make(chan error, 1)
	go func() { anchored <- p.anchors.Run(anchorCtx) }()
	if p.trickle != nil {
		group.Go(func() error { return p.trickle(ctx) })
	}
	ready()

	select {
	case <-ctx.Done():
	case <-inner.Done():
	}
	p.log.Info("stopping")
	limit, release := context.WithTimeout(context.WithoutCancel(ctx), 25*time.Second)
	defer release()
	stopped := errors.Join(p.hub.CloseConsoles(limit), p.web.Shutdown(limit))
	stopIntake()
	stopped = errors.Join(stopped, <-intakeDone, p.jobs.Stop(limit))
	p.spool.Close()
	cancel()
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		stopped = errors.Join(stopped, err)
	}
	stopAnchors() // after all who write to the audit chain
	return errors.Join(stopped, <-anchored, p.node.Leave(limit))
}

// prepareDatabase brings the schema up to date (or checks it) and refuses a server that could lose an acknowledged lead.
func (c *call) prepareDatabase(ctx context.Context, db *postgres.DB) error {
	if err := postgres.CheckDurability(ctx, db.Jobs, c.cfg.Production && !c.cfg.SingleNodeDB); err != nil {
		return err
	}
	if c.flags["no-migrate"] != "" {
		return migrations.Check(ctx, db.Jobs)
	}
	return migrations.Up(ctx, db.Jobs)
}

func joinNode(ctx context.Context, db *postgres.DB) (*postgres.Node, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return postgres.JoinNode(ctx, db, host)
}

// newID makes a UUIDv7: index inserts stay local, and the last 40 bits, which people read to each other, are random.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// secret is the configured secret, or the one kept in the data directory, made at the first start.
func (c *call) secret() ([]byte, error) {
	if c.cfg.Secret != nil {
		return c.cfg.Secret, nil
	}
	if err := os.MkdirAll(c.cfg.DataDir, 0o755); err != nil { //nolint:gosec // the PostgreSQL user must be able to enter it
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	name := filepath.Join(c.cfg.DataDir, "secret")
	if text, err := os.ReadFile(filepath.Clean(name)); err == nil {
		secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
		if err != nil || len(secret) != 32 {
			return nil, fmt.Errorf("%s does not hold 32 bytes in base64; restore it from a backup", name)
		}
		return secret, nil
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return nil, fmt.Errorf("make a secret: %w", err)
	}
	if err := os.WriteFile(name, []byte(base64.StdEncoding.EncodeToString(secret)+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("keep the secret: %w", err)
	}
	return secret, nil
}
