package live

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/lead"
)

// randomCard makes a card in any state that the board knows, for one of a few pools and reps.
func randomCard(rng *rand.Rand, id uuid.UUID, reps []uuid.UUID, base time.Time) *Card {
	c := &Card{ID: id, Pool: []string{"a", "b"}[rng.IntN(2)], Intent: []string{"high", "low"}[rng.IntN(2)], AcceptedAt: base.Add(time.Duration(rng.IntN(100)) * time.Second)}
	if rng.IntN(4) > 0 {
		due := c.AcceptedAt.Add(2 * time.Minute)
		c.Goal = &due
	}
	rep := reps[rng.IntN(len(reps))]
	switch rng.IntN(6) {
	case 0:
		c.Stage = lead.StageNew
	case 1:
		c.Stage, c.OfferKind, c.OfferRep = lead.StageOffered, "exclusive", &rep
	case 2:
		c.Stage, c.OfferKind = lead.StageOffered, "pool"
	case 3:
		c.Stage = lead.StageWaiting
	case 4:
		c.Stage, c.RepID = lead.StageClaimed, &rep
	case 5:
		at := base.Add(time.Hour)
		c.Stage, c.RepID, c.FirstTouchAt = lead.StageContacted, &rep, &at
	}
	return c
}

func TestBoard_AgreesWithASimpleOneAfterAnyChanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	base := time.Date(2026, 11, 23, 16, 0, 0, 0, time.UTC)
	reps := []uuid.UUID{uuid.New(), uuid.New()}
	ids := make([]uuid.UUID, 60)
	for i := range ids {
		ids[i] = uuid.New()
	}
	b, simple := newBoard(), map[uuid.UUID]*Card{}
	for step := range 3000 {
		id := ids[rng.IntN(len(ids))]
		cards := map[uuid.UUID]*Card{}
		if rng.IntN(5) > 0 {
			cards[id] = randomCard(rng, id, reps, base)
		}
		b.apply(int64(step+1), []uuid.UUID{id}, cards)
		delete(simple, id)
		if cards[id] != nil {
			simple[id] = cards[id]
		}
		got := b.View(Viewer{RepID: &reps[0], Pools: []string{"a", "b"}, Day: base}, base.Add(3*time.Minute))
		pool := pick(simple, func(c *Card) bool { return c.Claimable() })
		if want := pool[:min(len(pool), ShownPool)]; !slices.Equal(got.Pool, want) || got.PoolCount != len(pool) {
			t.Fatalf("step %d: the pool differs: %d of %d cards", step, len(got.Pool), got.PoolCount)
		}
		late := pick(simple, func(c *Card) bool { return c.Claimable() && c.Goal != nil && c.Goal.Before(base.Add(3*time.Minute)) })
		if got.PoolLate != len(late) {
			t.Fatalf("step %d: late %d, want %d", step, got.PoolLate, len(late))
		}
		offers := pick(simple, func(c *Card) bool { rep, ok := c.OfferedTo(); return ok && rep == reps[0] })
		if !slices.Equal(got.Offers, offers[:min(len(offers), ShownOffers)]) {
			t.Fatalf("step %d: the offers differ", step)
		}
		mine := pick(simple, func(c *Card) bool { return c.RepID != nil && *c.RepID == reps[0] })
		if len(got.Mine) != min(len(mine), ShownMine) {
			t.Fatalf("step %d: mine %d, want %d", step, len(got.Mine), len(mine))
		}
	}
}

func pick(from map[uuid.UUID]*Card, want func(*Card) bool) []*Card {
	var out []*Card
	for _, c := range from {
		if want(c) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, urgency)
	return out
}

func BenchmarkBoard_OneArrivalAmongTenThousand(b *testing.B) {
	base := time.Now()
	board := newBoard()
	card := func(i int) *Card {
		due := base.Add(time.Duration(i%3600) * time.Second)
		return &Card{ID: uuid.New(), Pool: "a", Stage: lead.StageWaiting, AcceptedAt: base, Goal: &due}
	}
	for i := range 10_000 {
		c := card(i * 7919)
		board.apply(int64(i+1), []uuid.UUID{c.ID}, map[uuid.UUID]*Card{c.ID: c})
	}
	seq := board.Seq()
	b.ResetTimer()
	for i := range b.N {
		c := card(i * 104729)
		seq++
		board.apply(seq, []uuid.UUID{c.ID}, map[uuid.UUID]*Card{c.ID: c})
		board.View(Viewer{Pools: []string{"a"}, Since: seq - 1}, base)
		board.apply(seq, []uuid.UUID{c.ID}, nil)
	}
}
