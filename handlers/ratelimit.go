package handlers

import (
	"net/netip"
	"sync"
	"time"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/machine"
)

// maxPlaces bounds the memory of a limiter: some 10 MiB.
const maxPlaces = 50_000

// limiter keeps each network address to a form's rate, and each machine client to its own, by the generic cell rate algorithm: one
// moment per sender says when its allowance is whole again. An address of IPv6 counts by its /64, which is what one household or office gets.
type limiter struct {
	now func() time.Time
	mu  sync.Mutex
	tat map[sender]time.Time // theoretical arrival time: in the past, it says nothing
}

// sender is a network that posts to a form, or a client.
type sender struct {
	form   string
	prefix netip.Prefix
	client string
}

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, tat: map[sender]time.Time{}}
}

// take counts one submission, or says with a Throttled fault when the next one may come. A form without a limit counts nothing.
func (l *limiter) take(form *lead.Form, address string) error {
	return l.count(form.PerIP, sender{form: form.Slug, prefix: network(address)},
		"Too many answers came from your network just now. Yours is not lost: it is sent again in a moment.")
}

// takeSigned is take for what a machine client sends.
func (l *limiter) takeSigned(client *machine.Client) error {
	return l.count(client.Limit, sender{client: client.Slug}, "This client sends more than was agreed. Send it again when Retry-After is over.")
}

func (l *limiter) count(rate lead.Rate, at sender, message string) error {
	if rate.Events <= 0 || rate.Per <= 0 {
		return nil
	}
	each := rate.Per / time.Duration(rate.Events)
	now := l.now()

	l.mu.Lock()
	defer l.mu.Unlock()
	tat := l.tat[at]
	if tat.Before(now) {
		tat = now
	}
	if wait := tat.Add(each).Sub(now) - rate.Per; wait > 0 {
		return &fault.Error{Kind: fault.Throttled, RetryAfter: wait, Message: message}
	}
	l.forget(now)
	l.tat[at] = tat.Add(each)
	return nil
}

// forget makes room: moments in the past say nothing, and if that is not enough any one goes (map order is random).
func (l *limiter) forget(now time.Time) {
	if len(l.tat) < maxPlaces {
		return
	}
	for at, tat := range l.tat {
		if tat.Before(now) {
			delete(l.tat, at)
		}
	}
	for at := range l.tat {
		if len(l.tat) < maxPlaces {
			return
		}
		delete(l.tat, at)
	}
}

// network is what one sender is likely to own.
func network(address string) netip.Prefix {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits) // the length fits the kind
	return prefix
}
