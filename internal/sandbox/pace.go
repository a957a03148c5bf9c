package sandbox

import (
	"sync"
	"time"
)

// pace is a set of token buckets: how often each key may be used.
type pace struct {
	now     func() time.Time
	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newPace(now func() time.Time) *pace {
	return &pace{now: now, buckets: map[string]*bucket{}}
}

// take uses the key once and answers 0, or answers how long to wait until it may be used. The set of keys must be bounded by
// the caller: a bucket is kept for each.
func (p *pace) take(key string, perSecond, burst float64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	b := p.buckets[key]
	if b == nil {
		b = &bucket{tokens: burst, at: now}
		p.buckets[key] = b
	}
	b.tokens = min(burst, b.tokens+now.Sub(b.at).Seconds()*perSecond)
	b.at = now
	if b.tokens < 1 {
		return time.Duration((1 - b.tokens) / perSecond * float64(time.Second))
	}
	b.tokens--
	return 0
}
