// Package live keeps consoles current: a board of open leads in memory, read from the event stream in commit order, and a hub
// that tells each console when its part changed.
//
// The hub knows channels only: sockets, HTML and cookies belong to the handlers. What it holds is a hint; every console can be
// composed afresh from the board, and the board from the tables. It assumes that whoever commits events calls Wake, which is a
// hint too: notifications from other processes and a poll each second find what nobody woke it for.
package live

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"leadline/internal/postgres"
	"leadline/internal/rep"
)

// Pauses of the hub's loops.
const (
	coalesce    = 5 * time.Millisecond  // events that commit together are read together
	nobodyLooks = 50 * time.Millisecond // the same, while no console is connected
	pollEvery   = time.Second
	forgetEvery = 10 * time.Minute
	leaveWithin = 3 * time.Second // how long Run waits for consoles to say goodbye
)

var errGap = errors.New("the event stream has a hole")

// Options is what a hub needs. Pools and Goal read the live configuration and must be safe for concurrent use.
type Options struct {
	DB    *postgres.DB
	Pools func(repEmail string) []string  // the pools whose leads the rep may take
	Goals func(pool string) time.Duration // first-touch goal; 0: none of its own
	// Due says when a goal is over for a lead of a pool, by the calendar of the pool; who holds it or is asked may be nil. May be nil: by the clock.
	Due  func(pool string, accepted time.Time, goal time.Duration, who *rep.Rep) time.Time
	Seen func(ctx context.Context, reps []uuid.UUID) error // these reps answered from a console just now
	// Polled hears of reps whose consoles ask over HTTP, because nothing can be told to them. May be nil.
	Polled func(ctx context.Context, reps []uuid.UUID) error
	// PresenceChanged asks dispatch to look again at who can take leads. It must not block.
	PresenceChanged func()
	Now             func() time.Time
	Log             *slog.Logger
}

// Hub owns the board and the list of connected consoles. All methods are safe for concurrent use.
type Hub struct {
	db    *postgres.DB
	pools func(string) []string
	goals func(string) time.Duration
	due   func(string, time.Time, time.Duration, *rep.Rep) time.Time
	now   func() time.Time
	log   *slog.Logger

	board  *Board
	people *attendance
	offset atomic.Int64 // database clock minus ours, in nanoseconds
	wake   chan struct{}
	tell   chan struct{}
	ready  chan struct{}

	mu     sync.Mutex
	subs   map[*Subscription]struct{}
	closed bool
	empty  chan struct{} // closed when the last console left after closing began
}

// New makes a hub; nothing happens before Run.
func New(o Options) *Hub {
	if o.Pools == nil {
		o.Pools = func(string) []string { return nil }
	}
	if o.Goals == nil {
		o.Goals = func(string) time.Duration { return 0 }
	}
	if o.Due == nil {
		o.Due = func(_ string, accepted time.Time, goal time.Duration, _ *rep.Rep) time.Time {
			return accepted.Add(goal)
		}
	}
	return &Hub{
		db: o.DB, pools: o.Pools, goals: o.Goals, due: o.Due, now: o.Now, log: o.Log,
		board:  newBoard(),
		people: newAttendance(o),
		wake:   make(chan struct{}, 1),
		tell:   make(chan struct{}, 1),
		ready:  make(chan struct{}),
		subs:   map[*Subscription]struct{}{},
		empty:  make(chan struct{}),
	}
}

// Run reads the board and keeps it current until ctx ends; then it closes the consoles that are still there. It owns all
// goroutines of the package.
func (h *Hub) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.read(ctx) })
	g.Go(func() error { return h.listen(ctx) })
	g.Go(func() error { return h.notify(ctx) })
	g.Go(func() error { return h.people.run(ctx) })
	err := g.Wait()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	return errors.Join(err, h.CloseConsoles(limit))
}

// Wake says that events were committed by this process. It never blocks.
func (h *Hub) Wake() {
	poke(h.wake)
	poke(h.tell)
}

// Ready is closed once the board was read for the first time.
func (h *Hub) Ready() <-chan struct{} { return h.ready }

// Board gives the board, for looking only.
func (h *Hub) Board() *Board { return h.board }

// Clock is the database's clock as well as this process can tell: the clock that deadlines are written in.
func (h *Hub) Clock() time.Time { return h.now().Add(time.Duration(h.offset.Load())) }

// read is the one goroutine that changes the board.
func (h *Hub) read(ctx context.Context) error {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	forget := time.NewTicker(forgetEvery)
	defer forget.Stop()
	built := false
	for {
		err := h.step(ctx, &built)
		if err != nil && ctx.Err() == nil {
			h.log.Warn("console board fell behind; reading again", "error", err)
			if errors.Is(err, errGap) {
				built = false
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-forget.C:
			h.board.forget(h.Clock().Add(-keepFinished))
		case <-poll.C:
			h.measureClock(ctx)
		case <-h.wake:
			pause(ctx, h.patience())
		}
	}
}

// patience is how long events may wait to be read with others. A console that connects meanwhile sees the board as it is, and the
// rest as it comes.
func (h *Hub) patience() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.subs) == 0 {
		return nobodyLooks
	}
	return coalesce
}

func (h *Hub) step(ctx context.Context, built *bool) error {
	if *built {
		return h.catchUp(ctx)
	}
	h.measureClock(ctx)
	if err := h.rebuild(ctx); err != nil {
		return err
	}
	*built = true
	select {
	case <-h.ready:
	default:
		close(h.ready)
	}
	return nil
}

// measureClock compares the database's clock with ours, half a round trip allowed for.
func (h *Hub) measureClock(ctx context.Context) {
	var there time.Time
	before := h.now()
	if err := h.db.Console.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&there); err != nil {
		return // the next poll tries again; reading the board reports a database that is away
	}
	here := before.Add(h.now().Sub(before) / 2)
	h.offset.Store(int64(there.Sub(here)))
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
