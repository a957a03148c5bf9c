package drift

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/lead"
	"leadline/internal/mail"
	"leadline/internal/postgres"
	"leadline/internal/telemetry"
)

// The pace of Run. An owner hears of something new after writeEvery and announceEvery at most, and the mail server's time.
const (
	writeEvery    = time.Second
	announceEvery = 10 * time.Second
	stopWithin    = 3 * time.Second
)

// Options are what a Service needs.
type Options struct {
	DB    *postgres.DB
	Forms func() map[string]*lead.Form // the live configuration: who owns which form
	Mail  *mail.Sender                 // without a server, owners are told inside the product alone
	// Enqueue starts the job that sends a mail, in the transaction that makes it.
	Enqueue   func(ctx context.Context, tx pgx.Tx, mailID int64) error
	PublicURL string
	Now       func() time.Time
	Log       *slog.Logger
	Metrics   *telemetry.Metrics
}

// Service counts drift, writes it down and tells owners. A nil Service notes nothing. Safe for use by many goroutines.
type Service struct {
	o      Options
	counts *counts
	open   atomic.Int64 // groups nobody has dealt with, as last asked
}

// NewService makes a Service that notes at once; Run writes down.
func NewService(o Options) *Service { return &Service{o: o, counts: newCounts()} }

// Note counts what differs between a submission and its form. err is what intake said of it, or nil. Never blocks on the database, and
// costs a submission as it should be a look at its names.
func (s *Service) Note(form *lead.Form, raw *lead.Raw, err error) {
	if s == nil || err == nil && clean(form, raw) {
		return
	}
	for _, f := range findings(form, raw, err) {
		s.add(form, f)
	}
}

// NoteUnreadable counts a body that could not be read, by the type that it came with and the fault that says so.
func (s *Service) NoteUnreadable(form *lead.Form, contentType string, err error) {
	if s == nil {
		return
	}
	if f, ok := unreadable(contentType, err); ok {
		s.add(form, f)
	}
}

func (s *Service) add(form *lead.Form, f finding) {
	s.counts.add(form.Slug, form.Demo, f, s.o.Now())
	s.o.Metrics.Drift(form.Slug, string(f.kind))
}

// Open is how many groups nobody has dealt with, as of some seconds ago. 0 for a nil Service.
func (s *Service) Open() int {
	if s == nil {
		return 0
	}
	return int(s.open.Load())
}

// Configured tells whether owners are told by mail.
func (s *Service) Configured() bool { return s != nil && s.o.Mail.Configured() }

// Run writes counts down and tells owners until ctx ends, and then once more.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	s.round(ctx, true) // what another process wrote down and did not live to tell
	last := s.o.Now()
	for {
		select {
		case <-ctx.Done():
			final, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
			defer cancel()
			s.round(final, true)
			return nil
		case <-tick.C:
			due := s.o.Now().Sub(last) >= announceEvery
			s.round(ctx, due)
			if due {
				last = s.o.Now()
			}
		}
	}
}

// round writes down what was counted, and tells owners if it is time. Trouble with the database passes: counts stay in memory and the
// next round tries again.
func (s *Service) round(ctx context.Context, tell bool) {
	err := s.Write(ctx)
	if err == nil && tell {
		err = errors.Join(s.Announce(ctx), s.Recount(ctx))
	}
	if err != nil && ctx.Err() == nil {
		s.o.Log.Warn("what differs between forms and submissions could not be written down; it is kept and tried again", "error", err)
	}
}
