package crm

import "time"

// Limits are the numbers of one connection. A zero takes the contract's value.
type Limits struct {
	Slots        int           // calls in flight at most; 64
	SoftLeast    time.Duration // bounds of the adaptive soft limit, after which a lead is shown as provisional; 150 ms
	SoftMost     time.Duration // 300 ms
	HangAfter    time.Duration // when a call counts as failed though its answer may come; 2 s
	Hard         time.Duration // when a call is given up; 30 s
	ProbeEvery   time.Duration // while the breaker is open; 1 s
	PauseRetry   time.Duration // while the connection is paused; 1 min
	BreakerCalls int           // calls in 10 s before the breaker may open; 20
	RetryFirst   time.Duration // back-off: first, doubling, full jitter; 0.5 s
	RetryMost    time.Duration // 5 min
	Grace        time.Duration // how long calls may finish when the process stops; 5 s
}

func (l Limits) withDefaults() Limits {
	fill := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	if l.Slots <= 0 {
		l.Slots = 64
	}
	if l.BreakerCalls <= 0 {
		l.BreakerCalls = 20
	}
	fill(&l.SoftLeast, 150*time.Millisecond)
	fill(&l.SoftMost, 300*time.Millisecond)
	fill(&l.HangAfter, 2*time.Second)
	fill(&l.Hard, 30*time.Second)
	fill(&l.ProbeEvery, time.Second)
	fill(&l.PauseRetry, time.Minute)
	fill(&l.RetryFirst, 500*time.Millisecond)
	fill(&l.RetryMost, 5*time.Minute)
	fill(&l.Grace, 5*time.Second)
	return l
}

// orElse is n, or the other where n says nothing.
func orElse(n, other int) int {
	if n > 0 {
		return n
	}
	return other
}

// wholeMost caps the back-off while it is the connection that fails: when it is back, nothing should sit out minutes. River wakes
// what sleeps for less than 5 s to the moment, and the rest by a scheduler that runs every 5 s.
const wholeMost = 4 * time.Second

// backoff is the wait before the next attempt, with full jitter.
func (l Limits) backoff(attempts int, whole bool) time.Duration {
	most := l.RetryMost
	if whole {
		most = min(most, wholeMost)
	}
	wait := l.RetryFirst
	for range min(attempts, 20) {
		wait = min(2*wait, most)
	}
	return jitter(0, min(wait, most))
}
