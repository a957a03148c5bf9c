package load

import (
	"context"
	"math/rand/v2"
	"runtime"
	"time"
)

// dispatch releases leads when they are due. It holds an operating-system thread and sleeps in the kernel where it can: Go's own
// timers are rounded up to about a millisecond in an idle process, which would bunch arrivals.
func dispatch(ctx context.Context, o Options, start time.Time, due chan<- arrival, result *tally) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	gaps := rand.New(rand.NewPCG(o.Seed, 1)) //nolint:gosec // arrival times are no secret
	mean := float64(time.Second) / o.Rate
	at := 0.0
	for n := 0; ; n++ {
		if o.Even {
			at = float64(n) * mean
		} else {
			at += gaps.ExpFloat64() * mean
		}
		if at >= float64(o.Duration) || !sleepUntil(ctx, o.Now, start.Add(time.Duration(at))) {
			return
		}
		moment := start.Add(time.Duration(at))
		result.released(o.Now().Sub(moment))
		select {
		case due <- arrival{n: n, due: moment}:
		case <-ctx.Done():
			return
		}
	}
}

// longestNap keeps a cancelled run from sleeping on.
const longestNap = 50 * time.Millisecond

// sleepUntil waits for a moment and tells whether the context still lives.
func sleepUntil(ctx context.Context, now func() time.Time, moment time.Time) bool {
	for {
		if ctx.Err() != nil {
			return false
		}
		left := moment.Sub(now())
		if left <= 0 {
			return true
		}
		nap(min(left, longestNap))
	}
}
