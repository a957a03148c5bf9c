package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"leadline/handlers"
	"leadline/internal/account"
	"leadline/internal/config"
	"leadline/internal/dispatch"
	"leadline/internal/drift"
	"leadline/internal/intake"
	"leadline/internal/keyring"
	"leadline/internal/lead"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/rep"
	"leadline/internal/spam"
	"leadline/internal/telemetry"
	"leadline/web"
)

// playCapture serves forms as the product does, with the product's own web server, handlers, keys and intake, and leaves everything
// after the commit undone: nothing dispatches, so leads stay new. That is how intake is measured alone without a switch in the
// product. Arguments: the database's address and, if wanted, a file for a profile of its processor time.
func playCapture(ctx context.Context, args []string) error {
	ballast := make([]byte, 64<<20) // as serve has it
	defer runtime.KeepAlive(ballast)
	db, err := postgres.Open(ctx, args[0])
	if err != nil {
		return err
	}
	defer db.Close()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	service, server, err := assembleCapture(ctx, db, "http://"+listener.Addr().String())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if len(args) > 1 {
		stop, err := startProfile(args[1])
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		defer stop()
	}
	intakeCtx, stopIntake := context.WithCancel(context.WithoutCancel(ctx))
	defer stopIntake()
	done := make(chan error, 2)
	go func() { done <- service.Run(intakeCtx) }()
	go func() { done <- server.Serve(listener) }()
	ready(listener.Addr().String())
	<-ctx.Done()
	limit, release := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer release()
	err = server.Shutdown(limit)
	stopIntake()
	return errors.Join(err, <-done, <-done)
}

// assembleCapture wires what a form post passes through, as serve does.
func assembleCapture(ctx context.Context, db *postgres.DB, address string) (*intake.Service, *web.Server, error) {
	log := telemetry.NewLogger(os.Stderr, slog.LevelInfo)
	secret := make([]byte, 32)
	master, err := keyring.ReadMaster(ctx, secret, config.KeySource{}, config.KeySource{})
	if err != nil {
		return nil, nil, err
	}
	ring, err := keyring.Open(ctx, db, master)
	if err != nil {
		return nil, nil, err
	}
	if err := ring.Ready(ctx); err != nil {
		return nil, nil, err
	}
	live := playbook.NewLive(db, func(string) (string, bool) { return "", false }, log)
	if err := live.Refresh(ctx); err != nil {
		return nil, nil, err
	}
	public, err := url.Parse(address)
	if err != nil {
		return nil, nil, fmt.Errorf("read the own address: %w", err)
	}
	metrics, accounts := telemetry.NewMetrics(), account.NewStore(db.Gorm, time.Now).WithSecret(secret)
	service := intake.New(intake.Options{DB: db, Secret: secret, Seal: ring.Envelope, Node: 1, Now: time.Now, Log: log, BatchCommitted: metrics.CommitBatch, Metrics: metrics})
	guard, err := spam.New(spam.Options{Secret: secret, Now: time.Now, Log: log, Spend: spam.NewSpentStore(db.Gorm).Spend})
	if err != nil {
		return nil, nil, err
	}
	grown := drift.NewService(drift.Options{
		DB: db, Forms: func() map[string]*lead.Form { return live.Current().Forms }, PublicURL: address, Now: time.Now, Log: log, Metrics: metrics,
	})
	server, err := web.New(web.Deps{ //nolint:contextcheck // requests bring their own
		PublicURL: public, Log: log, Now: time.Now, Metrics: metrics, Accounts: accounts, Behind: service.Delay,
		Handlers: handlers.Deps{
			DB: db, Intake: service, Spam: guard, Drift: grown, Dispatch: dispatch.New(dispatch.Options{DB: db, Now: time.Now}), Leads: lead.NewStore(db.Gorm), Reps: rep.NewStore(db.Gorm),
			Playbook: live, Accounts: accounts, Metrics: metrics, PublicURL: address, Now: time.Now, Log: log,
			Payloads: lead.NewPayloadStore(db.Gorm, ring.OpenEnvelope),
		},
	})
	return service, server, err
}

// startProfile writes where processor time goes, until stop.
func startProfile(name string) (stop func(), err error) {
	file, err := os.Create(name) //nolint:gosec // the developer who runs this named it
	if err != nil {
		return nil, fmt.Errorf("make the profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("start the profile: %w", err), file.Close())
	}
	return func() { pprof.StopCPUProfile(); _ = file.Close() }, nil
}
