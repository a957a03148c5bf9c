package simulate_test

import (
	"math/rand/v2"
	"testing"

	"leadline/internal/routing"
	"leadline/internal/simulate"
)

// TestOne_SaysWhatLiveDispatchThenDoes asks where a lead would go, lets it come, and compares, while people come and go and turns pass.
func TestOne_SaysWhatLiveDispatchThenDoes(t *testing.T) {
	t.Parallel()
	l := newLine(t, sales())
	s := l.serve()
	random := rand.New(rand.NewPCG(3, 4))
	countries := []string{"DE", "AT", "FR"}
	to := map[string]int{}
	for range 40 {
		// What was offered is taken, or it would go on to somebody else between the question and the answer.
		l.exec(`UPDATE lead SET stage = 'contacted', rep_id = (SELECT min(id::text)::uuid FROM rep), claimed_at = clock_timestamp(), first_touch_at = clock_timestamp()`)
		l.exec(`UPDATE offer SET state = 'withdrawn', screen_by = NULL, ended_at = clock_timestamp() WHERE state = 'open'`)
		l.exec(`UPDATE rep SET presence = CASE WHEN random() < 0.5 THEN 'away' ELSE 'available' END WHERE email <> 'rep29@example.com'`)
		if random.IntN(8) == 0 {
			l.exec(`UPDATE rep SET presence = 'away'`)
		}
		country := countries[random.IntN(len(countries))]
		live := s.book.Current()
		q := simulate.Question{Lead: simulate.Lead{Form: "demo", Email: "a@acme.example", Country: country}, Config: live.Config, Version: live.Version}
		said, err := simulate.One(t.Context(), l.db, q)
		if err != nil {
			t.Fatal(err)
		}
		stored := ask[string](l, `SELECT trace::text FROM decision WHERE lead_id = $1`, s.send(1, country)[0])
		did, err := routing.ReadRecord([]byte(stored))
		if err != nil {
			t.Fatal(err)
		}
		out := said.Outcome
		if said.To != did.To || out.Decision.Rule != did.Rule || out.Decision.Pool != did.Pool || out.Decision.Version != did.Version || out.Home != did.Outcome.Home {
			t.Errorf("said %s by %s to %q, did %s by %s to %q", out.Decision.Pool, out.Decision.Rule, said.To, did.Pool, did.Rule, did.To)
		}
		if p, q := out.Place, did.Outcome.Place; p.Waiting != q.Waiting || p.Pool != q.Pool || p.Rung != q.Rung || p.Terms != q.Terms {
			t.Errorf("said %+v, did %+v", p, q)
		}
		if len(out.Considered) != len(did.Candidates) {
			t.Fatalf("said %d candidates, did %d", len(out.Considered), len(did.Candidates))
		}
		for i, was := range did.Candidates {
			if is := out.Considered[i]; is.Rep != was.Rep || is.Outcome != was.Outcome || is.Code != was.Code || is.Share != was.Share || is.Pool != was.Pool {
				t.Errorf("said %+v, did %+v", is, was)
			}
		}
		to[said.To]++
	}
	if len(to) < 10 || to[""] == 0 {
		t.Errorf("little happened: %v", to)
	}
}
