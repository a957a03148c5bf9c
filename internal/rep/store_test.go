package rep_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"leadline/internal/fault"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/rep"
)

func TestStore_ConfigurationNeverTouchesPresence(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store := rep.NewStore(pgtest.New(t).Gorm)
	mia := rep.Rep{Email: "mia@example.com", Name: "Mia", Timezone: "Europe/Berlin", Hours: "Mon-Fri 09:00-17:30", Active: true}
	if n, err := store.Upsert(ctx, []rep.Rep{mia}); err != nil || n != 1 {
		t.Fatalf("insert changed %d rows: %v", n, err)
	}
	added, err := store.ByEmail(ctx, "MIA@example.com")
	if err != nil || added.Presence != rep.Off || added.ID == uuid.Nil {
		t.Fatalf("a new rep starts off: %+v, %v", added, err)
	}
	set, err := store.SetPresence(ctx, "mia@example.com", rep.Available, rep.ByConsole, "")
	if err != nil || set.Presence != rep.Available || set.ReachableAt == nil {
		t.Fatalf("set presence: %+v, %v", set, err)
	}
	if n, err := store.Upsert(ctx, []rep.Rep{mia}); err != nil || n != 0 {
		t.Fatalf("an upsert of the same changed %d rows: %v", n, err)
	}
	mia.Name, mia.Active = "Mia Vogel", false
	if n, err := store.Upsert(ctx, []rep.Rep{mia}); err != nil || n != 1 {
		t.Fatalf("update changed %d rows: %v", n, err)
	}
	after, err := store.ByID(ctx, added.ID)
	if err != nil || after.Name != "Mia Vogel" || after.Active || after.Presence != rep.Available {
		t.Fatalf("after the update: %+v, %v", after, err)
	}
}

func TestStore_SaysWhenThereIsNoSuchRepOrPresence(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store := rep.NewStore(pgtest.New(t).Gorm)
	if _, err := store.ByID(ctx, uuid.New()); !fault.Is(err, fault.NotFound) {
		t.Errorf("ByID: %v", err)
	}
	if _, err := store.SetPresence(ctx, "nobody@example.com", rep.Away, rep.ByAPI, ""); !fault.Is(err, fault.NotFound) {
		t.Errorf("SetPresence: %v", err)
	}
	if _, err := store.SetPresence(ctx, "nobody@example.com", "asleep", rep.ByAPI, ""); !fault.Is(err, fault.Invalid) {
		t.Errorf("SetPresence with an unknown word: %v", err)
	}
}

// A configuration names people in any order, while consoles and dispatch change the same rows. All lock them by id, so that nobody waits in a ring.
func TestStore_AConfigurationIsAppliedWhileConsolesAnswer(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	store := rep.NewStore(db.Gorm)
	var reps []rep.Rep
	for i := range 40 {
		reps = append(reps, rep.Rep{Email: fmt.Sprintf("rep%02d@example.com", i), Name: "Rep", Active: true})
	}
	if _, err := store.Upsert(t.Context(), reps); err != nil {
		t.Fatal(err)
	}
	all, err := store.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]uuid.UUID, len(all))
	for i, r := range all {
		ids[i] = r.ID
	}
	slices.Reverse(reps)
	var both sync.WaitGroup
	both.Go(func() {
		for round := range 40 {
			reps[round].Name = fmt.Sprintf("Rep %d", round)
			err := db.Gorm.Transaction(func(tx *gorm.DB) error {
				_, err := rep.NewStore(tx).Upsert(t.Context(), reps)
				return err
			})
			if err != nil {
				t.Errorf("apply number %d: %v", round, err)
				return
			}
		}
	})
	both.Go(func() {
		for range 400 {
			if err := store.Seen(t.Context(), ids); err != nil {
				t.Errorf("consoles: %v", err)
				return
			}
		}
	})
	both.Wait()
}

func TestStore_SeenTouchesAllAtOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store := rep.NewStore(pgtest.New(t).Gorm)
	if _, err := store.Upsert(ctx, []rep.Rep{{Email: "a@example.com", Name: "A", Active: true}, {Email: "b@example.com", Name: "B", Active: true}, {Email: "c@example.com", Name: "C", Active: true}}); err != nil {
		t.Fatal(err)
	}
	all, err := store.All(ctx)
	if err != nil || len(all) != 3 {
		t.Fatalf("all: %v, %v", all, err)
	}
	if err := store.Seen(ctx, []uuid.UUID{all[0].ID, all[2].ID, uuid.New()}); err != nil {
		t.Fatal(err)
	}
	if err := store.Seen(ctx, nil); err != nil {
		t.Fatal(err)
	}
	all, err = store.All(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if all[0].ReachableAt == nil || all[1].ReachableAt != nil || all[2].ReachableAt == nil {
		t.Errorf("reachable: %v %v %v", all[0].ReachableAt, all[1].ReachableAt, all[2].ReachableAt)
	}
}
