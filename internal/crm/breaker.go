package crm

import "time"

// window counts good and bad calls of the last ten seconds. Not safe for concurrent use.
type window struct {
	second [10]int64
	good   [10]int
	bad    [10]int
}

func (w *window) at(now time.Time) int {
	second := now.Unix()
	i := int(second % int64(len(w.second)))
	if w.second[i] != second {
		w.second[i], w.good[i], w.bad[i] = second, 0, 0
	}
	return i
}

func (w *window) sum(now time.Time) (good, bad int) {
	oldest := now.Unix() - int64(len(w.second)) + 1
	for i, second := range w.second {
		if second >= oldest {
			good += w.good[i]
			bad += w.bad[i]
		}
	}
	return good, max(0, bad)
}

// breaker stops calls to a connection of which half fail or hang. While open it lets one probe through per interval; a probe
// that succeeds closes it.
type breaker struct {
	calls   window
	least   int // calls within the window before it may open
	open    bool
	probeAt time.Time
}

func (b *breaker) success(now time.Time) { b.calls.good[b.calls.at(now)]++ }

func (b *breaker) failure(now time.Time) { b.calls.bad[b.calls.at(now)]++ }

// forgive takes a failure back: a call that seemed to hang has succeeded.
func (b *breaker) forgive(now time.Time) { b.calls.bad[b.calls.at(now)]-- }

// trip opens the breaker if the window says so, and tells whether it did just now.
func (b *breaker) trip(now time.Time, probeEvery time.Duration) bool {
	good, bad := b.calls.sum(now)
	if b.open || good+bad < b.least || 2*bad < good+bad {
		return false
	}
	b.open, b.probeAt = true, now.Add(probeEvery)
	return true
}

func (b *breaker) close() {
	b.open = false
	b.calls = window{}
}
