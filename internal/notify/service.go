package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"leadline/internal/outbound"
	"leadline/internal/outbox"
	"leadline/internal/postgres"
	"leadline/internal/telemetry"
)

// Options are what a Service needs. Limits and Metrics may be left out.
type Options struct {
	DB          *postgres.DB
	Store       *outbox.Store
	Node        int64
	Connections func() []outbox.Connection // the live configuration
	HTTP        *outbound.Client
	PublicURL   string // how people reach us
	Limits      Limits
	Metrics     *telemetry.Metrics
	Now         func() time.Time
	Log         *slog.Logger
	OnCommit    func() // events were written; may be nil
}

// Limits are the numbers of one channel. A zero takes the value named.
type Limits struct {
	PostEvery   time.Duration // one message per channel; 1.05 s, a little over what Slack allows
	UpdateEvery time.Duration // one change; 1.25 s, Slack's tier 3
	Poll        time.Duration // how often rows are looked for without a hint; 1 s
	Call        time.Duration // one call; 3 s, well within the lease
	LookAfter   time.Duration // a lost answer: wait before looking for the message; 2 s
	PauseRetry  time.Duration // while the connection is paused; 1 min
	DigestAbove int           // cards that may wait for their turn; more become a digest; 5
}

func (l Limits) withDefaults() Limits {
	orElse := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	orElse(&l.PostEvery, 1050*time.Millisecond)
	orElse(&l.UpdateEvery, 1250*time.Millisecond)
	orElse(&l.Poll, time.Second)
	orElse(&l.Call, 3*time.Second)
	orElse(&l.LookAfter, 2*time.Second)
	orElse(&l.PauseRetry, time.Minute)
	if l.DigestAbove <= 0 {
		l.DigestAbove = 5
	}
	return l
}

// Service posts cards. Run owns one goroutine per chat connection, so that a channel that is down delays no other.
type Service struct {
	o    Options
	hint chan struct{}
}

// NewService makes a Service.
func NewService(o Options) *Service {
	o.Limits = o.Limits.withDefaults()
	return &Service{o: o, hint: make(chan struct{}, 1)}
}

// Hint says that rows may be due; it never blocks. Without it they are found a second later.
func (s *Service) Hint() {
	select {
	case s.hint <- struct{}{}:
	default:
	}
}

const gaugesEvery = 5 * time.Second

// Run posts until ctx ends. A call in flight is cut short; the next process asks the channel whether it arrived.
func (s *Service) Run(ctx context.Context) error {
	posters := make(map[string]*poster)
	var running sync.WaitGroup
	defer running.Wait()
	poll := time.NewTicker(s.o.Limits.Poll)
	defer poll.Stop()
	gauges := time.NewTicker(gaugesEvery)
	defer gauges.Stop()
	for {
		for _, c := range s.o.Connections() {
			if c.Destination != outbox.Chat {
				continue
			}
			p := posters[c.Slug]
			if p == nil {
				p = &poster{s: s, slug: c.Slug, wake: make(chan struct{}, 1)}
				posters[c.Slug] = p
				running.Go(func() { p.run(ctx) })
			}
			p.poke()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.hint:
		case <-poll.C:
		case <-gauges.C:
			s.showWaiting(ctx)
		}
	}
}

func (s *Service) showWaiting(ctx context.Context) {
	n, oldest, err := s.o.Store.Waiting(ctx, s.o.DB.Jobs, outbox.Chat)
	if err != nil {
		if ctx.Err() == nil {
			s.o.Log.Warn("waiting chat cards were not counted", "error", err.Error())
		}
		return
	}
	s.o.Metrics.QueueDepth("chat", n)
	s.o.Metrics.OldestPending("chat", oldest.Seconds())
}

// settings gives the connection as it is configured now.
func (s *Service) settings(slug string) outbox.Connection {
	for _, c := range s.o.Connections() {
		if c.Slug == slug {
			return c
		}
	}
	return outbox.Connection{Slug: slug, Missing: "the connection is no longer in the configuration"}
}

// newChannel makes the vendor's client of a connection.
func (s *Service) newChannel(c outbox.Connection) (Channel, error) {
	switch {
	case c.Missing != "":
		return nil, errors.New(c.Missing)
	case c.Kind == "slack":
		return newSlack(c, s.o.HTTP, s.o.PublicURL)
	}
	return nil, fmt.Errorf("there is no chat of kind %q", c.Kind)
}
