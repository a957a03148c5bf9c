// Package dispatch turns routing decisions into offers, and offers into claims.
//
// One transaction per batch takes leads that need a place (new ones, and those whose offer ended or whose wait may be over),
// decides, allocates with the pools' rows locked, and writes offers, trace, deliveries and events together. Every cause runs
// through the same code. The tables are the truth: deadlines are compared with the database's clock, and what this process
// keeps in memory (a timer, a counter of waiting leads) only makes it faster.
//
// Lock order, everywhere: lead rows by id, pool_state rows by slug, rep rows by id, deliveries, alarms, and the event stream last.
//
// It assumes a migrated database and a node that shows by its advisory lock that this process lives. main owns Run; intake calls
// Wake and Waiting; handlers call Claim, Pass, Outcome, Shown, Alarms and PresenceChanged.
package dispatch

import (
	"log/slog"
	"sync/atomic"
	"time"

	"leadline/internal/outbox"
	"leadline/internal/postgres"
	"leadline/internal/rep"
	"leadline/internal/routing"
	"leadline/internal/telemetry"
)

// Snapshot is what dispatch needs of the live configuration. A nil Table, or one of version 0, means that none was
// applied yet: leads then wait, and are placed as soon as there is one.
type Snapshot struct {
	Table   *routing.Table
	Hash    string          // of the version's content; stored with each decision
	Canary  *routing.Canary // decides in place of Table for some leads; nil: there is none
	Targets []outbox.Target // what every new lead must reach
	Roster  *rep.Roster     // who works when; nil: by hours alone
}

// Options are what a Service needs. DB, Outbox, Snapshot and Now are required; functions may be nil where noted.
type Options struct {
	DB       *postgres.DB
	Node     int64           // this process, as leads and deliveries are stamped
	Snapshot func() Snapshot // the live configuration; must not block
	Outbox   *outbox.Store
	Now      func() time.Time // for durations; deadlines use the database's clock
	Log      *slog.Logger
	Metrics  *telemetry.Metrics // nil: none

	WatchEvery time.Duration // how often the promise that every lead has somebody is checked; 0: each minute

	OnCommit  func()                 // events were committed: wake the live stream. May be nil; must not block
	OnClaimed func([]outbox.Claimed) // deliveries leased to this process, after their commit. May be nil; must not block
}

// Service places leads and answers claims. All methods are safe for concurrent use; Run is called once.
type Service struct {
	Options

	waiting atomic.Int64  // see Wake
	screens screens       // offers that consoles have confirmed
	newWork chan struct{} // committed leads wait
	changed chan struct{} // somebody's presence changed
	rearm   chan struct{} // a deadline was set by another goroutine
}

// New makes a Service. Nothing happens before Run, except that Claim, Pass and Outcome work at once.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.WatchEvery == 0 {
		o.WatchEvery = watchEvery
	}
	if o.OnCommit == nil {
		o.OnCommit = func() {}
	}
	if o.OnClaimed == nil {
		o.OnClaimed = func([]outbox.Claimed) {}
	}
	return &Service{
		Options: o,
		screens: newScreens(),
		newWork: make(chan struct{}, 1),
		changed: make(chan struct{}, 1),
		rearm:   make(chan struct{}, 1),
	}
}

// Wake says that n new leads of this process were committed. It never blocks.
func (s *Service) Wake(n int) {
	s.waiting.Add(int64(n))
	poke(s.newWork)
}

// Waiting tells how many committed leads of this process wait for dispatch: what the admission gate of intake looks at. It may
// be off for milliseconds, and corrects itself whenever nothing is found to do.
func (s *Service) Waiting() int { return int(max(0, s.waiting.Load())) }

// PresenceChanged asks for another look at open offers and waiting leads: whenever somebody may be able to take leads who was not
// before, or the other way round. It never blocks.
func (s *Service) PresenceChanged() { poke(s.changed) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// effects are what a committed transaction has brought about.
type effects struct {
	claimed []outbox.Claimed
	events  bool
	moved   int           // leads whose place changed
	nearest time.Duration // until the first deadline or step of a clock that was set; 0: none was
	freed   bool          // somebody may take leads now who could not before, or the other way round
	delays  []delay
}

// delay is what a person took until something.
type delay struct {
	until   routing.ClockKind
	seconds float64
}

// soon notes that something is due after a while; 0: nothing is.
func (e *effects) soon(after time.Duration) {
	if after > 0 && (e.nearest == 0 || after < e.nearest) {
		e.nearest = after
	}
}

// announce tells the rest of the process about a commit.
func (s *Service) announce(e effects) {
	if e.events {
		s.OnCommit()
	}
	if len(e.claimed) > 0 {
		s.OnClaimed(e.claimed)
	}
	if e.freed {
		poke(s.changed)
	}
	for _, d := range e.delays {
		s.Metrics.HumanDelay(string(d.until), d.seconds)
	}
}
