package web_test

import (
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/lead"
	"leadline/web"
)

// A clock tells no more than the answer: a foreign lead takes as long as one that never was, by id and by reference.
func TestMatrix_ForeignLeadsTakeAsLongAsMissingOnes(t *testing.T) {
	p := newProber(newWorld(t, web.New), 1)
	pairs, from := 100, p.named("rep nora")
	if os.Getenv("TORTURE") == "full" {
		pairs = 1000
	}
	foreign := p.plants[4].id
	for _, by := range []struct {
		name  string
		there string
		never func() string
	}{
		{"id", foreign.String(), func() string { return uuid.Must(uuid.NewV7()).String() }},
		{"reference", lead.Reference(foreign), func() string { return lead.Reference(uuid.Must(uuid.NewV7())) }},
	} {
		var took [2][]time.Duration
		for range pairs {
			for i, object := range []string{by.there, by.never()} {
				began := time.Now()
				if status, _, _ := p.send(probe{from: from, method: http.MethodGet, pattern: "/leads/:id", object: object, plant: -1}); status != http.StatusNotFound {
					t.Fatalf("by %s: answered %d", by.name, status)
				}
				took[i] = append(took[i], time.Since(began))
			}
		}
		slices.Sort(took[0])
		slices.Sort(took[1])
		a, b := took[0][pairs/2], took[1][pairs/2]
		t.Logf("by %s: foreign %s, missing %s, medians of %d", by.name, a, b, pairs)
		if most := max(a, b); most > min(a, b)*3/2+300*time.Microsecond {
			t.Errorf("by %s a foreign lead takes %s and a missing one %s", by.name, a, b)
		}
	}
}
