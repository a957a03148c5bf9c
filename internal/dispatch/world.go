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
	roster *rep.Roster
	rows   map[string]*poolRow // by TurnsKey
	counts *counts
	quotas map[string]quota // by key of World.Pools
}

// poolRow is the row of a pool, or of a group of them: credits and turns of members, and of former ones, so that who comes back keeps
// the ledger.
type poolRow struct {
	key     string
	members []uuid.UUID // as stored; what follows is in the same order, and may be shorter
	credits []float64
	lastAt  []*time.Time
	seenAt  []*time.Time
	missed  []float64
	nextAt  []*time.Time
	dirty   bool
}

// involved adds what could matter for leads of a pool: the pools they overflow to and everybody in them.
type involved struct {
	pools   map[*routing.Pool]bool
	counted map[string]wanted // by e-mail address
	quotas  map[string]quota  // by key of routing.World.Pools
}

func newInvolved() *involved {
	return &involved{pools: map[*routing.Pool]bool{}, counted: map[string]wanted{}, quotas: map[string]quota{}}
}

func (v *involved) add(table *routing.Table, first *routing.Pool) {
	if first == nil || v.pools[first] {
		return
	}
	for _, p := range table.Chain(first) {
		if v.pools[p] {
			continue
		}
		v.pools[p] = true
		for _, m := range p.Members {
			w := wanted{m.Counted(), m.ByPoints()}
			if p.Strategy == routing.LeastLoaded {
				w.hours = max(w.hours, 0)
			}
			v.person(m.Rep, w)
		}
		v.person(p.LastResort, uncounted)
		v.person(p.Offer.Manager, uncounted)
		v.quota(table, p)
	}
}

// uncounted is for people whose leads no limit looks at.
var uncounted = wanted{hours: -1}

func (v *involved) person(email string, w wanted) {
	if email == "" {
		return
	}
	if had, ok := v.counted[email]; ok {
		w = wanted{max(w.hours, had.hours), w.points || had.points}
	}
	v.counted[email] = w
}

// quota adds the limits of a pool and of its group, all of whose pools count towards them.
func (v *involved) quota(table *routing.Table, p *routing.Pool) {
	for _, key := range p.Quotas() {
		q := quota{p.Quota, []string{p.Slug}}
		if key != p.Slug {
			q = quota{p.GroupQuota, nil}
			for _, other := range table.Pools() {
				if other.Group == p.Group {
					q.pools = append(q.pools, other.Slug)
				}
			}
		}
		if had, ok := v.quotas[key]; !ok || q.Counted() > had.Counted() { // the live rules and a canary's may differ
			v.quotas[key] = q
		}
	}
}

// turns lists the rows of the pools in which turns may be allocated, in the order in which they are locked.
func (v *involved) turns() []string {
	keys := map[string]bool{}
	for p := range v.pools {
		if p.TakesTurns() || p.Offer.Window > 0 || len(p.Quotas()) > 0 { // who counts towards a limit must not be counted past by others
			keys[p.TurnsKey()] = true
		}
	}
	return slices.Sorted(maps.Keys(keys))
}

// poolsSQL reads the rows of pools.
const poolsSQL = `SELECT pool, members, credits, last_at, seen_at, missed, next_at FROM pool_state WHERE pool = ANY($1) ORDER BY pool`

// lockPools queues what locks and reads the rows of all pools in which turns may be allocated.
func (w *world) lockPools(send *pgx.Batch, v *involved) { w.readPools(send, poolsSQL+` FOR UPDATE`, v) }

func (w *world) readPools(send *pgx.Batch, sql string, v *involved) {
	w.rows = map[string]*poolRow{}
	keys := v.turns()
	if len(keys) == 0 {
		return
	}
	send.Queue(sql, keys).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			st := &poolRow{}
			if err := rows.Scan(&st.key, &st.members, &st.credits, &st.lastAt, &st.seenAt, &st.missed, &st.nextAt); err != nil {
				return fmt.Errorf("read pools: %w", err)
			}
			w.rows[st.key] = st
		}
		return rows.Err()
	})
}

// addPools makes the rows of pools that were met for the first time, locks them, and reads reps again, which others may have
// been given to in between.
func (w *world) addPools(ctx context.Context, db session, v *involved) error {
	keys := v.turns()
	if len(w.rows) == len(keys) {
		return nil
	}
	// Sorted, so that two processes that meet a new pool for the first time do not deadlock over it.
	_, err := db.Exec(ctx, `INSERT INTO pool_state (pool) SELECT slug FROM unnest($1::text[]) AS t(slug) ORDER BY slug ON CONFLICT DO NOTHING`, keys)
	if err != nil {
		return fmt.Errorf("add the state of new pools: %w", err)
	}
	again := &pgx.Batch{}
	w.lockPools(again, v)
	w.readReps(again, v)
	return db.SendBatch(ctx, again).Close()
}

const repsSQL = `SELECT r.id, r.email, r.name, r.team, r.timezone, r.hours, coalesce(t.starts_on, ''), coalesce(t.ends_on, ''),
	coalesce(t.calendars, ''), coalesce(t.tags, ''), r.active, r.presence, r.presence_by,
	r.presence_reason, r.presence_at, r.reachable_at, r.missed
FROM rep r LEFT JOIN rep_terms t ON t.rep_id = r.id WHERE r.email = ANY($1)`

// readReps queues what reads the clock, everybody involved, and what they have in hand. After lockPools, what others allocated before us in the same pools
// is seen.
func (w *world) readReps(send *pgx.Batch, v *involved) {
	emails := slices.Sorted(maps.Keys(v.counted))
	w.People = make(map[string]*routing.Person, len(emails))
	send.Queue(`SELECT clock_timestamp()`).QueryRow(func(row pgx.Row) error { return row.Scan(&w.Now) })
	send.Queue(repsSQL, emails).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			p := &routing.Person{}
			if err := rows.Scan(&p.ID, &p.Email, &p.Name, &p.Team, &p.Timezone, &p.Hours, &p.StartsOn, &p.EndsOn, &p.Calendars, &p.Tags, &p.Active, &p.Presence, &p.PresenceBy,
				&p.PresenceReason, &p.PresenceAt, &p.ReachableAt, &p.Missed); err != nil {
				return fmt.Errorf("read reps: %w", err)
			}
			w.People[p.Email] = p
		}
		return rows.Err()
	})
	w.counts, w.quotas = readCounts(send, v), v.quotas
}

// seat says of everybody, once reps were read, whether they work and what they have in hand, and gives every pool its members' turns.
func (w *world) seat() {
	byID := make(map[uuid.UUID]string, len(w.People))
	for email, p := range w.People {
		p.Status = w.roster.At(p.Rep, w.Now)
		p.Load = w.counts.of(email, w.Now, p.Timezone)
		byID[p.ID] = email
	}
	w.Pools = make(map[string]routing.Load, len(w.quotas))
	for key, q := range w.quotas {
		w.Pools[key] = w.counts.taken(q, w.Now)
	}
	w.Turns = make(map[string]map[string]routing.Turn, len(w.rows))
	for key, row := range w.rows {
		w.Turns[key] = row.turns(byID)
	}
}

// turns are those of the people who are involved.
func (st *poolRow) turns(byID map[uuid.UUID]string) map[string]routing.Turn {
	turns := make(map[string]routing.Turn, len(st.members))
	for at, id := range st.members {
		email, involved := byID[id]
		if !involved {
			continue
		}
		t := routing.Turn{LastAt: moment(st.lastAt, at), SeenAt: moment(st.seenAt, at), NextAt: moment(st.nextAt, at)}
		if at < len(st.credits) && !math.IsNaN(st.credits[at]) { // no number: only strategies without credits gave turns so far
			t.Credit, t.Joined = st.credits[at], true
		}
		if at < len(st.missed) {
			t.Missed = st.missed[at]
		}
		turns[email] = t
	}
	return turns
}

func moment(all []*time.Time, at int) time.Time {
	if at >= len(all) || all[at] == nil {
		return time.Time{}
	}
	return *all[at]
}

// store writes turns back. Rows of former members stay as they are.
func (st *poolRow) store(send *pgx.Batch, turns map[string]routing.Turn, w *world) {
	caughtUp := len(st.missed) > 0
	for _, email := range slices.Sorted(maps.Keys(turns)) {
		turn := turns[email]
		if !turn.Joined && turn.LastAt.IsZero() {
			continue // had no part in any turn yet
		}
		id := w.People[email].ID
		at := slices.Index(st.members, id)
		if at < 0 {
			at = len(st.members)
			st.members = append(st.members, id)
		}
		st.credits, st.lastAt = longer(st.credits, at), longer(st.lastAt, at)
		st.seenAt, st.missed, st.nextAt = longer(st.seenAt, at), longer(st.missed, at), longer(st.nextAt, at)
		st.credits[at] = turn.Credit
		if !turn.Joined {
			st.credits[at] = math.NaN()
		}
		st.lastAt[at], st.seenAt[at], st.nextAt[at] = stored(turn.LastAt), stored(turn.SeenAt), stored(turn.NextAt)
		st.missed[at] = turn.Missed
		caughtUp = caughtUp || turn.Missed > 0 || !turn.NextAt.IsZero()
	}
	if !caughtUp { // most pools: two arrays less to write with every lead
		st.missed, st.nextAt = []float64{}, []*time.Time{}
	}
	send.Queue(`UPDATE pool_state SET members = $2, credits = $3, last_at = $4, seen_at = $5, missed = $6, next_at = $7 WHERE pool = $1`,
		st.key, st.members, st.credits, st.lastAt, st.seenAt, st.missed, st.nextAt)
}

// longer makes room for one more place in an array.
func longer[T any](all []T, at int) []T {
	for len(all) <= at {
		var none T
		all = append(all, none)
	}
	return all
}

func stored(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}
