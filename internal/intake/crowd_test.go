package intake_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/fault"
	"leadline/internal/intake"
	"leadline/internal/lead"
)

const (
	crowdCallers   = 64
	crowdProcesses = 3
)

// gathering is what a few callers send at once, and how many leads that is.
type gathering struct {
	name   string
	leads  int
	clicks func(n int) []click
}

var gatherings = []gathering{
	{"same key, same person", 1, func(n int) []click {
		return []click{{person: n, key: key(n)}, {person: n, key: key(n)}, {person: n, key: key(n)}, {person: n, key: key(n)}}
	}},
	{"same person, different keys", 1, func(n int) []click {
		return []click{{person: n, key: key(4 * n)}, {person: n, key: key(4*n + 1)}, {person: n, key: ""}, {person: n, key: key(4*n + 3)}}
	}},
	{"same key, different people", 3, func(n int) []click {
		return []click{{person: 3 * n, key: key(n)}, {person: 3*n + 1, key: key(n)}, {person: 3*n + 2, key: key(n)}, {person: 3 * n, key: key(n)}}
	}},
	{"keys and people crossed", 2, func(n int) []click {
		return []click{
			{person: 2 * n, key: key(2*n + 1)}, {person: 2*n + 1, key: key(2 * n)}, {person: 2 * n, key: key(2 * n)}, {person: 2*n + 1, key: key(2*n + 1)},
		}
	}},
	{"a correction while the first is under way", 1, func(n int) []click {
		return []click{{person: n, key: key(n), notes: "one"}, {person: n, key: key(n), notes: "two"}, {person: n, key: key(2 * n)}, {person: n, key: key(n), notes: "one"}}
	}},
}

// TestIdentity_ACrowdOnThreeProcessesMakesOneLeadAPerson lets 64 callers send gatherings in random order, so that batches of three
// processes hold each other's keys and people.
func TestIdentity_ACrowdOnThreeProcessesMakesOneLeadAPerson(t *testing.T) {
	b := newClockedBench(t)
	b.runClock(time.Now())
	var (
		services [crowdProcesses]*intake.Service
		stops    [crowdProcesses]func()
		refused  atomic.Int64
		d        differences
	)
	for i := range services {
		services[i], stops[i] = b.start(func(o *intake.Options) { o.Node = int64(i + 1) })
	}
	each := size(200, 20_000)
	forms := make([]*lead.Form, len(gatherings))
	clicks := make(chan click, crowdCallers)
	for g := range gatherings {
		forms[g] = formFor("crowd", g, window)
	}
	waits := make([][]time.Duration, crowdCallers)
	var callers sync.WaitGroup
	for i := range crowdCallers {
		callers.Go(func() {
			for c := range clicks {
				start := time.Now()
				got, err := services[c.process].Accept(context.Background(), c.form, c.raw(), lead.Arrival{})
				for fault.Is(err, fault.Unavailable) {
					refused.Add(1)
					got, err = services[c.process].Accept(context.Background(), c.form, c.raw(), lead.Arrival{})
				}
				waits[i] = append(waits[i], time.Since(start))
				if err != nil || got.LeadID == uuid.Nil {
					d.fail("%s, person %d, key %q: %+v, %v", c.form.Slug, c.person, c.key, got, err)
				}
			}
		})
	}
	rng, start := rand.New(rand.NewPCG(8, 0)), time.Now()
	for n := range each {
		var all []click
		for g, kind := range gatherings {
			for _, c := range kind.clicks(n) {
				c.form, c.process = forms[g], rng.IntN(crowdProcesses)
				all = append(all, c)
			}
		}
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, c := range all {
			clicks <- c
		}
	}
	close(clicks)
	callers.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(waits...)))
	t.Logf("%d gatherings, %d submissions, %.0f a second; p50 %v, p99 %v at %d callers on %d processes; %d refused for the moment",
		each*len(gatherings), len(all), float64(len(all))/time.Since(start).Seconds(), all[len(all)/2].Round(time.Microsecond),
		all[len(all)*99/100].Round(time.Microsecond), crowdCallers, crowdProcesses, refused.Load())
	d.report(t, "answers")
	for g, kind := range gatherings {
		if n := b.count(`SELECT count(*) FROM lead WHERE form = $1`, forms[g].Slug); n != each*kind.leads {
			t.Errorf("%s: %d leads, want %d", kind.name, n, each*kind.leads)
		}
	}
	if n := b.count(`SELECT count(*) FROM client_key k WHERE NOT EXISTS (SELECT FROM lead WHERE id = k.submission) AND NOT EXISTS (SELECT FROM touch WHERE id = k.submission)`); n != 0 {
		t.Errorf("%d keys of submissions that are nowhere", n)
	}
	if a, z := b.count(`SELECT count(*) FROM event`), b.count(`SELECT count(*) FROM touch`); a != z {
		t.Errorf("%d events for %d touches", a, z)
	}
	for _, stop := range stops {
		stop()
	}
	if n := b.deadlocks(); n != 0 {
		t.Errorf("%d deadlocks", n)
	}
}
