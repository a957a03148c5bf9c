package dispatch

import "time"

// alarm rings when the next deadline has passed. It is a hint: whether a deadline has passed is for the database to say.
type alarm struct {
	now   func() time.Time
	timer *time.Timer
	at    time.Time // zero: not set
}

func newAlarm(now func() time.Time) *alarm {
	a := &alarm{now: now, timer: time.NewTimer(time.Hour)}
	a.timer.Stop()
	return a
}

func (a *alarm) stop() { a.timer.Stop() }

// rings gives the channel to wait on.
func (a *alarm) rings() <-chan time.Time { return a.timer.C }

// set makes it ring after d; 0: never.
func (a *alarm) set(d time.Duration) {
	if d <= 0 {
		a.at = time.Time{}
		a.timer.Stop()
		return
	}
	d += time.Millisecond // past the deadline, not at it
	a.at = a.now().Add(d)
	a.timer.Reset(d)
}

// within makes it ring after d unless it rings before; 0 changes nothing.
func (a *alarm) within(d time.Duration) {
	if d > 0 && (a.at.IsZero() || a.now().Add(d).Before(a.at)) {
		a.set(d)
	}
}

func (a *alarm) overdue() bool { return !a.at.IsZero() && a.now().After(a.at) }
