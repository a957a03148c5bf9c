package live

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Audience says who sits at a console.
type Audience struct {
	RepID *uuid.UUID // nil: a person who only watches
	Email string
	All   bool // sees every pool
}

// Subscription is one connected console. Signals carry no data: the console composes its view when it is ready to send, so a
// slow one skips what was overtaken and nothing ever queues up.
type Subscription struct {
	hub    *Hub
	who    Audience
	change chan struct{}
	done   chan struct{}
	urgent atomic.Bool

	mu    sync.Mutex
	pools []string
}

// Subscribe adds a console. The caller must Unsubscribe when it goes. ok is false when the hub is closing.
func (h *Hub) Subscribe(who Audience) (sub *Subscription, ok bool) {
	sub = &Subscription{hub: h, who: who, change: make(chan struct{}, 1), done: make(chan struct{}), pools: h.pools(who.Email)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, false
	}
	h.subs[sub] = struct{}{}
	if who.RepID != nil {
		h.people.arrive(*who.RepID)
	}
	return sub, true
}

// Unsubscribe removes a console. Repeating it does nothing.
func (h *Hub) Unsubscribe(sub *Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, there := h.subs[sub]; !there {
		return
	}
	delete(h.subs, sub)
	if sub.who.RepID != nil {
		h.people.leave(*sub.who.RepID)
	}
	if h.closed && len(h.subs) == 0 {
		close(h.empty)
	}
}

// Consoles is the number of consoles connected to this process.
func (h *Hub) Consoles() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subs)
}

// Changed delivers at most one pending signal: something in this console's part of the board is different.
func (s *Subscription) Changed() <-chan struct{} { return s.change }

// Urgent tells, once, whether a change since the last call concerned the rep in person and so must not wait.
func (s *Subscription) Urgent() bool { return s.urgent.Swap(false) }

// Done is closed when the process stops and the console should connect elsewhere.
func (s *Subscription) Done() <-chan struct{} { return s.done }

// Alive records that the console answered a ping.
func (s *Subscription) Alive() {
	if s.who.RepID != nil {
		s.hub.people.alive(*s.who.RepID)
	}
}

// Polled records that a console without a socket asked over HTTP.
func (h *Hub) Polled(repID uuid.UUID) { h.people.polled(repID) }

// View composes what the console should show now. since is the position of its last view, day the start of the rep's day.
func (s *Subscription) View(since int64, day time.Time) View {
	pools := s.hub.pools(s.who.Email)
	s.mu.Lock()
	s.pools = pools
	s.mu.Unlock()
	return s.hub.ViewOf(s.who, since, day)
}

// ViewOf composes a console for a page or a poll, without a subscription.
func (h *Hub) ViewOf(who Audience, since int64, day time.Time) View {
	v := Viewer{RepID: who.RepID, All: who.All, Since: since, Day: day}
	if !who.All {
		v.Pools = h.pools(who.Email)
	}
	return h.board.View(v, h.Clock())
}

// signal wakes the consoles that a change concerns.
func (h *Hub) signal(t touched) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for sub := range h.subs {
		mine := sub.who.RepID != nil && t.reps[*sub.who.RepID]
		if mine {
			sub.urgent.Store(true)
		}
		if mine || sub.sees(t.pools) {
			poke(sub.change)
		}
	}
}

func (s *Subscription) sees(pools map[string]bool) bool {
	if s.who.All {
		return len(pools) > 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.pools, func(p string) bool { return pools[p] })
}

func (h *Hub) signalAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for sub := range h.subs {
		poke(sub.change)
	}
}

// CloseConsoles asks every console to leave (Done), admits no more, and waits until they are gone or ctx ends.
func (h *Hub) CloseConsoles(ctx context.Context) error {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		for sub := range h.subs {
			close(sub.done)
		}
		if len(h.subs) == 0 {
			close(h.empty)
		}
	}
	h.mu.Unlock()
	select {
	case <-h.empty:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d consoles did not close in time", h.Consoles())
	}
}
