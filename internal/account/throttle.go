package account

import (
	"sync"
	"time"

	"leadline/internal/fault"
)

// The number of wrong passwords that are answered per quarter of an hour: by one address of the network, and for one person.
// Two separate buckets: guessing many people from one place and one person from many places both end.
const (
	triesPerAddress = 30
	triesPerPerson  = 10
	triesWindow     = 15 * time.Minute
	maxTracked      = 20_000
)

// throttle counts failed sign-ins in this process. Its memory is bounded.
type throttle struct {
	now  func() time.Time
	mu   sync.Mutex
	seen map[string]tries
}

type tries struct {
	count int
	until time.Time // when the count starts anew
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, seen: map[string]tries{}}
}

// take counts an attempt before its password is looked at, so that attempts side by side count too.
func (t *throttle) take(email, address string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	person, place := t.at("person "+email, now), t.at("place "+address, now)
	if wait := max(person.over(triesPerPerson, now), place.over(triesPerAddress, now)); wait > 0 {
		return &fault.Error{
			Kind: fault.Throttled, RetryAfter: wait,
			Message: "There were too many wrong passwords. Wait a few minutes, or ask for a sign-in link.",
		}
	}
	person.count++
	place.count++
	t.forget(now)
	t.seen["person "+email], t.seen["place "+address] = person, place
	return nil
}

// restore takes back the attempt of somebody who proved to be right.
func (t *throttle) restore(email, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.seen, "person "+email)
	if place, ok := t.seen["place "+address]; ok && place.count > 0 {
		place.count--
		t.seen["place "+address] = place
	}
}

func (t *throttle) at(key string, now time.Time) tries {
	if known, ok := t.seen[key]; ok && now.Before(known.until) {
		return known
	}
	return tries{until: now.Add(triesWindow)}
}

func (t tries) over(limit int, now time.Time) time.Duration {
	if t.count < limit {
		return 0
	}
	return t.until.Sub(now)
}

// forget makes room: what has run out first, and if that is not enough any one (map order is random).
func (t *throttle) forget(now time.Time) {
	if len(t.seen) < maxTracked {
		return
	}
	for key, known := range t.seen {
		if !now.Before(known.until) {
			delete(t.seen, key)
		}
	}
	for key := range t.seen {
		if len(t.seen) < maxTracked {
			return
		}
		delete(t.seen, key)
	}
}
