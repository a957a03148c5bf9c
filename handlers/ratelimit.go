package handlers

import (
	"net/netip"
	"sync"
	"time"

	"leadline/internal/fault"
	"leadline/internal/lead"
)

// maxPlaces bounds the memory of a limiter: some 10 MiB.
const maxPlaces = 50_000

// limiter keeps each network address to a form's rate by the generic cell rate algorithm: one moment per address says when its
// allowance is whole again. An address of IPv6 counts by its /64, which is what one household or office gets.
type limiter struct {
	now func() time.Time
	mu  sync.Mutex
	tat map[sender]time.Time // theoretical arrival time: in the past, it says nothing
}

type sender struct {
	form   string
	prefix netip.Prefix
}

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, tat: map[sender]time.Time{}}
}

// take counts one submission, or says with a Throttled fault when the next one may come. A form without a limit counts nothing.
func (l *limiter) take(form *lead.Form, address string) error {
	if form.PerIP.Events <= 0 || form.PerIP.Per <= 0 {
		return nil
	}
	each := form.PerIP.Per / time.Duration(form.PerIP.Events)
	now, at := l.now(), sender{form: form.Slug, prefix: network(address)}

	l.mu.Lock()
	defer l.mu.Unlock()
	tat := l.tat[at]
	if tat.Before(now) {
		tat = now
	}
	if wait := tat.Add(each).Sub(now) - form.PerIP.Per; wait > 0 {
		return &fault.Error{Kind: fault.Throttled, RetryAfter: wait, Message: "Too many answers came from your network just now. Yours is not lost: it is sent again in a moment."}
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
