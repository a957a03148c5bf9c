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
	routing.World
	table *routing.Table
	hash  string // of the content of the table's version
	rows  map[string]*poolRow
}

// poolRow is a pool's row: credits and turns of members, and of former ones, so that who comes back keeps the ledger.
type poolRow struct {
	pool    *routing.Pool
	members []uuid.UUID // as stored
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
	for _, p := range table.Chain(first) {
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
		if v.pools[slug].TakesTurns() {
			slugs = append(slugs, slug)
		}
	}
	return slugs
}

// lockPools queues what locks and reads the rows of all pools in which turns may be allocated.
func (w *world) lockPools(send *pgx.Batch, v *involved) {
	w.rows = map[string]*poolRow{}
	slugs := v.turns()
	if len(slugs) == 0 {
		return
	}
	send.Queue(`SELECT pool, members, credits, last_at FROM pool_state WHERE pool = ANY($1) ORDER BY pool FOR UPDATE`, slugs).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var slug string
			st := &poolRow{}
			if err := rows.Scan(&slug, &st.members, &st.credits, &st.lastAt); err != nil {
				return fmt.Errorf("lock pools: %w", err)
			}
			st.pool = v.pools[slug]
			w.rows[slug] = st
		}
		return rows.Err()
	})
}

// addPools makes the rows of pools that were met for the first time, locks them, and reads reps again, which others may have
// been given to in between.
func (w *world) addPools(ctx context.Context, db session, v *involved) error {
	slugs := v.turns()
	if len(w.rows) == len(slugs) {
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
	w.People = make(map[string]*routing.Person, len(emails))
	send.Queue(`SELECT clock_timestamp()`).QueryRow(func(row pgx.Row) error { return row.Scan(&w.Now) })
	send.Queue(repsSQL, emails).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			p := &routing.Person{}
			if err := rows.Scan(&p.ID, &p.Email, &p.Name, &p.Team, &p.Timezone, &p.Hours, &p.Active, &p.Presence, &p.PresenceBy,
				&p.PresenceReason, &p.PresenceAt, &p.ReachableAt, &p.Missed); err != nil {
				return fmt.Errorf("read reps: %w", err)
			}
			w.People[p.Email] = p
		}
		return rows.Err()
	})
}

// seat counts what limits look at, once reps were read, and gives every pool involved its members' turns.
func (w *world) seat(ctx context.Context, db session, v *involved) error {
	var counted []*routing.Person
	for email, p := range w.People {
		if v.counted[email] {
			counted = append(counted, p)
		}
	}
	if err := w.count(ctx, db, counted); err != nil {
		return err
	}
	w.Turns = make(map[string][]routing.Turn, len(w.rows))
	for slug, row := range w.rows {
		w.Turns[slug] = row.turns(w)
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
func (w *world) count(ctx context.Context, db session, people []*routing.Person) error {
	if len(people) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(people))
	midnights := make([]time.Time, len(people))
	byID := make(map[uuid.UUID]*routing.Person, len(people))
	for i, p := range people {
		ids[i], midnights[i], byID[p.ID] = p.ID, midnight(w.Now, p.Timezone), p
	}
	rows, err := db.Query(ctx, countSQL, ids, midnights)
	if err != nil {
		return fmt.Errorf("count leads of reps: %w", err)
	}
	var id uuid.UUID
	var offers, held, today int
	_, err = pgx.ForEachRow(rows, []any{&id, &offers, &held, &today}, func() error {
		byID[id].Open, byID[id].Today = offers+held, offers+today
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

// turns are those of the pool's members, from its row.
func (st *poolRow) turns(w *world) []routing.Turn {
	turns := make([]routing.Turn, len(st.pool.Members))
	for i, m := range st.pool.Members {
		who := w.People[m.Rep]
		if who == nil {
			continue
		}
		at := slices.Index(st.members, who.ID)
		if at < 0 {
			continue
		}
		if credit := st.credits[at]; !math.IsNaN(credit) { // no number: only strategies without credits gave turns so far
			turns[i].Credit, turns[i].Joined = credit, true
		}
		if st.lastAt[at] != nil {
			turns[i].LastAt = *st.lastAt[at]
		}
	}
	return turns
}

// store writes turns back. Rows of former members stay as they are.
func (st *poolRow) store(send *pgx.Batch, turns []routing.Turn, w *world) {
	for i, m := range st.pool.Members {
		who, turn := w.People[m.Rep], turns[i]
		if who == nil || !turn.Joined && turn.LastAt.IsZero() {
			continue // unknown, or had no part in any turn yet
		}
		at := slices.Index(st.members, who.ID)
		if at < 0 {
			at = len(st.members)
			st.members, st.credits, st.lastAt = append(st.members, who.ID), append(st.credits, 0), append(st.lastAt, nil)
		}
		st.credits[at] = turn.Credit
		if !turn.Joined {
			st.credits[at] = math.NaN()
		}
		if !turn.LastAt.IsZero() {
			last := turn.LastAt
			st.lastAt[at] = &last
		}
	}
	send.Queue(`UPDATE pool_state SET members = $2, credits = $3, last_at = $4 WHERE pool = $1`, st.pool.Slug, st.members, st.credits, st.lastAt)
}
