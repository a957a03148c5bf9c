package dispatch_test

import (
	"context"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/routing"
)

func TestDispatch_SharesByWeightAcrossProcesses(t *testing.T) {
	t.Parallel()
	for _, processes := range []int{1, 2} {
		t.Run(map[int]string{1: "one process", 2: "two processes"}[processes], func(t *testing.T) {
			t.Parallel()
			d := setup(t, "mia", "ben", "eve", "sam")
			shared := pool("shared", long, "mia", "ben", "eve", "sam")
			for i := range shared.Members {
				shared.Members[i].Weight = float64(i + 1)
			}
			d.configure(1, shared)
			running := make([]*process, processes)
			for i := range running {
				running[i] = d.run()
			}
			var all []uuid.UUID
			var mu sync.Mutex
			var wg sync.WaitGroup
			for i := range 40 { // bursts of uneven size from several writers
				wg.Go(func() {
					ids := d.submit(running[i%processes], 5+i)
					mu.Lock()
					defer mu.Unlock()
					all = append(all, ids...)
				})
			}
			wg.Wait()
			d.settled(all)
			for i, m := range shared.Members {
				got := ask[int](d, `SELECT count(*) FROM offer o JOIN rep r ON r.id = o.rep_id WHERE r.email = $1`, m.Rep)
				owed := float64(len(all)) * float64(i+1) / 10
				if math.Abs(float64(got)-owed) > 1 {
					t.Errorf("%s got %d leads, owed %.1f of %d", m.Rep, got, owed, len(all))
				}
			}
			claimed := 0
			for _, p := range running {
				p.claimed.Range(func(_, _ any) bool { claimed++; return true })
				d.eventually("nothing to wait", func() bool { return p.Waiting() == 0 })
			}
			if claimed != len(all) {
				t.Errorf("%d deliveries were handed on for %d leads", claimed, len(all))
			}
		})
	}
}

func TestDispatch_APeerTakesOverFromAKilledProcess(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	d.configure(1, pool("first", long, "mia"))
	victim := d.join() // takes leads, but never gets to dispatch them
	d.run()
	ids := d.submit(victim, 20)
	d.exec(`UPDATE lead SET dispatch_lease = clock_timestamp() + interval '1 hour'`) // so that only the fallen lock can tell
	before := time.Now()
	if err := victim.node.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.settled(ids)
	if took := time.Since(before); took > 3*time.Second {
		t.Errorf("the take-over took %s", took)
	}
	if n := ask[int](d, `SELECT count(*) FROM offer`); n != len(ids) {
		t.Errorf("%d offers for %d leads", n, len(ids))
	}
}

func TestDispatch_TakesLeadsWhoseLeaseRanOutFromLivePeers(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	d.configure(1, pool("first", long, "mia"))
	stuck := d.join()
	d.run()
	ids := d.submit(stuck, 3)
	d.exec(`UPDATE lead SET dispatch_lease = clock_timestamp() - interval '1 second' WHERE id = ANY($1)`, ids[:2])
	d.settled(ids[:2])
	if stage := ask[string](d, `SELECT stage FROM lead WHERE id = $1`, ids[2]); stage != "new" {
		t.Errorf("a lead that a live process still holds became %s", stage)
	}
}

func TestDispatch_SurvivesTheLossOfItsConnections(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	d.configure(1, pool("first", long, "mia"))
	p := d.run()
	d.settled(d.submit(p, 2))
	d.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'leadline dispatch'`)
	d.settled(d.submit(p, 2))
}

func TestDispatch_APoisonedLeadWaitsAloneAndStopsNobody(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	d.configure(1, pool("first", long, "mia"))
	bad := uuid.Must(uuid.NewV7())
	d.exec(`CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN IF NEW.trace->'facts'->>'country' = 'XX' THEN RAISE data_exception; END IF; RETURN NEW; END $$`)
	d.exec(`CREATE TRIGGER poison BEFORE INSERT ON decision FOR EACH ROW EXECUTE FUNCTION poison()`)
	p := d.join()
	d.exec(insertLeads, []uuid.UUID{bad}, p.node.ID(), "XX")
	ids := d.submit(p, 5)
	d.start(p)
	d.settled(ids)
	d.reaches(bad, " | waiting in first")
	if n := ask[int](d, `SELECT count(*) FROM delivery WHERE lead_id = $1`, bad); n != 1 {
		t.Errorf("the lead has %d deliveries, want 1: the CRM may well take it", n)
	}
	if _, err := p.Claim(t.Context(), dispatch.ClaimRequest{LeadID: bad, RepID: d.reps["mia"]}); err != nil {
		t.Errorf("a person cannot take it: %v", err)
	}
}

// A reader that follows the stream while many write must see every number once and in order.
func TestEvents_AreGaplessAndInCommitOrderUnderConcurrency(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	open := pool("open", quick, "mia", "ben")
	open.Strategy = routing.Pull
	d.configure(1, open)
	running := []*process{d.run(), d.run()}

	done := make(chan struct{})
	read := make(chan []int64)
	go func() {
		var seen []int64
		for last, quiet := int64(0), false; ; {
			rows, err := d.db.Console.Query(context.WithoutCancel(t.Context()), `SELECT seq FROM event WHERE seq > $1 ORDER BY seq`, last)
			if err != nil {
				break
			}
			n := len(seen)
			for rows.Next() {
				var seq int64
				_ = rows.Scan(&seq)
				seen, last = append(seen, seq), seq
			}
			if quiet && len(seen) == n {
				break
			}
			select {
			case <-done:
				quiet = true
			default:
			}
		}
		read <- seen
	}()
	var wg sync.WaitGroup
	for i := range 8 {
		p := running[i%2]
		wg.Go(func() {
			for _, id := range d.submit(p, 25) {
				d.eventually("an offer", func() bool { return ask[string](d, `SELECT stage FROM lead WHERE id = $1`, id) == "offered" })
				_, err := p.Claim(t.Context(), dispatch.ClaimRequest{LeadID: id, RepID: d.reps[[]string{"mia", "ben"}[i%2]]})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(done)
	seen := <-read
	want := ask[int](d, `SELECT count(*) FROM event`)
	if len(seen) != want || !slices.IsSorted(seen) || seen[len(seen)-1] != int64(want) {
		t.Errorf("the reader saw %d of %d events", len(seen), want)
	}
	d.sound()
}

// BenchmarkDispatch measures from the commit of leads to their offers, one batch after another.
func BenchmarkDispatch(b *testing.B) {
	d := setup(b, "mia", "ben", "eve", "sam")
	d.configure(1, pool("shared", long, "mia", "ben", "eve", "sam"))
	p := d.run()
	for _, size := range []int{1, 2, 16, 128} {
		b.Run(map[int]string{1: "batch=1", 2: "batch=2", 16: "batch=16", 128: "batch=128"}[size], func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				d.submit(p, size)
				start := time.Now()
				for p.Waiting() > 0 {
					time.Sleep(20 * time.Microsecond) // a poll, fine enough to measure by
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms/batch")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms/batch")
		})
	}
}
