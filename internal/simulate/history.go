package simulate

import (
	"context"
	"fmt"
	"time"

	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

// History takes the first decisions of the time before now again under a draft, in the order in which the leads came, and counts what would
// have been otherwise. People are as they were at each decision; turns likewise where the draft asks the same pools, and as
// the draft itself would have given them elsewhere. Somebody whom no decision had looked at yet counts as available in their hours. progress
// is called now and then with how many leads of how many are done; the context cancels.
func History(ctx context.Context, db *postgres.DB, draft *playbook.Config, within time.Duration, progress func(done, of int)) (Comparison, error) {
	sum := Comparison{Moves: map[string]int{}}
	table, err := Compiled(draft, 0)
	if err != nil {
		return sum, err
	}
	past := &past{table: table, people: map[string]*routing.Person{}, turns: map[string]map[string]routing.Turn{}, pools: map[string]routing.Load{}, unseen: map[string]bool{}}
	all, err := rep.NewStore(db.Gorm).All(ctx)
	if err != nil {
		return sum, err
	}
	var now time.Time
	if err := db.Console.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return sum, fmt.Errorf("ask the database for its time: %w", err)
	}
	if past.roster, err = playbook.RosterOf(ctx, rep.NewStore(db.Gorm), draft, now); err != nil {
		return sum, err
	}
	for _, r := range all {
		r.Presence, r.PresenceBy, r.PresenceReason = rep.Available, rep.ByAPI, ""
		past.people[r.Email], past.unseen[r.Email] = &routing.Person{Rep: r}, true
	}
	err = eachFirst(ctx, db, within, func(s stored, r *routing.Record, done, of int) error {
		if done%1000 == 0 {
			progress(done, of)
		}
		if s.erased || r.World == nil || r.Outcome.Place == nil {
			sum.Left++
			return nil
		}
		past.learn(r)
		sum.add(r, past.place(r))
		return nil
	})
	return sum, err
}
