package crm

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"leadline/internal/outbox"
	"leadline/internal/telemetry"
)

// connection is what this process knows of one CRM connection: its client, its speed, and whether calls may go out.
type connection struct {
	slug    string
	limits  Limits
	now     func() time.Time
	metrics *telemetry.Metrics
	back    func(slug string) // called, without the lock, when the connection works again

	mu          sync.Mutex
	settings    outbox.Connection
	client      Client // nil: cannot be used, see pauseReason
	slots       slots
	breaker     breaker
	speed       latencies
	hanging     int // calls past the hang limit: they no longer count against the slots
	shrunkAt    time.Time
	paused      bool
	pauseReason string
	tryAt       time.Time // while paused: the next single attempt
	heldUntil   time.Time // the other side asked for quiet
	lastFailed  int64     // delivery that failed last
	inARow      int       // different deliveries that failed without a success between them
	turnedAway  int       // jobs told to come back, since lastTurned
	lastTurned  time.Time
}

// pass is the right to make one call. It ends with done or drop.
type pass struct {
	conn    *connection
	class   class
	probe   bool // lets no slot go: it had none
	started time.Time
	hung    bool
	over    bool
}

// refusal says why a call may not be made now.
type refusal struct {
	reason string
	wait   time.Duration // until it makes sense to ask again
}

// enter waits at most patience for the right to make a call.
func (c *connection) enter(ctx context.Context, kind class, patience time.Duration) (*pass, *refusal) {
	c.mu.Lock()
	now := c.now()
	if probe, no := c.gate(now); probe || no != nil {
		c.mu.Unlock()
		if no != nil {
			return nil, no
		}
		return c.newPass(kind, true), nil
	}
	if c.slots.free(kind) {
		c.slots.take(kind)
		c.mu.Unlock()
		return c.newPass(kind, false), nil
	}
	w := c.slots.wait(kind)
	c.mu.Unlock()

	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.ready:
		return c.newPass(kind, false), nil
	case <-timer.C:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-w.ready:
		return c.newPass(kind, false), nil
	default:
		w.gone = true
		return nil, &refusal{reason: "all slots of the connection are busy", wait: jitter(500*time.Millisecond, 1500*time.Millisecond)}
	}
}

func (c *connection) newPass(kind class, probe bool) *pass {
	return &pass{conn: c, class: kind, probe: probe}
}

// gate tells, under the lock, whether the call is a probe, is refused, or (neither) may compete for a slot.
func (c *connection) gate(now time.Time) (probe bool, no *refusal) {
	switch {
	case c.paused && c.client != nil && !now.Before(c.tryAt):
		c.tryAt = now.Add(c.limits.PauseRetry)
		return true, nil
	case c.paused:
		return false, &refusal{reason: "connection paused: " + c.pauseReason, wait: c.spread(now)}
	case now.Before(c.heldUntil):
		return false, &refusal{reason: "the CRM asked for a break", wait: c.heldUntil.Sub(now) + jitter(0, time.Second)}
	case c.breaker.open && !now.Before(c.breaker.probeAt):
		c.breaker.probeAt = now.Add(c.limits.ProbeEvery)
		return true, nil
	case c.breaker.open:
		return false, &refusal{reason: "the CRM is failing or hanging", wait: c.spread(now)}
	}
	return false, nil
}

// spread is how long a write stays away while nothing gets through: 1 to 4 s, longer the more of them there are, because asking
// costs the database. When the connection is back they are all called at once.
func (c *connection) spread(now time.Time) time.Duration {
	if now.Sub(c.lastTurned) > 5*time.Second {
		c.turnedAway, c.lastTurned = 0, now
	}
	c.turnedAway++
	most := min(wholeMost+time.Duration(c.turnedAway/20)*time.Second, 45*time.Second)
	return jitter(max(most/2, c.limits.ProbeEvery), max(most, c.limits.ProbeEvery))
}

// drop gives a pass back without a verdict on the other side.
func (p *pass) drop() {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	p.leave()
	switch {
	case !p.probe:
	case c.paused:
		c.tryAt = c.now()
	default:
		c.breaker.probeAt = c.now()
	}
}

// begin starts the clock and says which client to use and when the call counts as slow and as hanging.
func (p *pass) begin() (client Client, soft, hang time.Duration) {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	p.started = c.now()
	soft = clamp(c.speed.quantile(0.95)*3/2, c.limits.SoftLeast, c.limits.SoftMost)
	// A CRM that always takes three seconds is slow, not hanging.
	return c.client, soft, clamp(3*c.speed.quantile(0.5), c.limits.HangAfter, max(c.limits.HangAfter, c.limits.Hard/2))
}

// hang notes that the call has been without an answer for too long: it counts as failed until it proves otherwise, and its slot
// is free again, so that calls into nowhere do not block the connection once it works again.
func (p *pass) hang() {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.over || c.hanging >= 4*c.slots.most {
		return
	}
	p.hung = true
	c.hanging++
	now := c.now()
	c.breaker.failure(now)
	c.shrink(now)
	c.trip(now)
	if !p.probe {
		c.slots.release(p.class)
	}
}

func (c *connection) shrink(now time.Time) {
	if !c.breaker.open && now.Sub(c.shrunkAt) >= time.Second {
		c.shrunkAt = now
		c.slots.shrink()
	}
}

func (c *connection) trip(now time.Time) {
	if c.breaker.trip(now, c.limits.ProbeEvery) {
		c.show()
	}
}

// done ends a pass with the answer to its call. It returns how long the call took.
func (p *pass) done(deliveryID int64, failure *Error) time.Duration {
	c := p.conn
	c.mu.Lock()
	now := c.now()
	took := now.Sub(p.started)
	wasDown := c.paused || c.breaker.open
	p.leave()
	if failure == nil || failure.Class == Refuse {
		c.success(p, now, took)
	} else {
		c.failure(p, now, deliveryID, failure)
	}
	isBack := wasDown && !c.paused && !c.breaker.open
	c.show()
	c.mu.Unlock()
	if isBack {
		c.back(c.slug)
	}
	return took
}

func (p *pass) leave() {
	p.over = true
	switch {
	case p.hung:
		p.conn.hanging--
	case !p.probe:
		p.conn.slots.release(p.class)
	}
}

func (c *connection) success(p *pass, now time.Time, took time.Duration) {
	c.speed.add(took)
	c.inARow, c.lastFailed = 0, 0
	c.paused, c.pauseReason = false, ""
	if p.hung {
		c.breaker.forgive(now)
	}
	c.breaker.success(now)
	c.slots.grow()
	if c.breaker.open && (p.probe || !p.hung) {
		c.breaker.close()
		c.slots.limit = max(c.slots.limit, min(4, c.slots.most))
		c.slots.grant()
	}
}

func (c *connection) failure(p *pass, now time.Time, deliveryID int64, failure *Error) {
	switch failure.Class {
	case Pause:
		c.pause(failure.Reason, now)
		return
	case Throttle:
		c.heldUntil = now.Add(min(max(failure.After, 500*time.Millisecond), heldMost))
		c.shrink(now)
		return
	}
	if deliveryID != c.lastFailed {
		c.inARow++
		c.lastFailed = deliveryID
	}
	if !p.hung {
		c.breaker.failure(now)
		c.trip(now)
	}
}

// heldMost bounds how long one throttled call silences the whole connection; the lead itself waits as long as was asked.
const heldMost = 30 * time.Second

func (c *connection) pause(reason string, now time.Time) {
	c.paused, c.pauseReason, c.tryAt = true, reason, now.Add(c.limits.PauseRetry)
}

// failingAsAWhole tells whether it is the connection that fails and not single leads.
func (c *connection) failingAsAWhole() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.paused || c.breaker.open || c.inARow >= 3
}

func (c *connection) show() {
	state := telemetry.BreakerClosed
	switch {
	case c.paused, c.breaker.open && c.now().Before(c.breaker.probeAt):
		state = telemetry.BreakerOpen
	case c.breaker.open:
		state = telemetry.BreakerHalfOpen
	}
	c.metrics.Breaker(c.slug, state)
}

// patience is how long a new write waits for a slot: as long as it may take before the lead is shown as provisional.
func (c *connection) patience() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return clamp(c.speed.quantile(0.95)*3/2, c.limits.SoftLeast, c.limits.SoftMost)
}

func jitter(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + rand.N(high-low) //nolint:gosec // spreads retries, guards nothing
}
