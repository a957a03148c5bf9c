package simulate_test

import (
	"testing"
	"time"

	"leadline/internal/simulate"
)

func TestReplay_FindsNoDifferenceAmongStoredDecisionsAndOneWhereThereIsOne(t *testing.T) {
	t.Parallel()
	n := decisions()
	db, _ := history(t, n)
	replay := func() (simulate.Replayed, []simulate.Finding) {
		t.Helper()
		var found []simulate.Finding
		began := time.Now()
		sum, err := simulate.Replay(t.Context(), db, simulate.Published(db), 2*time.Hour, 0, func(f simulate.Finding) { found = append(found, f) })
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v in %s", sum, time.Since(began))
		return sum, found
	}
	if sum, found := replay(); sum.Decisions != n || sum.Different != 0 || len(found) != 0 {
		t.Errorf("%+v %v", sum, found)
	}
	l := &line{t: t, db: db}
	l.exec(`UPDATE decision SET trace = jsonb_set(trace, '{to}', '"rep0@example.com"') WHERE lead_id = (SELECT lead_id FROM decision WHERE pool = 'at' ORDER BY lead_id LIMIT 1)`)
	if sum, found := replay(); sum.Different != 1 || len(found) != 1 || found[0].Differences[0].Part != "to" {
		t.Errorf("after one was changed: %+v %v", sum, found)
	}
}
