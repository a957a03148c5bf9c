package simulate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/rep"
	"leadline/internal/routing"
	"leadline/internal/simulate"
)

// sales has three pools of ten: one for Germany, one for Austria, one for everything else; the first overflows into the last.
func sales() string {
	var b strings.Builder
	b.WriteString("version: 1\nforms: [{slug: demo}]\nreps:\n")
	for i := range 30 {
		fmt.Fprintf(&b, "  - {email: rep%d@example.com, name: Rep %d}\n", i, i)
	}
	b.WriteString("  - {email: idle@example.com, name: Idle, active: false}\npools:\n")
	for i, slug := range []string{"de", "at", "world"} {
		fmt.Fprintf(&b, "  - slug: %s\n", slug)
		if slug == "de" {
			b.WriteString("    overflow: world\n")
		}
		b.WriteString("    members:\n")
		for j := range 10 {
			fmt.Fprintf(&b, "      - {rep: rep%d@example.com, weight: %d, cap: {open: 50}}\n", 10*i+j, 1+j%3)
		}
	}
	b.WriteString("  - {slug: nobody, members: [{rep: idle@example.com}]}\n")
	b.WriteString("rules:\n  - {name: Germany, when: {country: DE}, then: {pool: de}}\n  - {name: Austria, when: {country: AT}, then: {pool: at}}\n")
	b.WriteString("  - {name: Rest, band: default, when: {}, then: {pool: world}}\n")
	return b.String()
}

func parsed(t *testing.T, text string) *playbook.Config {
	t.Helper()
	cfg, problems := playbook.Parse("test", []byte(text))
	if cfg == nil {
		t.Fatal(problems)
	}
	return cfg
}

// history publishes the configuration and stores so many decisions under it, and tells how many of them were about each country.
func history(t *testing.T, n int) (*postgres.DB, map[string]int) {
	t.Helper()
	db, ctx := pgtest.New(t), t.Context()
	cfg := parsed(t, sales())
	if _, _, err := playbook.Apply(ctx, db, cfg, "test", "", false); err != nil {
		t.Fatal(err)
	}
	table, hash, err := simulate.Published(db)(ctx, 1, "")
	if err != nil {
		t.Fatal(err)
	}
	reps, err := rep.NewStore(db.Gorm).All(ctx)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	w := &routing.World{Now: time.Now().Add(-time.Hour).Truncate(time.Microsecond), People: map[string]*routing.Person{}}
	for _, r := range reps {
		r.Presence, r.PresenceBy = rep.Available, rep.ByAPI
		w.People[r.Email] = &routing.Person{Rep: r}
	}
	countries, about := []string{"DE", "AT", "FR"}, map[string]int{}
	var rows [][]any
	for i := range n {
		w.Now = w.Now.Add(time.Millisecond)
		who := w.People[reps[random.IntN(len(reps))].Email]
		who.Presence = []rep.Presence{rep.Available, rep.Available, rep.Away}[random.IntN(3)]
		for _, p := range w.People {
			p.Load = routing.Load{Tally: routing.Tally{Uncontacted: random.IntN(20)}}
		}
		facts := routing.Facts{Form: "demo", Intent: "high", Country: countries[i%3], EmailDomain: "acme.example", AcceptedAt: w.Now}
		about[facts.Country]++
		_, record := routing.PlaceAndRecord(table, hash, w, routing.Case{Facts: facts, New: true})
		text, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, []any{uuid.Must(uuid.NewV7()), int64(1), record.Rule, record.Pool, w.Now, string(text)})
		if len(rows) < 2000 && i < n-1 {
			continue
		}
		if _, err := db.Jobs.CopyFrom(ctx, pgx.Identifier{"decision"}, []string{"lead_id", "version", "rule", "pool", "at", "trace"}, pgx.CopyFromRows(rows)); err != nil {
			t.Fatal(err)
		}
		rows = rows[:0]
	}
	return db, about
}

// decisions is how many are looked at.
func decisions() int {
	if os.Getenv("TORTURE") == "full" {
		return 100_000
	}
	return 1500
}

func TestHistory_FindsWhatADraftWouldChangeAndNothingElse(t *testing.T) {
	t.Parallel()
	n := decisions()
	db, about := history(t, n)
	compare := func(from, to string) simulate.Comparison {
		t.Helper()
		text := strings.Replace(sales(), from, to, 1)
		if from != to && text == sales() {
			t.Fatalf("%s is not there", from)
		}
		began, calls := time.Now(), 0
		sum, err := simulate.History(t.Context(), db, parsed(t, text), 2*time.Hour, func(_, of int) {
			if calls++; of != n {
				t.Errorf("progress speaks of %d leads", of)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%q for %q: %+v in %s", to, from, sum, time.Since(began))
		if sum.Leads != n || sum.Left != 0 || calls < n/1000 {
			t.Errorf("compared %d of %d, progress %d times", sum.Leads, n, calls)
		}
		return sum
	}
	if same := compare("", ""); same.Moved+same.Slower+same.Faster+same.Unrouted+same.CapHit != 0 {
		t.Errorf("the same configuration is another: %+v", same)
	}
	if moved := compare("{country: AT}, then: {pool: at}", "{country: AT}, then: {pool: world}"); moved.Moved != about["AT"] || moved.Moves["at > world"] != about["AT"] {
		t.Errorf("moved: %+v, want %d", moved, about["AT"])
	}
	if lost := compare("{country: AT}, then: {pool: at}", "{country: AT}, then: {pool: nobody}"); lost.Unrouted != about["AT"] || lost.Slower != 0 {
		t.Errorf("unrouted: %+v, want %d", lost, about["AT"])
	}
	if capped := compare("{rep: rep10@example.com, weight: 1, cap: {open: 50}}", "{rep: rep10@example.com, weight: 1, cap: {open: 1}}"); capped.CapHit < about["AT"]/3 || capped.Moved != 0 {
		t.Errorf("capped: %+v", capped)
	}
	closed := compare("slug: de\n", "slug: de\n    hours: \"Mon-Sun 00:00-00:01\"\n    timezone: \""+otherSide(time.Now())+"\"\n")
	if closed.Slower < about["DE"]*9/10 || closed.Moved != 0 {
		t.Errorf("slower: %+v, want most of %d", closed, about["DE"])
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := simulate.History(ctx, db, parsed(t, sales()), 2*time.Hour, func(int, int) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// otherSide is a time zone in which it is nowhere near midnight.
func otherSide(now time.Time) string {
	if h := now.UTC().Hour(); h > 5 && h < 20 {
		return "UTC"
	}
	return "Asia/Tokyo"
}
