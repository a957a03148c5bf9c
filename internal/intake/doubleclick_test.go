package intake_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"leadline/internal/fault"
	"leadline/internal/intake"
)

const (
	pairsAtOnce = 70 // double clicks of one group; all cross the end of the same minute
	midnight    = 24 * 60
)

// doubleClick is a person who sends a form twice.
type doubleClick struct {
	clicks  [2]click
	answers [2]intake.Accepted
	errs    [2]error
	retried bool
}

func (p *doubleClick) send(submit design, i int) {
	for {
		p.answers[i], p.errs[i] = submit(context.Background(), p.clicks[i])
		if !fault.Is(p.errs[i], fault.Unavailable) {
			return
		}
		p.retried = true
	}
}

// check holds that the two are one lead, and that each answer is the one of its key.
func (p *doubleClick) check(d *differences) {
	first, second := p.answers[0], p.answers[1]
	same := p.clicks[0].key != "" && p.clicks[0].key == p.clicks[1].key
	switch {
	case p.errs[0] != nil || p.errs[1] != nil:
		d.fail("%v, %v", p.errs[0], p.errs[1])
	case first.LeadID != second.LeadID:
		d.add("%s, keys %q and %q: two leads: %+v and %+v", p.clicks[0].form.Slug, p.clicks[0].key, p.clicks[1].key, first, second)
	case same != (first.SubmissionID == second.SubmissionID):
		d.add("keys %q and %q: submissions %v and %v", p.clicks[0].key, p.clicks[1].key, first.SubmissionID, second.SubmissionID)
	case !p.retried && same != (first.Duplicate != second.Duplicate):
		d.add("keys %q and %q: replays %v and %v", p.clicks[0].key, p.clicks[1].key, first.Duplicate, second.Duplicate)
	}
}

// tryDoubleClicks lets people click twice, 0 to 2000 ms apart on the clock of the database, on both sides of the end of each minute of
// a day, beginning with the last before midnight. Half send the same key twice, the others different keys or none. A third click truly
// at once while the clock runs over the edge, a third while it jumps, a third after the first answer, with half of them not there for the first time.
func tryDoubleClicks(b *bench, submit design, seed uint64, groups int) *differences {
	b.t.Helper()
	var d differences
	rng := rand.New(rand.NewPCG(seed, 0))
	day := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	for g := range groups {
		edge := day.Add(time.Duration((midnight+g-groups/2)%midnight+1) * time.Minute)
		gap := time.Duration(rng.IntN(2000)+1) * time.Millisecond
		form := formFor("double", g, 10*time.Minute)
		pairs := make([]*doubleClick, pairsAtOnce)
		for i := range pairs {
			p := &doubleClick{}
			for j := range p.clicks {
				p.clicks[j] = click{form: form, person: i, process: j ^ rng.IntN(8)/7, key: key(2 * i)}
			}
			switch i % 4 {
			case 1:
				p.clicks[1].key = key(2*i + 1)
			case 3:
				p.clicks[0].key, p.clicks[1].key = "", ""
			}
			pairs[i] = p
		}
		var all sync.WaitGroup
		send := func(i int) {
			for _, p := range pairs {
				all.Go(func() { p.send(submit, i) })
			}
		}
		switch g % 3 {
		case 0:
			b.runClock(edge.Add(-5 * time.Millisecond))
			for _, p := range pairs {
				all.Go(func() { p.send(submit, 0) })
				all.Go(func() { p.send(submit, 1) })
			}
		case 1:
			b.stopClock(edge.Add(-gap / 2))
			send(0)
			b.stopClock(edge.Add(gap - gap/2))
			send(1)
		case 2:
			b.stopClock(edge.Add(-form.DedupeWindow))
			for i, p := range pairs { // half have been here before, almost a window ago
				if i%2 == 1 {
					earlier := &doubleClick{clicks: p.clicks}
					earlier.clicks[0].key = key(10_000 + i)
					all.Go(func() { earlier.send(submit, 0) })
				}
			}
			all.Wait()
			b.stopClock(edge.Add(-gap / 2))
			send(0)
			all.Wait()
			b.stopClock(edge.Add(gap - gap/2))
			send(1)
		}
		all.Wait()
		for _, p := range pairs {
			p.check(&d)
		}
		if n := b.count(`SELECT count(*) FROM lead WHERE form = $1`, form.Slug); n != len(pairs) {
			d.add("%s: %d leads of %d pairs", form.Slug, n, len(pairs))
		}
	}
	return &d
}

func TestIdentity_ADoubleClickIsOneLead(t *testing.T) {
	b := newClockedBench(t)
	submit, stop := product(b)
	groups, start := size(72, midnight), time.Now()
	d := tryDoubleClicks(b, submit, 41, groups)
	t.Logf("%d pairs over the ends of %d minutes: %d differences, %v", groups*pairsAtOnce, groups, d.n, time.Since(start).Round(time.Millisecond))
	d.report(t, "double clicks")
	stop()
	if n := b.deadlocks(); n != 0 {
		t.Errorf("%d deadlocks", n)
	}
}
