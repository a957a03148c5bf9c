package crm

import (
	"slices"
	"time"
)

// latencies remembers how long the last successful calls took. Not safe for concurrent use: its connection's lock guards it.
type latencies struct {
	last [128]time.Duration
	next int
	n    int
}

func (l *latencies) add(took time.Duration) {
	l.last[l.next] = took
	l.next = (l.next + 1) % len(l.last)
	l.n = min(l.n+1, len(l.last))
}

// quantile is 0 while nothing is known.
func (l *latencies) quantile(q float64) time.Duration {
	if l.n == 0 {
		return 0
	}
	sorted := slices.Clone(l.last[:l.n])
	slices.Sort(sorted)
	return sorted[min(int(q*float64(l.n)), l.n-1)]
}

func clamp(d, low, high time.Duration) time.Duration { return min(max(d, low), high) }
