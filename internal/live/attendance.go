package live

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"leadline/internal/rep"
)

// seenEvery is how often answers to pings reach the database: several times within rep.AwayAfter, once for all reps.
const seenEvery = 2 * time.Second

// attendance knows which reps have a console open here. Answers to pings are collected and written together; the first
// console of a rep counts at once, and when the last one goes dispatch looks again at the moment the rep stops counting as
// reachable: a page change closes and opens a console within that time and must cost nobody an offer.
type attendance struct {
	seen    func(context.Context, []uuid.UUID) error
	asked   func(context.Context, []uuid.UUID) error
	changed func()
	log     *slog.Logger
	now     func() time.Time

	first chan struct{}

	mu     sync.Mutex
	open   map[uuid.UUID]int
	heard  map[uuid.UUID]bool // since the last write
	polls  map[uuid.UUID]bool // of these, over HTTP
	fresh  bool               // somebody's first console came since the last write
	absent map[uuid.UUID]time.Time
}

func newAttendance(o Options) *attendance {
	a := &attendance{
		seen: o.Seen, asked: o.Polled, changed: o.PresenceChanged, log: o.Log, now: o.Now,
		first: make(chan struct{}, 1),
		open:  map[uuid.UUID]int{}, heard: map[uuid.UUID]bool{}, polls: map[uuid.UUID]bool{}, absent: map[uuid.UUID]time.Time{},
	}
	if a.seen == nil {
		a.seen = func(context.Context, []uuid.UUID) error { return nil }
	}
	if a.asked == nil {
		a.asked = func(context.Context, []uuid.UUID) error { return nil }
	}
	if a.changed == nil {
		a.changed = func() {}
	}
	return a
}

func (a *attendance) arrive(id uuid.UUID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open[id]++
	a.heard[id] = true
	delete(a.absent, id)
	if a.open[id] == 1 {
		a.fresh = true
		poke(a.first)
	}
}

func (a *attendance) leave(id uuid.UUID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[id]--; a.open[id] <= 0 {
		delete(a.open, id)
		a.absent[id] = a.now().Add(rep.AwayAfter)
	}
}

func (a *attendance) alive(id uuid.UUID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heard[id] = true
}

// polled notes a console that has no socket and asks over HTTP instead.
func (a *attendance) polled(id uuid.UUID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heard[id] = true
	a.polls[id] = a.open[id] == 0
	if _, here := a.absent[id]; a.open[id] == 0 && !here {
		a.fresh = true
		poke(a.first)
	}
	if a.open[id] == 0 {
		a.absent[id] = a.now().Add(rep.AwayAfter)
	}
}

func (a *attendance) run(ctx context.Context) error {
	tick := time.NewTicker(seenEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.first:
		case <-tick.C:
		}
		a.write(ctx)
	}
}

func (a *attendance) write(ctx context.Context) {
	a.mu.Lock()
	heard := slices.Collect(maps.Keys(a.heard))
	var polls []uuid.UUID
	for id, alone := range a.polls {
		if alone {
			polls = append(polls, id)
		}
	}
	look := a.fresh
	clear(a.heard)
	clear(a.polls)
	a.fresh = false
	for id, at := range a.absent {
		if a.now().After(at) {
			delete(a.absent, id)
			look = true
		}
	}
	a.mu.Unlock()
	if len(heard) > 0 {
		if err := a.seen(ctx, heard); err != nil && ctx.Err() == nil {
			a.log.Warn("reachability of reps was not written; the next pong tries again", "error", err)
		}
	}
	if len(polls) > 0 {
		if err := a.asked(ctx, polls); err != nil && ctx.Err() == nil {
			a.log.Warn("consoles that poll were not noted; the next poll tries again", "error", err)
		}
	}
	if look {
		a.changed()
	}
}
