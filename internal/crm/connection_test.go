package crm

import (
	"testing"
	"time"
)

// clock is a time that only the test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func testConnection(slots int) (*connection, *clock, *int) {
	c, back := &clock{at: time.Unix(1_700_000_000, 0)}, new(int)
	limits := Limits{Slots: slots}.withDefaults()
	return &connection{
		slug: "crm", limits: limits, now: c.now, back: func(string) { *back++ }, client: &webhook{},
		slots: newSlots(slots), breaker: breaker{least: limits.BreakerCalls},
	}, c, back
}

func mustEnter(t *testing.T, c *connection, kind class) *pass {
	t.Helper()
	p, no := c.enter(t.Context(), kind, time.Millisecond)
	if no != nil {
		t.Fatalf("refused: %s", no.reason)
	}
	p.begin()
	return p
}

func TestBreaker_OpensOnHangingCallsLetsOneProbeThroughAndClosesOnItsSuccess(t *testing.T) {
	t.Parallel()
	c, clock, back := testConnection(64)
	var hanging []*pass
	for range 20 {
		hanging = append(hanging, mustEnter(t, c, hot))
	}
	for _, p := range hanging {
		p.hang()
	}
	if _, no := c.enter(t.Context(), hot, time.Second); no == nil {
		t.Fatal("twenty calls hang and the next one was let through")
	}
	clock.at = clock.at.Add(time.Second)
	probe := mustEnter(t, c, behind)
	if _, no := c.enter(t.Context(), hot, time.Second); no == nil {
		t.Fatal("a second probe within a second")
	}
	probe.done(1, &Error{Class: Unknown})
	clock.at = clock.at.Add(time.Second)
	mustEnter(t, c, hot).done(2, nil)
	mustEnter(t, c, hot).done(3, nil)
	if *back != 1 {
		t.Errorf("waiting jobs were called %d times", *back)
	}
	for i, p := range hanging {
		p.done(int64(i), &Error{Class: Unknown})
	}
	if c.slots.active != 0 || c.slots.behind != 0 || c.hanging != 0 {
		t.Errorf("slots leaked: %+v, %d hanging", c.slots, c.hanging)
	}
}

func TestBreaker_StaysClosedWhenCallsAreOnlySlow(t *testing.T) {
	t.Parallel()
	c, clock, _ := testConnection(64)
	for range 200 {
		p := mustEnter(t, c, hot)
		p.hang()
		clock.at = clock.at.Add(3 * time.Second)
		p.done(1, nil)
	}
	if c.breaker.open {
		t.Error("a CRM that always answers was given up")
	}
}

func TestSlots_BacklogNeverTakesMoreThanHalf(t *testing.T) {
	t.Parallel()
	c, _, _ := testConnection(8)
	for range 4 {
		mustEnter(t, c, behind)
	}
	if _, no := c.enter(t.Context(), behind, time.Millisecond); no == nil {
		t.Fatal("the backlog got a fifth slot of eight")
	}
	var calls []*pass
	for range 4 {
		calls = append(calls, mustEnter(t, c, hot))
	}
	got := make(chan *pass)
	go func() {
		p, _ := c.enter(t.Context(), hot, 10*time.Second)
		got <- p
	}()
	for waiting := 0; waiting == 0; {
		c.mu.Lock()
		waiting = len(c.slots.waiting[hot])
		c.mu.Unlock()
	}
	calls[0].done(1, nil)
	if p := <-got; p == nil {
		t.Fatal("the slot that became free was not given to the lead that waited")
	}
}

func TestThrottle_SilencesTheConnectionAndHalvesItsSlots(t *testing.T) {
	t.Parallel()
	c, clock, _ := testConnection(64)
	mustEnter(t, c, hot).done(1, &Error{Class: Throttle, After: 5 * time.Second})
	if c.slots.limit != 32 {
		t.Errorf("%d slots", c.slots.limit)
	}
	if _, no := c.enter(t.Context(), hot, time.Second); no == nil || no.wait < 5*time.Second {
		t.Errorf("not silent: %+v", no)
	}
	clock.at = clock.at.Add(5 * time.Second)
	mustEnter(t, c, hot)
}

func TestBackoff_DoublesWithFullJitterAndStaysShortWhileTheWholeConnectionFails(t *testing.T) {
	t.Parallel()
	limits := Limits{}.withDefaults()
	longest := time.Duration(0)
	for attempts := range 40 {
		for range 50 {
			wait := limits.backoff(attempts, false)
			longest = max(longest, wait)
			if most := min(500*time.Millisecond<<min(attempts, 20), 5*time.Minute); wait > most {
				t.Fatalf("attempt %d waits %s", attempts, wait)
			}
			if whole := limits.backoff(attempts, true); whole > 5*time.Second {
				t.Fatalf("attempt %d waits %s while nothing works", attempts, whole)
			}
		}
	}
	if longest < time.Minute {
		t.Errorf("the longest wait was %s", longest)
	}
}

func TestSlots_FollowTheConfigurationAndStayLowWhileTheOtherSideIsSlow(t *testing.T) {
	t.Parallel()
	s := newSlots(64)
	s.allow(256)
	if s.limit != 256 {
		t.Errorf("room for %d calls after 256 were allowed", s.limit)
	}
	s.shrink()
	s.allow(512)
	if s.limit != 128 {
		t.Errorf("a slow connection may have %d calls at once because more were allowed", s.limit)
	}
	s.allow(16)
	if s.limit != 16 {
		t.Errorf("%d calls where 16 are allowed", s.limit)
	}
}
