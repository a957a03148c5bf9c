package load

import (
	"syscall"
	"time"
)

// nap sleeps in the kernel, to within some tens of microseconds. A signal may end it early; the caller looks at the clock.
func nap(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil)
}
