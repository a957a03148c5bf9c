package dispatch

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres"
	"leadline/internal/routing"
)

// Look reads the world around some pools as it is now, without locking or changing anything: for those who want to know where a lead would
// go. named may add a person. What it gives is the caller's.
func Look(ctx context.Context, db *postgres.DB, table *routing.Table, pools []*routing.Pool, named string) (*routing.World, error) {
	v := newInvolved()
	for _, p := range pools {
		v.add(table, p)
	}
	v.person(named, false)
	w := &world{table: table, rows: map[string]*poolRow{}}
	err := postgres.InTx(ctx, db.Console, func(tx pgx.Tx) error {
		look := &pgx.Batch{}
		look.Queue(`SELECT pool, members, credits, last_at FROM pool_state WHERE pool = ANY($1)`, v.turns()).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var slug string
				st := &poolRow{}
				if err := rows.Scan(&slug, &st.members, &st.credits, &st.lastAt); err != nil {
					return fmt.Errorf("read pools: %w", err)
				}
				st.pool = v.pools[slug]
				w.rows[slug] = st
			}
			return rows.Err()
		})
		w.readReps(look, v)
		if err := tx.SendBatch(ctx, look).Close(); err != nil {
			return fmt.Errorf("look at pools and reps: %w", err)
		}
		return w.seat(ctx, tx, v)
	})
	if err != nil {
		return nil, err
	}
	return &w.World, nil
}
