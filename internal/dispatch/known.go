package dispatch

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/lead"
	"leadline/internal/routing"
)

// openStages are those of a lead that is on its way to somebody or in their hands.
const openStages = `('offered', 'waiting', 'claimed', 'contacted')`

// knownColumn reads what else we have of who sent a lead, if the configuration asks ($4: of the person, $5: of the company), in the exchange
// that claims the lead. A lead that was attached to another stands for that one. The newest few are enough, and bound what is read.
const knownColumn = `CASE WHEN $4 THEN jsonb_build_object(
	'person', (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('lead', x.id, 'rep', r.email, 'pool', x.pool,
			'open', x.stage IN ` + openStages + `, 'closed', x.closed_at)) ORDER BY x.id DESC)
		FROM (SELECT DISTINCT coalesce(j.to_lead, p.lead_id) AS id FROM (
			SELECT o.lead_id FROM lead_person me JOIN lead_person o ON o.person = me.person AND o.lead_id < me.lead_id
			WHERE me.lead_id = l.id ORDER BY o.lead_id DESC LIMIT 10) p LEFT JOIN lead_joined j ON j.lead_id = p.lead_id) w
		JOIN lead x ON x.id = w.id AND x.erased_at IS NULL AND x.disposition <> 'spam'
			AND (x.stage IN ` + openStages + ` OR x.closed_at IS NOT NULL AND x.rep_id IS NOT NULL)
		LEFT JOIN rep r ON r.id = x.rep_id),
	'company', CASE WHEN $5 AND l.domain_class = 'business' AND l.email_domain <> '' THEN (
		SELECT jsonb_agg(jsonb_build_object('lead', x.id, 'rep', r.email, 'pool', x.pool, 'open', true) ORDER BY x.id DESC)
		FROM (SELECT c.id, c.rep_id, c.pool FROM lead c WHERE c.email_domain = l.email_domain AND c.domain_class = 'business'
			AND c.stage IN ('claimed', 'contacted') ORDER BY c.id DESC LIMIT 3) x JOIN rep r ON r.id = x.rep_id) END
	) END`

// readKnown turns what knownColumn gave into what routing looks at; nil when there is nothing.
func readKnown(found []byte) (*routing.Known, error) {
	var known *routing.Known
	if len(found) > 0 { // else nobody asked
		if err := json.Unmarshal(found, &known); err != nil {
			return nil, fmt.Errorf("read what is known of who sent a lead: %w", err)
		}
	}
	if known != nil && len(known.Person)+len(known.Company) == 0 {
		known = nil
	}
	return known, nil
}

// standing is an open lead that another may be attached to.
type standing struct {
	id      uuid.UUID
	pool    string
	rep     *uuid.UUID
	attempt int
}

// Shared, so that two leads may be attached to one; without waiting, so that leads need not be locked in any order: one that somebody is
// changing at this very moment is left alone, and the new lead goes its own way.
const standingSQL = `SELECT id, pool, rep_id, attempt FROM lead WHERE id = ANY($1) AND stage IN ` + openStages + ` AND erased_at IS NULL
ORDER BY id FOR SHARE SKIP LOCKED`

// lockStanding queues what keeps the open leads of the persons in a batch as they are until the batch is committed.
func lockStanding(send *pgx.Batch, batch []*task) {
	about := map[uuid.UUID][]*task{}
	for _, t := range batch {
		if t.known == nil || !t.under.table.AttachesRepeats() {
			continue
		}
		if i := slices.IndexFunc(t.known.Person, func(e routing.Earlier) bool { return e.Open }); i >= 0 {
			about[t.known.Person[i].Lead] = append(about[t.known.Person[i].Lead], t)
		}
	}
	if len(about) == 0 {
		return
	}
	send.Queue(standingSQL, slices.Collect(maps.Keys(about))).Query(func(rows pgx.Rows) error {
		var s standing
		_, err := pgx.ForEachRow(rows, []any{&s.id, &s.pool, &s.rep, &s.attempt}, func() error {
			for _, t := range about[s.id] {
				at := s
				t.standing = &at
				for i := range t.known.Person {
					if e := &t.known.Person[i]; e.Lead == s.id {
						e.Locked, e.Pool = true, s.pool
					}
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("lock open leads of the same persons: %w", err)
		}
		return nil
	})
}

const joinSQL = `
WITH j AS (
    INSERT INTO lead_joined (lead_id, to_lead) SELECT * FROM unnest($1::uuid[], $2::uuid[]) RETURNING lead_id, to_lead
)
UPDATE lead l SET disposition = '` + lead.DispositionJoined + `', closed_at = clock_timestamp(), rep_id = x.rep_id
FROM j JOIN lead x ON x.id = j.to_lead WHERE l.id = j.lead_id`

// queueJoined attaches leads to the open ones of the same persons: whoever has those has them too.
func queueJoined(send *pgx.Batch, batch []*task) {
	var ids, to []uuid.UUID
	for _, t := range batch {
		if t.joins() {
			ids, to = append(ids, t.id), append(to, t.to.joins)
		}
	}
	if len(ids) > 0 {
		send.Queue(joinSQL, ids, to)
	}
}

// joins tells tasks whose lead is attached to another.
func (t *task) joins() bool { return t.to != nil && t.to.joins != uuid.Nil }

// joinedEvents tell of it: the lead where it went, and the other one, whose card comes to the front, that the person has written again.
func (t *task) joinedEvents(rows *eventRows) error {
	if err := rows.add(t.id, lead.EventJoined, t.to.pool, t.standing.rep, t.attempt, map[string]any{"lead": t.to.joins}); err != nil {
		return err
	}
	return t.renew(rows, t.to.joins, t.standing.pool, t.standing.rep, t.standing.attempt)
}

// renew tells whoever has an open lead that the same person, or company, has sent another one.
func (t *task) renew(rows *eventRows, id uuid.UUID, pool string, rep *uuid.UUID, attempt int) error {
	return rows.add(id, lead.EventRepeated, pool, rep, attempt, map[string]any{"lead": t.id})
}

// passedEvents tell an owner that a lead of theirs was offered to others: in its own timeline, and on the card of the lead that made them
// its owner, if they still have that one.
func (t *task) passedEvents(rows *eventRows) error {
	if t.passed == nil {
		return nil
	}
	owner := t.passed.id
	if err := rows.add(t.id, lead.EventOwnerPassed, t.to.pool, &owner, t.number(), map[string]any{"code": t.passed.code}); err != nil {
		return err
	}
	if t.known == nil {
		return nil
	}
	for _, e := range slices.Concat(t.known.Person, t.known.Company) {
		if e.Open && e.Rep == t.decision.Rep {
			return t.renew(rows, e.Lead, e.Pool, &owner, 0)
		}
	}
	return nil
}

// passedOwner is the owner of a lead who did not get it, and why.
type passedOwner struct {
	id   uuid.UUID
	code string
}

// passes notes the owner who could not take a lead, when it is routed: later steps tell of themselves.
func (w *world) passes(t *task, out *routing.Outcome) *passedOwner {
	email, code, passed := out.Passed()
	if !passed || t.decided || w.People[email] == nil {
		return nil
	}
	return &passedOwner{id: w.People[email].ID, code: string(code)}
}

// ownersSQL lists the owners of leads that wait, of the oldest among these.
const ownersSQL = `SELECT DISTINCT d.trace->>'rep' FROM (SELECT id FROM lead WHERE stage = 'waiting' ORDER BY id LIMIT 500) l
JOIN decision d ON d.lead_id = l.id WHERE d.trace->>'band' = 'owner' AND d.trace->>'rep' <> ''`
