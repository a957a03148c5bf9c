package dispatch_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/fault"
	"leadline/internal/routing"
)

// size is a number for CI, or with TORTURE=full the one of a release.
func size(ci, release int) int {
	if os.Getenv("TORTURE") == "full" {
		return release
	}
	return ci
}

// everybodyIn is a pool that opens its leads to all members at once.
func everybodyIn(slug string, terms routing.OfferTerms, names ...string) *routing.Pool {
	p := pool(slug, terms, names...)
	p.Strategy = routing.Broadcast
	return p
}

func TestClaim_ContestedOverTwoNodesEachLeadGetsOneOwner(t *testing.T) {
	t.Parallel()
	const rivals, atOnce, batch = 10, 20, 1000
	var names []string
	for n := range rivals {
		names = append(names, fmt.Sprintf("rep%02d", n))
	}
	d := setup(t, names...)
	d.configure(1, everybodyIn("open", long, names...))
	nodes := []*process{d.run(), d.run()}
	claims, wins := 0, 0
	for claims < size(20_000, 1_000_000) {
		ids := d.submit(nodes[0], batch)
		d.eventually("every lead to be open", func() bool {
			return ask[int](d, `SELECT count(*) FROM lead WHERE id = ANY($1) AND stage = 'offered'`, ids) == batch
		})
		won := d.contest(nodes, ids, names, atOnce)
		claims, wins = claims+batch*rivals, wins+won
		if won != batch {
			t.Errorf("%d claims of %d leads won", won, batch)
		}
	}
	if n := ask[int](d, `SELECT count(*) FROM lead l WHERE l.stage <> 'claimed' OR l.rep_id IS NULL OR l.attempt <> 1
		OR 1 <> (SELECT count(*) FROM event e WHERE e.lead_id = l.id AND e.kind = 'claimed' AND e.rep_id = l.rep_id)
		OR 1 <> (SELECT count(*) FROM event e WHERE e.lead_id = l.id AND e.kind = 'claimed')
		OR 1 <> (SELECT count(*) FROM offer o WHERE o.lead_id = l.id AND o.state = 'accepted')`); n != 0 {
		t.Errorf("%d leads have not exactly one owner", n)
	}
	d.sound()
	t.Logf("%d claims of %d leads, %d won", claims, wins, wins)
}

// contest has every rep claim every lead, those of one lead at the same time and over all nodes, and counts who won.
func (d *desk) contest(nodes []*process, ids []uuid.UUID, names []string, atOnce int) (won int) {
	type try struct {
		node *process
		lead uuid.UUID
		rep  uuid.UUID
	}
	tries := make(chan try)
	var mu sync.Mutex
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for c := range tries {
				_, err := c.node.Claim(d.t.Context(), dispatch.ClaimRequest{LeadID: c.lead, RepID: c.rep, Attempt: 1, By: "console"})
				var f *fault.Error
				for errors.As(err, &f) && f.Kind == fault.Unavailable { // busy: a person would press again
					_, err = c.node.Claim(d.t.Context(), dispatch.ClaimRequest{LeadID: c.lead, RepID: c.rep, Attempt: 1, By: "console"})
				}
				mu.Lock()
				switch {
				case err == nil:
					won++
				case code(err) != dispatch.CodeLostRace:
					d.t.Errorf("a claim failed: %v", err)
				}
				mu.Unlock()
			}
		})
	}
	for _, id := range ids {
		for i, n := range rand.Perm(len(names)) {
			tries <- try{nodes[i%len(nodes)], id, d.reps[names[n]]}
		}
	}
	close(tries)
	all.Wait()
	return won
}

func TestReoffer_ComesWithinASecondOfTheDeadlineAndNoneSticks(t *testing.T) { // alone: it measures
	d := setup(t, "mia")
	terms := routing.OfferTerms{Pool: 200 * time.Millisecond, Attempts: 9}
	var chain []*routing.Pool
	for n := range 5 {
		p := everybodyIn(fmt.Sprintf("pool%d", n), terms, "mia")
		p.Overflow = fmt.Sprintf("pool%d", n+1)
		chain = append(chain, p)
	}
	d.configure(1, append(chain, everybodyIn("pool5", terms, "mia"))...)
	nodes := []*process{d.run(), d.run()}
	n := size(200, 10_000)
	var ids []uuid.UUID
	for len(ids) < n {
		ids = append(ids, d.submit(nodes[len(ids)%2], min(100, n-len(ids)))...)
	}
	d.eventually("every lead to have climbed to the last pool", func() bool {
		return ask[int](d, `SELECT count(*) FROM lead WHERE id = ANY($1) AND pool = 'pool5' AND stage = 'offered' AND attempt = 6`, ids) == n
	})
	late := ask[float64](d, `SELECT max(extract(epoch FROM next.offered_at - o.deadline))::double precision
		FROM offer o JOIN offer next ON next.lead_id = o.lead_id AND next.attempt = o.attempt + 1`)
	t.Logf("%d leads re-offered five times; at most %.0f ms after the deadline", n, late*1000)
	if late > 1 {
		t.Errorf("a lead was offered again %.2f s after its deadline, want a second at most", late)
	}
	d.sound()
}

// rounds has two reps claim the same leads, one always after the other's claim has arrived, as over a slower line.
func (d *desk) rounds(nodes []*process, n int, arrived string) (slowWins int, answers []time.Duration) {
	const atOnce = 4
	var mu sync.Mutex
	claim := func(p *process, id uuid.UUID, name string) {
		start := time.Now()
		_, err := p.Claim(d.t.Context(), dispatch.ClaimRequest{LeadID: id, RepID: d.reps[name], Attempt: 1, By: "console"})
		took := time.Since(start)
		mu.Lock()
		defer mu.Unlock()
		answers = append(answers, took)
		if err == nil && name == "slow" {
			slowWins++
		} else if err != nil && code(err) != dispatch.CodeLostRace {
			d.t.Errorf("%s: %v", name, err)
		}
	}
	for done := 0; done < n; done += atOnce {
		ids := d.submit(nodes[0], atOnce)
		d.eventually("the leads to be open", func() bool {
			return ask[int](d, `SELECT count(*) FROM lead WHERE id = ANY($1) AND stage = 'offered'`, ids) == atOnce
		})
		var all sync.WaitGroup
		for i, id := range ids {
			all.Go(func() { claim(nodes[i%2], id, "fast") })
			all.Go(func() {
				d.eventually("the fast claim to arrive", func() bool { return ask[bool](d, arrived, id) })
				claim(nodes[(i+1)%2], id, "slow")
			})
		}
		all.Wait()
	}
	return slowWins, answers
}

func TestWindow_ClaimsWithinItAreSettledByTurnAndNotByTheLine(t *testing.T) { // alone: it measures
	d := setup(t, "fast", "slow")
	terms := long
	terms.Window = routing.MostWindow
	d.configure(1, everybodyIn("open", terms, "fast", "slow"))
	n := size(400, 10_000)
	wins, answers := d.rounds([]*process{d.run(), d.run()}, n, `SELECT EXISTS (SELECT FROM bid WHERE lead_id = $1)`)
	slices.Sort(answers)
	middle, p95, most := answers[len(answers)/2], answers[len(answers)*95/100], answers[len(answers)-1]
	t.Logf("over the slow line %d of %d won; answers took %v in the middle, %v at p95 and %v at most", wins, n,
		middle.Round(time.Millisecond), p95.Round(time.Millisecond), most.Round(time.Millisecond))
	if off := math.Abs(float64(wins) - float64(n)/2); off > 1.96*math.Sqrt(float64(n))/2 {
		t.Errorf("the slow line won %d of %d: that is not chance", wins, n)
	}
	if middle > routing.MostWindow+100*time.Millisecond || size(0, 1) == 1 && p95 > routing.MostWindow+100*time.Millisecond {
		t.Errorf("answers took %v in the middle and %v at p95, want the window and 100 ms at most", middle, p95) // a machine of CI may be busy for a moment
	}
	if owners := ask[int](d, `SELECT count(*) FROM event WHERE kind = 'claimed'`); owners != n {
		t.Errorf("%d leads were given %d times", n, owners)
	}
	d.sound()
}

func TestWindow_WithoutItTheFasterLineWinsAlways(t *testing.T) {
	t.Parallel()
	d := setup(t, "fast", "slow")
	d.configure(1, everybodyIn("open", long, "fast", "slow"))
	if wins, _ := d.rounds([]*process{d.run(), d.run()}, 40, `SELECT stage = 'claimed' FROM lead WHERE id = $1`); wins != 0 {
		t.Errorf("the slow line won %d of 40 although nothing evens it out: the test cannot tell", wins)
	}
}
