package dispatch_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"

	"leadline/internal/audit"
	"leadline/internal/credit"
	"leadline/internal/dispatch"
	"leadline/internal/fault"
)

// At every moment a credit is what a rep was owed less what they got, and the sum of their rows.
func TestCredits_AreTurnsAndTheSumOfTheLedger(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben", "eve")
	shared := pool("shared", long, "mia", "ben", "eve")
	shared.BadLead, shared.Group = 1, "all"
	d.configure(1, shared)
	p := d.run()
	ledger := credit.NewStore(d.db)
	r := rand.New(rand.NewPCG(5, 6))
	sum := 0
	check := func() {
		t.Helper()
		for _, m := range shared.Members {
			credits := ask[float64](d, `SELECT credits[array_position(members, (SELECT id FROM rep WHERE email = $1))] FROM pool_state WHERE pool = 'group:all'`, m.Rep)
			received := ask[float64](d, `SELECT count(*)::float8 FROM offer o JOIN rep r ON r.id = o.rep_id WHERE r.email = $1`, m.Rep)
			rows := ask[float64](d, `SELECT coalesce(sum(amount), 0) FROM credit_entry e JOIN rep r ON r.id = e.rep_id WHERE r.email = $1 AND e.pool = 'group:all'`, m.Rep)
			if want := float64(sum)/3 - received + rows; math.Abs(credits-want) > 1e-6 {
				t.Errorf("%s has %.3f; turns and rows make %.3f (%.1f owed, %.0f received, rows %.2f)", m.Rep, credits, want, float64(sum)/3, received, rows)
			}
		}
	}
	reasons := []string{"spam", "duplicate", "wrong_contact", "no_budget", ""}
	for range 12 {
		n := 1 + r.IntN(9)
		ids := d.submit(p, n)
		sum += n
		d.settled(ids)
		check()
		for _, id := range ids {
			holder := ask[uuid.UUID](d, `SELECT rep_id FROM offer WHERE lead_id = $1 AND state = 'open'`, id)
			if _, err := p.Claim(t.Context(), dispatch.ClaimRequest{LeadID: id, RepID: holder}); err != nil {
				t.Fatal(err)
			}
			for range 1 + r.IntN(3) { // what was said last counts, and once
				o := dispatch.OutcomeRequest{LeadID: id, RepID: holder, Disposition: "disqualified", Reason: reasons[r.IntN(len(reasons))]}
				if r.IntN(3) > 0 {
					o.Disposition, o.Reason = "connected", ""
				}
				if err := p.Outcome(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := ledger.Adjust(t.Context(), "group:all", d.reps["ben"], float64(r.IntN(5)-2)+0.5, "A quiet week"); err != nil {
			t.Fatal(err)
		}
		check()
	}
	if n := ask[int](d, `SELECT count(*) FROM (SELECT FROM credit_entry WHERE kind = 'bad_lead' GROUP BY lead_id HAVING sum(amount) < -1e-9 OR sum(amount) > 1 + 1e-9) AS wrong`); n != 0 {
		t.Errorf("%d leads gave back more than a turn, or took one", n)
	}
	if n := ask[int](d, `SELECT count(*) FROM audit WHERE action = $1 AND object = $2`, audit.CreditAdjusted, d.reps["ben"].String()); n != 12 {
		t.Errorf("%d of 12 adjustments are in the record", n)
	}
	entries, err := ledger.Entries(t.Context(), "group:all", 3)
	if err != nil || len(entries) != 3 || entries[0].Kind != credit.Manual || entries[0].Rep != email("ben") || entries[0].Reason != "A quiet week" {
		t.Errorf("the newest entries: %+v, %v", entries, err)
	}
}

func TestCredits_ABadLeadGivesItsTurnBack(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	first := pool("first", long, "mia", "ben")
	first.BadLead = 1
	d.configure(1, first)
	p := d.run()
	turns := map[string]int{}
	for range 20 {
		id := d.submit(p, 1)[0]
		d.settled([]uuid.UUID{id})
		holder := ask[string](d, `SELECT split_part(r.email, '@', 1) FROM offer o JOIN rep r ON r.id = o.rep_id WHERE o.lead_id = $1`, id)
		turns[holder]++
		if holder == "ben" || turns["mia"] > 3 {
			continue
		}
		d.take(p, id, "mia")
		if err := p.Outcome(t.Context(), dispatch.OutcomeRequest{LeadID: id, RepID: d.reps["mia"], Disposition: "disqualified", Reason: "spam"}); err != nil {
			t.Fatal(err)
		}
	}
	if ahead := turns["mia"] - turns["ben"]; ahead < 2 || ahead > 4 { // three were none
		t.Errorf("with three leads that were spam mia got %d, ben %d", turns["mia"], turns["ben"])
	}
	for amount, reason := range map[float64]string{0: "why", 4: "why", 1: " ", math.NaN(): "why"} {
		if _, err := credit.NewStore(d.db).Adjust(t.Context(), "first", d.reps["mia"], amount, reason); !fault.Is(err, fault.Invalid) {
			t.Errorf("an adjustment by %g for %q: %v", amount, reason, err)
		}
	}
	if _, err := credit.NewStore(d.db).Adjust(t.Context(), "elsewhere", d.reps["mia"], 1, "why"); !fault.Is(err, fault.Conflict) {
		t.Errorf("an adjustment where nobody had a turn: %v", err)
	}
}

// The ledger says of each lead what became of it last, whatever was said before, and what a pool gives back for it.
func TestCredits_NoShowAndCancelledGiveBackWhatThePoolSays(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	first := pool("first", long, "mia")
	first.BadLead, first.NoShow = 1, 0.5
	d.configure(1, first)
	p := d.run()
	id := d.submit(p, 1)[0]
	d.reaches(id, "turn:first:mia open")
	d.take(p, id, "mia")
	for _, step := range []struct{ disposition, reason, ledger string }{
		{"booked", "", ""},
		{"no_show", "", "no_show 0.5"},
		{"no_show", "", "no_show 0.5"},
		{"wrong_number", "", "bad_lead 1"},
		{"booked", "", ""},
		{"cancelled", "", ""}, // which this pool gives nothing for
		{"no_show", "", "no_show 0.5"},
	} {
		if err := p.Outcome(t.Context(), dispatch.OutcomeRequest{LeadID: id, RepID: d.reps["mia"], Disposition: step.disposition, Reason: step.reason}); err != nil {
			t.Fatal(err)
		}
		got := ask[string](d, `SELECT coalesce(string_agg(kind || ' ' || amount, ', '), '') FROM
			(SELECT kind, sum(amount) AS amount FROM credit_entry WHERE lead_id = $1 GROUP BY kind HAVING sum(amount) <> 0) AS t`, id)
		if got != step.ledger {
			t.Errorf("after %s the ledger says %q, want %q", step.disposition, got, step.ledger)
		}
	}
	if stage := ask[string](d, `SELECT stage FROM lead WHERE id = $1`, id); stage != "contacted" {
		t.Errorf("who did not come is %s; somebody has to call again", stage)
	}
}

func TestHandOver_WhatIsTakenGivesTheTurnBackAndWhatIsGivenAwayDoesNot(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	first := pool("first", long, "mia", "ben")
	first.Members[1].Overflow = true // so that mia is first, and ben gets what she has had
	d.configure(1, first)
	p := d.run()
	credits := func() float64 {
		return ask[float64](d, `SELECT credits[array_position(members, $1)] FROM pool_state WHERE pool = 'first'`, d.reps["mia"])
	}
	handOver := func(id uuid.UUID, by string, reason string) error {
		return p.HandOver(t.Context(), dispatch.HandOverRequest{LeadID: id, RepID: d.reps[by], Reason: reason})
	}
	ids := d.submit(p, 3)
	d.settled(ids)
	if err := handOver(ids[0], "", "Somebody else knows them"); !fault.Is(err, fault.Conflict) {
		t.Errorf("a lead that nobody has: %v", err)
	}
	for _, id := range ids {
		d.take(p, id, "mia")
	}
	before := credits()
	for _, c := range []struct {
		by, reason string
		want       fault.Kind
	}{{"", " ", fault.Invalid}, {"ben", "I want it", fault.Forbidden}} {
		if err := handOver(ids[0], c.by, c.reason); !fault.Is(err, c.want) {
			t.Errorf("%q for %q: %v", c.by, c.reason, err)
		}
	}
	if err := handOver(ids[0], "", "Ben knows them"); err != nil {
		t.Fatal(err)
	}
	d.reaches(ids[0], "turn:first:mia accepted, turn:first:ben open")
	if got := credits() - before; math.Abs(got-1) > 1e-6 {
		t.Errorf("a lead that was taken gave %.2f of a turn back", got)
	}
	before = credits()
	if err := handOver(ids[1], "mia", "I am leaving early"); err != nil {
		t.Fatal(err)
	}
	d.reaches(ids[1], "turn:first:mia accepted, turn:first:ben open")
	if got := credits() - before; math.Abs(got) > 1e-6 {
		t.Errorf("a lead that was given away gave %.2f of a turn back", got)
	}
	if err := p.Outcome(t.Context(), dispatch.OutcomeRequest{LeadID: ids[2], RepID: d.reps["mia"], Disposition: "connected"}); err != nil {
		t.Fatal(err)
	}
	if err := handOver(ids[2], "", "Ben knows them"); !fault.Is(err, fault.Conflict) {
		t.Errorf("a lead that was contacted: %v", err)
	}
	ledger := ask[string](d, `SELECT string_agg(concat_ws(' ', kind, amount, reason), ', ' ORDER BY id) FROM credit_entry WHERE rep_id = $1`, d.reps["mia"])
	if ledger != "taken 1 Ben knows them, handed_over 0 I am leaving early" {
		t.Errorf("the ledger says %q", ledger)
	}
	if n := ask[int](d, `SELECT count(*) FROM audit WHERE action = $1 AND object = ANY($2::text[])`, audit.LeadHandedOver, ids); n != 2 {
		t.Errorf("%d of 2 are in the record", n)
	}
	d.sound()
	d.replays()
}
