// Package simulate makes routing decisions that nobody acts upon: stored ones again, to see whether they still come out the same;
// one lead at a chosen time and presence; the leads of the past under a draft; and each live lead under a configuration beside the live
// one. All of it goes through routing.Place, the function that live dispatch calls, so that there is no second opinion on where a lead goes.
//
// It writes nothing but its own reports. main and handlers call it; main owns Run of the Follower and of Backtests.
package simulate

import (
	"context"
	"sync"

	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/routing"
)

// Tables finds the routing table of a version that decided about leads, published or canary, and the hash of its content. wanted is the hash
// that it had when it decided, if that is known. A version that is not there or can no longer be read is a fault.
type Tables func(ctx context.Context, version int64, wanted string) (table *routing.Table, hash string, err error)

// Published gives Tables of what was published here, each compiled once. Safe for use by many goroutines.
func Published(db *postgres.DB) Tables {
	type compiled struct {
		table *routing.Table
		hash  string
		err   error
	}
	type asked struct {
		version int64
		hash    string
	}
	var mu sync.Mutex
	known := map[asked]compiled{}
	return func(ctx context.Context, version int64, wanted string) (*routing.Table, string, error) {
		mu.Lock()
		defer mu.Unlock()
		if c, ok := known[asked{version, wanted}]; ok {
			return c.table, c.hash, c.err
		}
		cfg, hash, err := playbook.StoredAs(ctx, db, version, wanted)
		var table *routing.Table
		if err == nil {
			table, err = Compiled(cfg, version)
		}
		if ctx.Err() == nil {
			known[asked{version, wanted}] = compiled{table, hash, err}
		}
		return table, hash, err
	}
}
