package torture_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"leadline/internal/failpoint"
)

// killed is one death and what it took until others had taken over.
type killed struct {
	Point    failpoint.Point `json:"point"`
	Server   string          `json:"server"`
	Takeover time.Duration   `json:"takeover_ns"`
}

// points are all places to die at. A point with much traffic may be passed some times before it kills.
var points = map[failpoint.Point]int{
	failpoint.Read: 12, failpoint.Validated: 12, failpoint.Sending: 12, failpoint.Amending: 1, failpoint.Sent: 12, failpoint.Stored: 12,
	failpoint.Amended: 1, failpoint.Answered: 3, failpoint.Called: 12, failpoint.Replied: 12, failpoint.Recorded: 12,
	failpoint.Dispatching: 12, failpoint.Placing: 12, failpoint.Placed: 12,
}

// schedule gives n deaths: each point as often as any other, in a random order.
func schedule(chance *rand.Rand, n int) []failpoint.Point {
	var all []failpoint.Point
	for len(all) < n {
		var round []failpoint.Point
		for p := range points {
			round = append(round, p)
		}
		slices.Sort(round)
		chance.Shuffle(len(round), func(i, j int) { round[i], round[j] = round[j], round[i] })
		all = append(all, round...)
	}
	return all[:n]
}

// TestTorture_KillsAtEveryPointLoseNothingAndDoubleNothing kills one of two servers again and again, each time at a chosen place between
// the first byte and the CRM's last, while visitors come (F-01 to F-06).
func TestTorture_KillsAtEveryPointLoseNothingAndDoubleNothing(t *testing.T) {
	alongside(t)
	n, from := size(t, "TORTURE_KILLS", 20, 200), seed(t)
	chance := rand.New(rand.NewPCG(from, 0))
	w := newWorld(t, 2, false)
	o := w.watch(from, size(t, "TORTURE_RATE", 30, 100))
	var deaths []killed
	for _, p := range schedule(chance, n) {
		victim := w.servers[chance.IntN(2)]
		deaths = append(deaths, w.kill(victim, p, 1+chance.IntN(points[p])))
		victim.start()
	}
	driven := o.finish()
	v := o.compare(patience)
	v.mustBeContent(o)
	if v.Acked < 5*n || driven.GivenUp > 0 {
		t.Errorf("too little to mean anything: %+v", driven)
	}
	takeovers := make([]time.Duration, 0, n)
	for _, d := range deaths {
		takeovers = append(takeovers, d.Takeover)
	}
	slices.Sort(takeovers)
	t.Logf("%d kills at %d points; another server took over after %v in the middle, %v at most", n, len(points),
		takeovers[len(takeovers)/2].Round(time.Millisecond), takeovers[len(takeovers)-1].Round(time.Millisecond))
	if middle := takeovers[len(takeovers)/2]; middle > 500*time.Millisecond {
		t.Errorf("in the middle a takeover took %v; leads of a killed process must be offered within half a second", middle)
	}
	if most := takeovers[len(takeovers)-1]; most > 10*time.Second {
		t.Errorf("a takeover took %v", most)
	}
	report(t, "kills", from, map[string]any{"kills": n, "deaths": deaths, "driven": driven, "found": v.Sum})
}

// kill has a server die at a point and waits until another has taken its work over.
func (w *world) kill(victim *server, p failpoint.Point, pass int) killed {
	w.t.Helper()
	if p == failpoint.Answered {
		victim.order("hold " + string(failpoint.Dispatching)) // so that dispatch has not begun when the visitor knows
	}
	victim.order(fmt.Sprintf("kill %s %d", p, pass))
	select {
	case <-victim.life.done:
	case <-time.After(patience):
		w.t.Fatalf("server %s does not come to %s", victim.name, p)
	}
	d := killed{Point: p, Server: victim.name}
	w.eventually("another server to take over", func() bool {
		var stopped *time.Time
		if err := w.row(fmt.Sprintf(`SELECT stopped_at FROM node WHERE id = %d`, victim.node), &stopped); err != nil || stopped == nil {
			return false
		}
		d.Takeover = max(stopped.Sub(victim.life.ended), 0)
		return true
	})
	return d
}
