package web

import (
	"math/rand/v2"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"leadline/internal/fault"
)

// class is how much a request matters when not all can be answered. What matters least is refused first, early and cheaply.
type class int

const (
	vital     class = iota // machines that watch: refusing them would hide the overload
	submits                // what we exist for; bounded by intake's own queue, never refused here
	profiling              // what became of a submission, further answers to it, and what reps do
	reading                // consoles and lists
	beacons                // measurements
	classes
)

var classNames = [classes]string{"vital", "submit", "profiling", "reading", "beacon"}

// limits of a class: how many requests may be in work at once, and how far behind this process may be while they are still taken.
var classLimits = [classes]struct {
	inWork int64
	behind time.Duration
}{
	profiling: {512, 400 * time.Millisecond},
	reading:   {256, 150 * time.Millisecond},
	beacons:   {32, 30 * time.Millisecond},
}

// classOf says what a route is for.
func classOf(method, path string) class {
	switch path {
	case "/healthz", "/readyz", "/metrics", "/.well-known/acme-challenge/:token":
		return vital
	case "/v1/rum", "/csp-report":
		return beacons
	case "/v1/forms/:slug/leads", "/v1/forms/:slug", "/f/:slug", "/leadline.js", "/static/:name":
		return submits
	}
	visitors := strings.HasPrefix(path, "/v1/forms/") || strings.HasPrefix(path, "/f/")
	if visitors || method != fiber.MethodGet {
		return profiling
	}
	return reading
}

// admission decides which requests are taken. Its methods may be called from many goroutines.
type admission struct {
	lag    *lag
	inWork [classes]atomic.Int64
	shed   func(class string)
}

// admit lets a request of a class on, unless more important ones need the room.
func (a *admission) admit(of class) fiber.Handler {
	limit := classLimits[of]
	if limit.inWork == 0 {
		return func(c *fiber.Ctx) error { return c.Next() }
	}
	return func(c *fiber.Ctx) error {
		if a.inWork[of].Add(1) > limit.inWork || a.lag.now() > limit.behind {
			a.inWork[of].Add(-1)
			a.shed(classNames[of])
			return shedding()
		}
		defer a.inWork[of].Add(-1)
		return c.Next()
	}
}

// shedding says when to come back: not everybody at once.
func shedding() error {
	f := fault.New(fault.Unavailable, "This server is busy with new leads. Try again in a moment.")
	f.Code, f.RetryAfter = "shed", time.Duration(1+rand.IntN(3))*time.Second //nolint:gosec // jitter, no secret
	return f
}

// lagEvery is how often lag looks again.
const lagEvery = 50 * time.Millisecond

// lag is how far behind this process is: how long goroutines that could run wait for a processor, or submissions for their batch,
// whichever is more.
type lag struct {
	clock  func() time.Time
	behind func() time.Duration // of intake

	last atomic.Int64 // what was found, in nanoseconds
	next atomic.Int64 // when to look again, Unix nanoseconds

	mu     sync.Mutex
	sample []metrics.Sample
	counts []uint64      // as of the look before
	before time.Duration // what the look before found for the processor
}

func newLag(clock func() time.Time, behind func() time.Duration) *lag {
	return &lag{clock: clock, behind: behind, sample: []metrics.Sample{{Name: "/sched/latencies:seconds"}}}
}

// now gives the lag, at most lagEvery old. It costs a comparison, and some microseconds to the one who looks again.
func (l *lag) now() time.Duration {
	at, due := l.clock().UnixNano(), l.next.Load()
	if at >= due && l.next.CompareAndSwap(due, at+int64(lagEvery)) {
		l.last.Store(int64(max(l.lasting(l.waitForProcessor()), l.behind())))
	}
	return time.Duration(l.last.Load())
}

// lasting is a wait that two looks in a row found: one burst, as of a page with twenty parts, is over before refusing anybody helps.
func (l *lag) lasting(wait time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	lasted := min(wait, l.before)
	l.before = wait
	return lasted
}

// waitForProcessor is what 95 of 100 goroutines waited at most since the look before.
func (l *lag) waitForProcessor() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	metrics.Read(l.sample)
	if l.sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return 0 // this Go does not measure it; intake's own delay remains
	}
	h := l.sample[0].Value.Float64Histogram()
	if len(l.counts) != len(h.Counts) {
		l.counts = append([]uint64(nil), h.Counts...)
		return 0
	}
	total := uint64(0)
	for i, n := range h.Counts {
		total += n - l.counts[i]
	}
	wait, seen := 0.0, uint64(0)
	for i, n := range h.Counts {
		if seen += n - l.counts[i]; total > 0 && seen*100 >= total*95 {
			wait = h.Buckets[i] // the lower edge: the upper one of the last bucket is infinite
			break
		}
	}
	copy(l.counts, h.Counts)
	return time.Duration(max(wait, 0) * float64(time.Second))
}
