package erasure_test

import (
	"math/rand/v2"
	"os"
	"testing"

	"leadline/internal/erasure"
	"leadline/internal/fault"
	"leadline/internal/privacy"
)

// TestErase_ManyPeopleAtRandom erases people in random states, some of them twice at once and from two processes, and afterwards looks
// for each of them everywhere. TORTURE=full makes it a thousand.
func TestErase_ManyPeopleAtRandom(t *testing.T) {
	n := 24
	if os.Getenv("TORTURE") == "full" {
		n = 1000
	}
	d := setup(t)
	rng := rand.New(rand.NewPCG(5, 8))
	var people []*human
	for i := range n {
		h := newHuman(i)
		id := d.arrive(h)
		if s := rng.IntN(2 * len(situations)); s < len(situations) {
			situations[s].bring(d, h, id)
		}
		if rng.IntN(2) == 0 {
			d.talk(h, id)
		}
		people = append(people, h)
	}
	other := d.eraser(d.db)
	done := make(chan error, n)
	gate := make(chan struct{}, 4)
	for _, h := range people {
		by := erasure.Request{Email: privacy.Text(h.email), Reason: "asked"}
		if rng.IntN(2) == 0 {
			by = erasure.Request{Lead: &h.leads[rng.IntN(2)], Reason: "asked"}
		}
		service := d.erasure
		if rng.IntN(2) == 0 {
			service = other
		}
		go func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			_, err := service.Erase(t.Context(), by)
			for fault.Is(err, fault.Unavailable) {
				_, err = service.Erase(t.Context(), by)
			}
			done <- err
		}()
	}
	for range people {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for _, row := range hits(dump(t, d.db), people...) {
		t.Errorf("still there: %s", row)
	}
	if got := ask[int](d, `SELECT count(*) FROM lead WHERE erased_at IS NOT NULL`); got != 3*n {
		t.Errorf("%d leads erased", got)
	}
	d.sound(d.db)
}
