//go:build !linux

package load

import "time"

// nap sleeps by Go's timer, to within about a millisecond.
func nap(d time.Duration) { time.Sleep(d) }
