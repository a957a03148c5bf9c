package dispatch

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/rep"
	"leadline/internal/routing"
)

// world is what one transaction knows of pools and reps. Allocations change it as they are made.
type world struct {
	table *routing.Table
	now   time.Time // the database's clock
	pools map[string]*poolState
	reps  map[string]*person // by e-mail
}

// person is a rep with what counts towards limits.
type person struct {
	rep.Rep
	open, today int
}

// poolState is a pool's row: credits and turns of members, and of former ones, so that who comes back keeps the ledger.
type poolState struct {
	pool    *routing.Pool
	cands   []routing.Candidate // same order as pool.Members
	members []uuid.UUID         // as stored
	credits []float64
	lastAt  []*time.Time
	dirty   bool
}

// involved adds what could matter for leads of a pool: the pools they overflow to and everybody in them. counted tells reps
// whose leads must be counted, because a limit or the strategy looks at them.
type involved struct {
	pools   map[string]*routing.Pool
	counted map[string]bool // e-mail -> must be counted
}

func newInvolved() *involved {
	return &involved{pools: map[string]*routing.Pool{}, counted: map[string]bool{}}
}

func (v *involved) add(table *routing.Table, first *routing.Pool) {
	if first == nil || v.pools[first.Slug] != nil {
		return
	}
	for _, p := range chain(table, first) {
		if v.pools[p.Slug] != nil {
			continue
		}
		v.pools[p.Slug] = p
		for _, m := range p.Members {
			v.person(m.Rep, p.Strategy == routing.LeastLoaded || m.CapOpen > 0 || m.CapPerDay > 0)
		}
		v.person(p.LastResort, false)
	}
}

func (v *involved) person(email string, counted bool) {
	if email != "" {
		v.counted[email] = v.counted[email] || counted
	}
}

// turns lists the pools in which turns may be allocated, in the order in which they are locked.
func (v *involved) turns() (slugs []string) {
	for _, slug := range slices.Sorted(maps.Keys(v.pools)) {
		if takesTurns(v.pools[slug]) {
			slugs = append(slugs, slug)
		}
	}
	return slugs
}

// lockPools queues what locks and reads the rows of all pools in which turns may be allocated.
func (w *world) lockPools(send *pgx.Batch, v *involved) {
	w.pools = map[string]*poolState{}
	slugs := v.turns()
	if len(slugs) == 0 {
		return
	}
	send.Queue(`SELECT pool, members, credits, last_at FROM pool_state WHERE pool = ANY($1) ORDER BY pool FOR UPDATE`, slugs).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var slug string
			st := &poolState{}
			if err := rows.Scan(&slug, &st.members, &st.credits, &st.lastAt); err != nil {
				return fmt.Errorf("lock pools: %w", err)
			}
			st.pool = v.pools[slug]
			w.pools[slug] = st
		}
		return rows.Err()
	})
}

// addPools makes the rows of pools that were met for the first time, locks them, and reads reps again, which others may have
// been given to in between.
func (w *world) addPools(ctx context.Context, db session, v *involved) error {
	slugs := v.turns()
	if len(w.pools) == len(slugs) {
		return nil
	}
	// Sorted, so that two processes that meet a new pool for the first time do not deadlock over it.
	_, err := db.Exec(ctx, `INSERT INTO pool_state (pool) SELECT slug FROM unnest($1::text[]) AS t(slug) ORDER BY slug ON CONFLICT DO NOTHING`, slugs)
	if err != nil {
		return fmt.Errorf("add the state of new pools: %w", err)
	}
	again := &pgx.Batch{}
	w.lockPools(again, v)
	w.readReps(again, v)
	return db.SendBatch(ctx, again).Close()
}

const repsSQL = `SELECT r.id, r.email, r.name, r.team, r.timezone, r.hours, r.active, r.presence, r.presence_by,
	r.presence_reason, r.presence_at, r.reachable_at, r.missed
FROM rep r WHERE r.email = ANY($1)`

// readReps queues what reads the clock and everybody involved. After lockPools, what others allocated before us in the same pools
// is seen.
func (w *world) readReps(send *pgx.Batch, v *involved) {
	emails := slices.Sorted(maps.Keys(v.counted))
	w.reps = make(map[string]*person, len(emails))
	send.Queue(`SELECT clock_timestamp()`).QueryRow(func(row pgx.Row) error { return row.Scan(&w.now) })
	send.Queue(repsSQL, emails).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			p := &person{}
			if err := rows.Scan(&p.ID, &p.Email, &p.Name, &p.Team, &p.Timezone, &p.Hours, &p.Active, &p.Presence, &p.PresenceBy,
				&p.PresenceReason, &p.PresenceAt, &p.ReachableAt, &p.Missed); err != nil {
				return fmt.Errorf("read reps: %w", err)
			}
			w.reps[p.Email] = p
		}
		return rows.Err()
	})
}

// seat gives every pool involved its candidates, once reps were read; pools without turns have no row, and those not locked an
// empty one.
func (w *world) seat(ctx context.Context, db session, v *involved) error {
	var counted []*person
	for email, p := range w.reps {
		if v.counted[email] {
			counted = append(counted, p)
		}
	}
	if err := w.count(ctx, db, counted); err != nil {
		return err
	}
	if w.pools == nil {
		w.pools = make(map[string]*poolState, len(v.pools))
	}
	for slug, pool := range v.pools {
		if w.pools[slug] == nil {
			w.pools[slug] = &poolState{pool: pool}
		}
		w.pools[slug].seat(w)
	}
	return nil
}

const countSQL = `
SELECT t.id,
    (SELECT count(*) FROM offer o WHERE o.rep_id = t.id AND o.state = 'open'),
    (SELECT count(*) FROM lead l WHERE l.rep_id = t.id AND l.stage = 'claimed'),
    (SELECT count(*) FROM lead l WHERE l.rep_id = t.id AND l.claimed_at >= t.midnight)
FROM unnest($1::uuid[], $2::timestamptz[]) AS t(id, midnight)`

// count fills in what limits look at. Midnight is computed here: a zone that the database does not know must not stop dispatch.
func (w *world) count(ctx context.Context, db session, people []*person) error {
	if len(people) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(people))
	midnights := make([]time.Time, len(people))
	byID := make(map[uuid.UUID]*person, len(people))
	for i, p := range people {
		ids[i], midnights[i], byID[p.ID] = p.ID, midnight(w.now, p.Timezone), p
	}
	rows, err := db.Query(ctx, countSQL, ids, midnights)
	if err != nil {
		return fmt.Errorf("count leads of reps: %w", err)
	}
	var id uuid.UUID
	var offers, held, today int
	_, err = pgx.ForEachRow(rows, []any{&id, &offers, &held, &today}, func() error {
		byID[id].open, byID[id].today = offers+held, offers+today
		return nil
	})
	if err != nil {
		return fmt.Errorf("count leads of reps: %w", err)
	}
	return nil
}

func midnight(now time.Time, zone string) time.Time {
	place, err := rep.Zone(zone)
	if err != nil {
		place = time.UTC
	}
	y, m, d := now.In(place).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, place)
}

// seat makes the pool's candidates from its row. A credit that is no number marks who is new: routing lets them join.
func (st *poolState) seat(w *world) {
	st.cands = make([]routing.Candidate, len(st.pool.Members))
	for i, m := range st.pool.Members {
		who := w.reps[m.Rep]
		if who == nil {
			st.cands[i].Rep.Email = m.Rep // in the configuration but not among the reps: never eligible
			continue
		}
		c := routing.Candidate{RepID: who.ID, Rep: who.Rep, Credit: math.NaN()}
		if at := slices.Index(st.members, who.ID); at >= 0 {
			c.Credit = st.credits[at]
			if st.lastAt[at] != nil {
				c.LastAt = *st.lastAt[at]
			}
		}
		st.cands[i] = c
	}
}

// refresh brings what counts for one lead up to date: earlier allocations of this transaction, also from other pools. A nil
// task stands for a lead that nobody was offered yet.
func (st *poolState) refresh(w *world, t *task) {
	for i := range st.cands {
		c := &st.cands[i]
		if who := w.reps[st.pool.Members[i].Rep]; who != nil {
			c.Open, c.Today = who.open, who.today
			c.Offered = t != nil && t.offeredTo(who.ID)
		}
	}
}

// store writes credits back. Rows of former members stay as they are.
func (st *poolState) store(batch *pgx.Batch) {
	for i := range st.cands {
		c := &st.cands[i]
		if c.RepID == uuid.Nil || math.IsNaN(c.Credit) && c.LastAt.IsZero() {
			continue // unknown, or had no part in any turn yet
		}
		at := slices.Index(st.members, c.RepID)
		if at < 0 {
			at = len(st.members)
			st.members, st.credits, st.lastAt = append(st.members, c.RepID), append(st.credits, 0), append(st.lastAt, nil)
		}
		st.credits[at] = c.Credit
		if !c.LastAt.IsZero() {
			last := c.LastAt
			st.lastAt[at] = &last
		}
	}
	batch.Queue(`UPDATE pool_state SET members = $2, credits = $3, last_at = $4 WHERE pool = $1`, st.pool.Slug, st.members, st.credits, st.lastAt)
}
