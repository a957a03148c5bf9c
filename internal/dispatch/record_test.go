package dispatch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/dispatch"
	"leadline/internal/routing"
	"leadline/internal/simulate"
)

// restless is a configuration in which everything happens: all strategies, limits, overflow, persons.
func (d *desk) restless(version int64, terms routing.OfferTerms) *routing.Table {
	names := sellers
	turns := pool("turns", terms, names[:4]...)
	turns.Overflow = "busy"
	for i := range turns.Members {
		turns.Members[i].Weight, turns.Members[i].Cap.Open = float64(i+1), 6
	}
	busy := pool("busy", terms, names[4:7]...)
	busy.Strategy, busy.LastResort = routing.LeastLoaded, email("jon")
	idle := pool("idle", terms, names[5:9]...)
	idle.Strategy, idle.Overflow = routing.LongestIdle, "open"
	idle.Members[0].Cap.PerDay = 20
	open := pool("open", terms, names[6:]...)
	open.Strategy = routing.Broadcast
	order := pool("order", terms, names[2:5]...)
	order.Strategy = routing.Fixed
	for _, p := range []*routing.Pool{turns, busy, idle, open, order} {
		p.SLA.Attempt = time.Hour
	}
	d.configureRules(version, []routing.Rule{
		{Name: "austria", When: routing.Condition{Country: []string{"AT"}}, Then: routing.Target{Pool: "idle"}},
		{Name: "france", When: routing.Condition{Country: []string{"FR"}}, Then: routing.Target{Pool: "order"}},
		{Name: "named", Band: routing.Override, When: routing.Condition{Country: []string{"CH"}}, Then: routing.Target{Pool: "busy", Rep: email("hal")}},
		{Name: "all", Band: routing.Default, Then: routing.Target{Pool: "turns"}},
	}, turns, busy, idle, open, order)
	snap := *d.snapshot.Load()
	snap.Hash = published(version)
	d.snapshot.Store(&snap)
	return snap.Table
}

var (
	sellers   = []string{"ada", "ben", "cyd", "dan", "eve", "fay", "gus", "hal", "ivy", "jon"}
	countries = []string{"DE", "AT", "FR", "CH"}
)

func published(version int64) string { return fmt.Sprintf("content of version %d", version) }

// everybodyBack makes all available but some. Their rows are locked in the order of their ids, as the product locks them.
func (d *desk) everybodyBack(but ...uuid.UUID) {
	d.t.Helper()
	d.exec(`WITH back AS (SELECT id FROM rep WHERE id <> ALL($1::uuid[]) ORDER BY id FOR NO KEY UPDATE)
		UPDATE rep SET presence = 'available', presence_by = 'api', active = true, missed = 0 FROM back WHERE rep.id = back.id`, append([]uuid.UUID{}, but...))
}

// stir lets leads come and people come and go until so many decisions were made, nobody answering in time.
func (d *desk) stir(p *process, decisions int, seed uint64) {
	d.t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	limit := time.Now().Add(10 * time.Minute)
	for made := 0; made < decisions; made = ask[int](d, `SELECT (SELECT count(*) FROM decision) + (SELECT count(*) FROM decision_step)`) {
		if time.Now().After(limit) {
			d.t.Fatalf("only %d decisions were made", made)
		}
		d.everybodyBack(d.reps[sellers[random.IntN(len(sellers))]])
		d.exec(`UPDATE rep SET presence = 'focus' WHERE id = $1`, d.reps[sellers[random.IntN(len(sellers))]])
		p.PresenceChanged()
		d.submitFrom(p, 1+random.IntN(100), countries[random.IntN(len(countries))])
		d.answer(p, random, 5)
	}
}

// lose lets people leave with offers in their hands, in every way there is.
func (d *desk) lose(p *process) {
	d.t.Helper()
	d.everybodyBack()
	for _, country := range countries {
		d.submitFrom(p, 6, country)
	}
	d.exec(`UPDATE lead SET stage = 'contacted' WHERE stage = 'claimed'`) // nobody is at a limit any more
	d.eventually("some offers", func() bool {
		d.everybodyBack() // offers of the former version, which end soon, still set people away
		p.PresenceChanged()
		return ask[int](d, `SELECT count(DISTINCT rep_id) FROM offer WHERE state = 'open' AND deadline > clock_timestamp() + interval '1 minute'`) >= 4
	})
	d.answer(p, rand.New(rand.NewPCG(1, 1)), 10)
	for cause, how := range map[string]string{"presence_lost": `presence = 'away', presence_reason = 'lunch'`, "deactivated": `active = false`} {
		d.eventually(cause, func() bool {
			d.exec(`UPDATE rep SET ` + how + ` WHERE id = (SELECT rep_id FROM offer WHERE state = 'open' AND rung = 'turn' ORDER BY lead_id DESC LIMIT 1)`)
			p.PresenceChanged()
			if ask[bool](d, `SELECT EXISTS (SELECT FROM decision_step WHERE cause = $1)`, cause) {
				return true
			}
			d.everybodyBack()
			return false
		})
	}
	random := rand.New(rand.NewPCG(2, 2))
	d.eventually("a lead whose time is over", func() bool {
		d.everybodyBack()
		p.PresenceChanged()
		d.answer(p, random, 10)
		d.later(routing.ClockAttempt, 61*time.Minute, ask[[]uuid.UUID](d, `SELECT coalesce(array_agg(lead_id), '{}') FROM lead_clock WHERE kind = 'first_attempt'`)...)
		return ask[bool](d, `SELECT EXISTS (SELECT FROM decision_step WHERE cause = 'sla_expired')`)
	})
}

// answer declines and claims some open offers. Either may come too late, which is an answer too.
func (d *desk) answer(p *process, random *rand.Rand, most int) {
	rows, err := d.db.Jobs.Query(d.t.Context(), `SELECT lead_id, rep_id, attempt FROM offer WHERE state = 'open' AND rep_id IS NOT NULL ORDER BY offered_at DESC LIMIT $1`, most)
	if err != nil {
		d.t.Fatal(err)
	}
	offers, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct {
		Lead, Rep uuid.UUID
		Attempt   int
	}])
	if err != nil {
		d.t.Fatal(err)
	}
	for _, o := range offers {
		if random.IntN(2) == 0 {
			_ = p.Pass(d.t.Context(), dispatch.PassRequest{LeadID: o.Lead, RepID: o.Rep, Attempt: o.Attempt, Reason: routing.OnACall, By: "console"})
		} else {
			_, _ = p.Claim(d.t.Context(), dispatch.ClaimRequest{LeadID: o.Lead, RepID: o.Rep, Attempt: o.Attempt, By: "console"})
		}
	}
}

func TestRecord_EveryStoredDecisionComesOutTheSameAgain(t *testing.T) {
	t.Parallel()
	d := setup(t, sellers...)
	tables := map[int64]*routing.Table{7: d.restless(7, routing.OfferTerms{Exclusive: 40 * time.Millisecond, Pool: 30 * time.Millisecond, Attempts: 6})}
	p := d.join()
	d.start(p)
	n := 2000
	if os.Getenv("TORTURE") == "full" {
		n = 100_000
	}
	d.stir(p, n, 5)
	tables[8] = d.restless(8, long)
	d.lose(p)
	p.stop()
	<-p.ended

	causes := ask[[]string](d, `SELECT array_agg(DISTINCT cause ORDER BY cause) FROM (SELECT cause FROM decision_step UNION ALL SELECT 'first') AS t`)
	for _, want := range []string{"deactivated", "decline", "drain", "first", "overflow", "presence_lost", "sla_expired", "timeout"} {
		if !slices.Contains(causes, want) {
			t.Errorf("no decision has the cause %s; there are %v", want, causes)
		}
	}
	// Some people are erased: of their facts the least is kept.
	for _, sql := range []string{
		`UPDATE decision SET trace = trace || '{"facts": {"form": "demo", "intent": "high", "country": "DE", "accepted_at": "2026-11-26T12:00:00Z"}}' WHERE trace->'facts'->>'country' = 'DE' AND lead_id::text LIKE '%0'`,
		`UPDATE lead SET erased_at = clock_timestamp() WHERE id IN (SELECT lead_id FROM decision WHERE trace->'facts'->>'country' = 'DE' AND lead_id::text LIKE '%0')`,
	} {
		d.exec(sql)
	}
	replay := func(tables map[int64]*routing.Table, hash func(int64) string) (simulate.Replayed, []simulate.Finding) {
		t.Helper()
		var found []simulate.Finding
		sum, err := simulate.Replay(t.Context(), d.db, func(_ context.Context, version int64, _ string) (*routing.Table, string, error) {
			return tables[version], hash(version), nil
		},
			time.Hour, 0, func(f simulate.Finding) { found = append(found, f) })
		if err != nil {
			t.Fatal(err)
		}
		return sum, found
	}
	sum, found := replay(tables, published)
	t.Logf("%+v, causes %v, bytes of a first record %d, of a later one %d", sum, causes,
		ask[int](d, `SELECT avg(length(trace::text))::int FROM decision`), ask[int](d, `SELECT coalesce(avg(length(record::text))::int, 0) FROM decision_step`))
	if sum.Decisions < n || sum.Later == 0 || sum.Erased == 0 || sum.Older != 0 {
		t.Errorf("replayed %+v, want at least %d decisions, later and erased ones among them", sum, n)
	}
	for _, f := range found[:min(len(found), 5)] {
		t.Errorf("lead %s at %s: %+v", f.Lead, f.At, f.Differences)
	}
	if sum.Different != len(found) || len(found) > 0 {
		t.Fatalf("%d of %d decisions come out otherwise", len(found), sum.Decisions)
	}

	if _, found := replay(tables, func(int64) string { return "something else" }); len(found) == 0 {
		t.Error("a version with other content than it had was not noticed")
	}
	other, _ := routing.Compile(7, tables[7].Pools(), []routing.Rule{{Name: "all", Band: routing.Default, Then: routing.Target{Pool: "turns"}}}, nil, nil)
	if _, found := replay(map[int64]*routing.Table{7: other, 8: tables[8]}, published); len(found) < ask[int](d, `SELECT count(*) FROM decision d JOIN lead l ON l.id = d.lead_id WHERE version = 7 AND rule <> 'all' AND erased_at IS NULL`) {
		t.Error("changed rules were not noticed in every decision that they would change")
	}
	for i, tamper := range []string{
		`UPDATE decision SET trace = jsonb_set(trace, '{to}', '"somebody@example.com"') WHERE lead_id = $1`,
		`UPDATE decision SET trace = jsonb_set(trace, ARRAY['world','people',trace->>'to','presence'], '"off"') WHERE lead_id = $1`,
		`UPDATE decision SET trace = jsonb_set(trace, '{facts,country}', '"FR"') WHERE lead_id = $1`,
		`UPDATE decision SET trace = jsonb_set(trace, '{candidates,0,reason}', '"did not like them"') WHERE lead_id = $1`,
	} {
		id := ask[uuid.UUID](d, `SELECT d.lead_id FROM decision d JOIN lead l ON l.id = d.lead_id WHERE rule = 'all' AND erased_at IS NULL
			AND trace->'world'->'people'->(trace->>'to')->>'presence' = 'available' ORDER BY 1 OFFSET $1 LIMIT 1`, i)
		d.exec(tamper, id)
		if _, found := replay(tables, published); !slices.ContainsFunc(found, func(f simulate.Finding) bool { return f.Lead == id }) {
			t.Errorf("%s was not noticed", fmt.Sprintf("tampering number %d", i))
		}
	}
}
