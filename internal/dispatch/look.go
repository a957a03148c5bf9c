package dispatch

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

// Look reads the world around some pools as it is now, without locking or changing anything: for those who want to know where a lead would
// go. named adds persons; roster says who works when. What it gives is the caller's.
func Look(ctx context.Context, db *postgres.DB, table *routing.Table, roster *rep.Roster, pools []*routing.Pool, named ...string) (*routing.World, error) {
	v := newInvolved()
	for _, p := range pools {
		v.add(table, p)
	}
	for _, email := range named {
		v.person(email, uncounted)
	}
	w := &world{roster: roster, rows: map[string]*poolRow{}}
	err := postgres.InTx(ctx, db.Console, func(tx pgx.Tx) error {
		look := &pgx.Batch{}
		w.readPools(look, poolsSQL, v)
		w.readReps(look, v)
		if err := tx.SendBatch(ctx, look).Close(); err != nil {
			return fmt.Errorf("look at pools and reps: %w", err)
		}
		w.seat()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &w.World, nil
}
