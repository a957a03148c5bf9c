package simulate_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/playbook"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/rep"
	"leadline/internal/routing"
	"leadline/internal/simulate"
)

const limitedPools = `version: 1
forms: [{slug: demo}]
groups: [{slug: all, cap_points: {per_day: 90}}]
reps: [{email: mia@example.com, name: Mia, tags: [german]}, {email: ben@example.com, name: Ben}]
pools:
  - {slug: de, group: all, cap: {open: 20}, overflow: rest, members: [{rep: mia@example.com}, {rep: ben@example.com}]}
  - {slug: rest, group: all, members: [{rep: ben@example.com}]}
rules:
  - {name: Germany, when: {country: DE}, then: {pool: de, needs: [german], points: 2}}
  - {name: All, band: default, then: {pool: rest}}
`

// The past had limits of pools and of their group, and leads with needs and points. The same text gives the same again, and a narrower limit is seen.
func TestHistory_KnowsWhatPoolsHadTaken(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	read := func(text string) *playbook.Config {
		t.Helper()
		cfg, problems := playbook.Parse("test", []byte(text))
		if cfg == nil {
			t.Fatal(problems)
		}
		return cfg
	}
	if _, _, err := playbook.Apply(ctx, db, read(limitedPools), "test", "", false); err != nil {
		t.Fatal(err)
	}
	table, hash, err := simulate.Published(db)(ctx, 1, "")
	if err != nil {
		t.Fatal(err)
	}
	all, err := rep.NewStore(db.Gorm).All(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w := &routing.World{Now: time.Now().Add(-time.Hour).Truncate(time.Microsecond), People: map[string]*routing.Person{}}
	for _, r := range all {
		r.Presence, r.PresenceBy = rep.Available, rep.ByAPI
		w.People[r.Email] = &routing.Person{Rep: r}
	}
	full := 0
	for i := range 60 { // nobody ever calls: both limits are reached
		w.Now = w.Now.Add(time.Second)
		facts := routing.Facts{Form: "demo", Country: []string{"DE", "FR"}[i%2], AcceptedAt: w.Now}
		out, record := routing.PlaceAndRecord(table, hash, w, routing.Case{Facts: facts, New: true})
		if out.Place.Waiting {
			full++
		}
		text, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Jobs.Exec(ctx, `INSERT INTO decision (lead_id, version, rule, pool, at, trace) VALUES ($1, 1, $2, $3, $4, $5)`,
			uuid.Must(uuid.NewV7()), record.Rule, record.Pool, w.Now, string(text)); err != nil {
			t.Fatal(err)
		}
	}
	if full == 0 {
		t.Fatal("no limit was reached")
	}
	backtest := func(text string) simulate.Comparison {
		t.Helper()
		sum, err := simulate.History(ctx, db, read(text), 2*time.Hour, func(int, int) {})
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	if same := backtest(limitedPools); same.Leads != 60 || same.Moved+same.Slower+same.Faster+same.Unrouted+same.CapHit != 0 {
		t.Errorf("the same configuration is another: %+v", same)
	}
	if narrow := backtest(strings.Replace(limitedPools, "open: 20", "open: 10", 1)); narrow.CapHit == 0 || narrow.Unrouted == 0 {
		t.Errorf("half the limit changes nothing: %+v", narrow)
	}
}
