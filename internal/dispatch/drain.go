package dispatch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/rep"
	"leadline/internal/routing"
)

// waitingPoolsSQL lists the pools in which leads wait, by jumping along the index instead of reading every lead.
const waitingPoolsSQL = `
WITH RECURSIVE p(pool) AS (
    (SELECT pool FROM lead WHERE stage = 'waiting' ORDER BY pool LIMIT 1)
    UNION ALL
    SELECT (SELECT l.pool FROM lead l WHERE l.stage = 'waiting' AND l.pool > p.pool ORDER BY l.pool LIMIT 1) FROM p WHERE p.pool IS NOT NULL
)
SELECT pool FROM p WHERE pool IS NOT NULL`

// Hot leads first, then the oldest; however often a lead was offered before, it is offered again. The second condition finds leads for
// the persons named by a rule, wherever they wait.
// The third leaves out leads that ask for what nobody can.
const drainSQL = `SELECT ` + taskColumns + ` FROM lead l
WHERE l.stage = 'waiting' AND ($2::uuid[] IS NULL OR l.id = ANY($2)) AND NOT l.id = ANY($8::uuid[])
  AND (l.pool = ANY($5::text[])
    OR cardinality($6::text[]) > 0 AND l.pool = ANY($4::text[]) AND EXISTS (SELECT FROM decision d WHERE d.lead_id = l.id AND d.trace->>'rep' = ANY($6))
    OR $7 AND (l.pool <> ALL($4) OR EXISTS (SELECT FROM decision d WHERE d.lead_id = l.id AND ` + overruledSQL + `)))
  AND NOT EXISTS (SELECT FROM lead_asks a WHERE a.lead_id = l.id AND a.needs <> '{}'
    AND NOT EXISTS (SELECT FROM unnest($9::text[]) AS f(tags) WHERE a.needs <@ string_to_array(f.tags, ' ')))
ORDER BY l.intent = 'high' DESC, l.id LIMIT $3 FOR UPDATE SKIP LOCKED`

// drain says which waiting leads are worth a look.
type drain struct {
	known  []string // the pools of this configuration
	ready  []string // pools in which somebody can be offered a lead
	people []string // e-mail addresses of persons named by rules, and owners of leads, who can take leads now
	skills []string // sets of tags that somebody has who is there
	strays bool     // also leads whose pool no configuration knew, or that a canary put where they are which was taken back
	// Hours, absences and days begin and end with whole minutes: waiting leads are looked at when one begins, not at the next tick.
	nextMinute time.Duration // 0: none wait
}

func (d *drain) empty() bool { return len(d.ready) == 0 && len(d.people) == 0 && !d.strays }

// survey looks, without any lock, for waiting leads that could be placed now; with strays, also for those in no known pool.
func (s *Service) survey(ctx context.Context, tx pgx.Tx, snap Snapshot, named []string, strays bool) (*drain, error) {
	rows, err := tx.Query(ctx, waitingPoolsSQL)
	if err != nil {
		return nil, fmt.Errorf("list pools with waiting leads: %w", err)
	}
	waiting, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list pools with waiting leads: %w", err)
	}
	d := &drain{known: []string{}, ready: []string{}, people: []string{}}
	if len(waiting) == 0 {
		return d, nil
	}
	if slices.ContainsFunc(snap.tables(), (*routing.Table).AsksWho) {
		rows, err := tx.Query(ctx, ownersSQL)
		if err != nil {
			return nil, fmt.Errorf("list owners of waiting leads: %w", err)
		}
		owners, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("list owners of waiting leads: %w", err)
		}
		named = slices.Concat(named, owners)
	}
	if strays {
		const ended = `SELECT EXISTS (SELECT FROM canary WHERE state NOT IN ('running', 'promoted') AND ended_at > clock_timestamp() - interval '7 days')`
		if err := tx.QueryRow(ctx, ended).Scan(&d.strays); err != nil {
			return nil, fmt.Errorf("look for canaries that were taken back: %w", err)
		}
	}
	v := newInvolved()
	for _, slug := range waiting {
		for _, table := range snap.tables() {
			v.add(table, table.Pool(slug))
		}
		d.strays = d.strays || strays && snap.pool(slug) == nil
	}
	for _, email := range named {
		v.person(email, uncounted)
	}
	w := &world{roster: snap.Roster}
	look := &pgx.Batch{}
	w.readReps(look, v)
	if err := tx.SendBatch(ctx, look).Close(); err != nil {
		return nil, err
	}
	w.seat()
	for _, slug := range waiting {
		if slices.ContainsFunc(snap.tables(), func(t *routing.Table) bool { p := t.Pool(slug); return p != nil && routing.Ready(t, &w.World, p) }) {
			d.ready = append(d.ready, slug)
		}
	}
	for _, email := range named {
		if w.Able(nil, email).Code == rep.Able {
			d.people = append(d.people, email)
		}
	}
	d.skills = skills(&w.World)
	for _, table := range snap.tables() {
		for _, p := range table.Pools() {
			d.known = append(d.known, p.Slug)
		}
	}
	d.nextMinute = w.Now.Truncate(time.Minute).Add(time.Minute).Sub(w.Now)
	return d, nil
}

// namedIn lists the persons that rules name, each once. Rules are many and change seldom: the list is kept.
func (d *dispatcher) namedIn(snap Snapshot) []string {
	if d.namedUnder != snap.inForce() {
		named := map[string]bool{}
		for _, table := range snap.tables() {
			for _, r := range table.Rules() {
				if r.Then.Rep != "" {
					named[r.Then.Rep] = true
				}
			}
		}
		d.named, d.namedUnder = slices.Sorted(maps.Keys(named)), snap.inForce()
	}
	return d.named
}

// waitingLeads are leads in the waiting queues that somebody can be offered now.
func (s *Service) waitingLeads(d *drain, parked []uuid.UUID) source {
	scan := func(row pgx.CollectableRow) (*task, error) {
		t, err := scanTask(row)
		t.cause = causeDrain
		return t, err
	}
	return func(send *pgx.Batch, only []uuid.UUID, found *[]*task) {
		take(send, found, "waiting leads", scan, drainSQL, s.Node, only, batchSize, d.known, d.ready, d.people, d.strays, parked, d.skills)
	}
}
