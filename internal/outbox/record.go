package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"leadline/internal/postgres"
)

// Outcome is how one write went.
type Outcome string

// The outcomes.
const (
	WasDelivered Outcome = "delivered" // the destination holds Revision
	WasMerged    Outcome = "merged"    // part of another message; nothing more will be written
	WasSlow      Outcome = "slow"      // the soft limit passed; the call goes on under its lease
	WasFailed    Outcome = "failed"    // to be tried again after Wait
	WasRefused   Outcome = "refused"   // quarantined: a person must look
)

// GiveUpAfter is how long a delivery may fail before it is quarantined.
const GiveUpAfter = 24 * time.Hour

// Result is what a worker learnt about a delivery it holds. It changes the row only while the row's token is Claimed.Token.
type Result struct {
	Claimed  Claimed
	Outcome  Outcome
	RecordID string        // with WasDelivered and WasMerged; empty keeps what is there
	URL      string        // likewise
	Reason   string        // with WasSlow, WasFailed and WasRefused: in words, without personal data
	Wait     time.Duration // with WasFailed: not before
	Uncount  bool          // with WasFailed: no attempt, because nothing was asked of the destination for this lead's sake
	NotSent  bool          // with WasFailed: known to have changed nothing outside, so that the write needs no look-up and no name
	Job      bool          // with WasFailed of a CRM row: no job exists for it, start one
	Release  bool          // with WasDelivered: let the lease go even if the row wants more (a job comes back for it)
	Anew     bool          // with WasFailed of a chat row: the message is gone, post it again
	Took     time.Duration // the call
}

// Applied is what became of a Result.
type Applied struct {
	Result        Result
	OK            bool          // false: the lease was lost, nothing changed
	State         State         // of the row now
	WantsMore     bool          // the row wants a revision beyond the one just written
	Next          *Claimed      // set when the caller still holds the lease and must write again
	SinceAccepted time.Duration // the lead's age now, on the database's clock
}

const lockLeadsSQL = `SELECT id FROM lead WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE`

const lockDeliveriesSQL = `
SELECT id FROM delivery WHERE id = ANY($1) OR (lead_id = ANY($2) AND destination = 'chat') ORDER BY id FOR NO KEY UPDATE`

const recordSQL = `
UPDATE delivery d SET
    state = CASE r.outcome
        WHEN 'delivered' THEN 'delivered' WHEN 'merged' THEN 'merged' WHEN 'refused' THEN 'quarantined'
        WHEN 'slow' THEN CASE WHEN d.state = 'pending' THEN 'saving' ELSE d.state END
        ELSE CASE WHEN NOT r.uncount AND d.failing_since < clock_timestamp() - $13::interval THEN 'quarantined' ELSE 'saving' END END,
    written = CASE WHEN r.outcome IN ('delivered', 'merged') THEN greatest(d.written, r.revision) WHEN r.anew THEN 0 ELSE d.written END,
    sending = CASE WHEN r.outcome = 'delivered' AND r.keeps THEN d.wanted WHEN r.anew THEN 0 WHEN r.not_sent THEN d.written ELSE d.sending END,
    attempts = CASE WHEN r.outcome IN ('delivered', 'merged') THEN 0 WHEN r.outcome = 'slow' OR r.uncount THEN d.attempts ELSE d.attempts + 1 END,
    calls = d.calls + CASE WHEN r.outcome = 'slow' OR r.not_sent OR r.uncount THEN 0 ELSE 1 END,
    failing_since = CASE WHEN r.outcome IN ('delivered', 'merged') THEN NULL
        WHEN r.outcome = 'failed' AND NOT r.uncount THEN coalesce(d.failing_since, clock_timestamp()) ELSE d.failing_since END,
    last_error = CASE WHEN r.outcome IN ('delivered', 'merged') THEN '' WHEN r.outcome = 'slow' THEN d.last_error ELSE r.reason END,
    record_id = CASE WHEN r.anew THEN '' ELSE coalesce(nullif(r.record_id, ''), d.record_id) END,
    url = coalesce(nullif(r.url, ''), d.url),
    confirmed_at = CASE WHEN r.outcome IN ('delivered', 'merged') THEN coalesce(d.confirmed_at, clock_timestamp()) ELSE d.confirmed_at END,
    due_at = CASE WHEN r.outcome = 'failed' THEN clock_timestamp() + make_interval(secs => r.wait) ELSE d.due_at END,
    lease_until = CASE WHEN r.outcome = 'slow' THEN d.lease_until WHEN r.keeps THEN clock_timestamp() + $14::interval END,
    node = CASE WHEN r.outcome = 'slow' OR r.keeps THEN d.node END
FROM (
    SELECT u.*, u.outcome = 'delivered' AND NOT u.release AND o.wanted > u.revision AND o.lease_until IS NOT NULL AS keeps
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::float8[],
        $9::boolean[], $10::boolean[], $11::boolean[], $12::boolean[])
        AS u(id, token, outcome, revision, record_id, url, reason, wait, uncount, not_sent, release, anew)
    JOIN delivery o ON o.id = u.id
) r, lead l
WHERE d.id = r.id AND d.token = r.token AND d.state <> 'erased' AND l.id = d.lead_id
RETURNING d.state, d.wanted > d.written, r.keeps, l.pool, l.rep_id, l.attempt,
    extract(epoch FROM clock_timestamp() - l.accepted_at)::float8, ` + claimedColumns

// The least finished connection speaks for the lead. A lead that has just become known to its CRMs wants its chat card to say so.
const crmStateSQL = `
WITH now_is AS (
    SELECT lead_id, CASE
        WHEN bool_or(state = 'quarantined') THEN 'refused'
        WHEN bool_or(state = 'conflict') THEN 'conflict'
        WHEN bool_or(state = 'saving') THEN 'saving'
        WHEN bool_and(state IN ('delivered', 'merged', 'erased')) THEN 'confirmed'
        ELSE 'pending' END AS state
    FROM delivery WHERE lead_id = ANY($1) AND destination = 'crm' GROUP BY lead_id
), changed AS (
    UPDATE lead l SET crm_state = s.state FROM now_is s WHERE l.id = s.lead_id AND l.crm_state <> s.state AND l.erased_at IS NULL RETURNING l.id, l.crm_state
)
UPDATE delivery d SET wanted = d.wanted + 1, due_at = CASE WHEN d.written >= d.wanted THEN clock_timestamp() ELSE d.due_at END
FROM changed c WHERE d.lead_id = c.id AND d.destination = 'chat' AND c.crm_state = 'confirmed' AND d.state NOT IN ('merged', 'erased')`

// Record is RecordIn in a transaction of its own.
func (s *Store) Record(ctx context.Context, pool *pgxpool.Pool, results []Result) (applied []Applied, err error) {
	err = postgres.InTxThen(ctx, pool, func(tx pgx.Tx) (last *pgx.Batch, err error) {
		applied, last, err = s.RecordIn(ctx, tx, results)
		return last, err
	})
	return applied, err
}

// RecordIn writes what workers learnt, in the caller's transaction: the rows, the leads' crm_state, and jobs where asked for. last is to be
// sent with the COMMIT: the events. The order of applied is that of results.
func (s *Store) RecordIn(ctx context.Context, tx pgx.Tx, results []Result) (applied []Applied, last *pgx.Batch, err error) {
	applied, facts, err := recordRows(ctx, tx, &pgx.Batch{}, results)
	if err != nil {
		return nil, nil, fmt.Errorf("record %d deliveries: %w", len(results), err)
	}
	var refs []Ref
	for _, a := range applied {
		if a.OK && a.Result.Job && a.State == Saving {
			refs = append(refs, Ref{DeliveryID: a.Result.Claimed.ID, Connection: a.Result.Claimed.Connection, Hot: a.Result.Claimed.Hot, After: a.Result.Wait})
		}
	}
	if len(refs) > 0 {
		if err := s.enqueue(ctx, tx, refs); err != nil {
			return nil, nil, fmt.Errorf("start jobs for %d deliveries: %w", len(refs), err)
		}
	}
	last = &pgx.Batch{}
	return applied, last, queueEvents(last, applied, facts)
}

// recordPlain is Record for results that cannot ask for a job, in a transaction of its own: two exchanges with the database, since
// BEGIN and COMMIT travel with the other statements.
func recordPlain(ctx context.Context, conn *pgx.Conn, results []Result) ([]Applied, error) {
	first := &pgx.Batch{}
	first.Queue("BEGIN")
	applied, facts, err := recordRows(ctx, conn, first, results)
	if err != nil {
		return nil, fmt.Errorf("record %d deliveries: %w", len(results), err)
	}
	last := &pgx.Batch{}
	if err := queueEvents(last, applied, facts); err != nil {
		return nil, err
	}
	last.Queue("COMMIT")
	if err := conn.SendBatch(ctx, last).Close(); err != nil {
		return nil, fmt.Errorf("commit %d delivery results: %w", len(results), err)
	}
	return applied, nil
}

// asksForJobs tells whether any of the results may need a job.
func asksForJobs(results []Result) bool {
	return slices.ContainsFunc(results, func(r Result) bool { return r.Job && r.Outcome != WasDelivered && r.Outcome != WasSlow })
}

// leadFacts is what an event says about its lead.
type leadFacts struct {
	pool    string
	rep     *uuid.UUID
	attempt int
}

// sender is a transaction, or a connection.
type sender interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// recordRows adds what changes the rows to batch, and sends it.
func recordRows(ctx context.Context, db sender, batch *pgx.Batch, results []Result) ([]Applied, []leadFacts, error) {
	results = cleaned(results)
	cols := columnsOf(results)
	if len(cols.crmLeads) > 0 {
		batch.Queue(lockLeadsSQL, cols.crmLeads)
	}
	batch.Queue(lockDeliveriesSQL, cols.id, cols.crmLeads)
	applied := make([]Applied, len(results))
	facts := make([]leadFacts, len(results))
	place := make(map[int64]int, len(results))
	for i, r := range results {
		applied[i].Result = r
		place[r.Claimed.ID] = i
	}
	batch.Queue(recordSQL, cols.id, cols.token, cols.outcome, cols.revision, cols.recordID, cols.url, cols.reason, cols.wait,
		cols.uncount, cols.notSent, cols.release, cols.anew, GiveUpAfter, Lease).Query(func(rows pgx.Rows) error {
		return scanApplied(rows, place, applied, facts)
	})
	if len(cols.crmLeads) > 0 {
		batch.Queue(crmStateSQL, cols.crmLeads)
	}
	if err := db.SendBatch(ctx, batch).Close(); err != nil {
		return nil, nil, err
	}
	return applied, facts, nil
}

func scanApplied(rows pgx.Rows, place map[int64]int, applied []Applied, facts []leadFacts) error {
	for rows.Next() {
		var state State
		var more, keeps bool
		var f leadFacts
		var age float64
		var c Claimed
		if err := rows.Scan(append([]any{&state, &more, &keeps, &f.pool, &f.rep, &f.attempt, &age}, c.targets()...)...); err != nil {
			return err
		}
		i := place[c.ID]
		a := &applied[i]
		a.OK, a.State, a.WantsMore, a.SinceAccepted = true, state, more, seconds(age)
		if keeps {
			a.Next = &c
		}
		facts[i] = f
	}
	return rows.Err()
}

// columns are results turned on their side, as unnest wants them.
type columns struct {
	id, token                       []int64
	outcome, recordID, url, reason  []string
	revision                        []int32
	wait                            []float64
	uncount, notSent, release, anew []bool
	crmLeads                        []uuid.UUID
}

func columnsOf(results []Result) columns {
	var c columns
	for _, r := range results {
		c.id = append(c.id, r.Claimed.ID)
		c.token = append(c.token, r.Claimed.Token)
		c.outcome = append(c.outcome, string(r.Outcome))
		c.revision = append(c.revision, int32(r.Claimed.Revision)) //nolint:gosec // grows by one per change of a lead
		c.recordID = append(c.recordID, r.RecordID)
		c.url = append(c.url, r.URL)
		c.reason = append(c.reason, r.Reason)
		c.wait = append(c.wait, r.Wait.Seconds())
		c.uncount = append(c.uncount, r.Uncount)
		c.notSent = append(c.notSent, r.NotSent)
		c.release = append(c.release, r.Release)
		c.anew = append(c.anew, r.Anew)
		if r.Claimed.Destination == CRM {
			c.crmLeads = append(c.crmLeads, r.Claimed.LeadID)
		}
	}
	return c
}

// cleaned is a copy with texts that can be stored.
func cleaned(results []Result) []Result {
	all := make([]Result, len(results))
	for i, r := range results {
		r.RecordID, r.URL, r.Reason = clean(r.RecordID, 500), clean(r.URL, 2000), clean(r.Reason, 500)
		all[i] = r
	}
	return all
}

// clean makes a text from outside storable: PostgreSQL refuses NUL bytes and broken UTF-8, and nobody needs more than a few lines.
func clean(s string, limit int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
	if len(s) <= limit {
		return s
	}
	s = s[:limit]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}

const appendEventsSQL = `SELECT append_events($1, $2, $3, $4, $5, $6)`

// queueEvents adds what writes the events: the last statement before COMMIT.
func queueEvents(send *pgx.Batch, applied []Applied, facts []leadFacts) error {
	var leads []uuid.UUID
	var kinds, pools []string
	var reps []*uuid.UUID
	var attempts []int32
	var data []json.RawMessage
	for i, a := range applied {
		kind, detail := eventOf(a)
		if kind == "" {
			continue
		}
		body, err := json.Marshal(detail)
		if err != nil {
			return fmt.Errorf("encode event: %w", err)
		}
		leads, kinds, data = append(leads, a.Result.Claimed.LeadID), append(kinds, string(kind)), append(data, body)
		pools, reps, attempts = append(pools, facts[i].pool), append(reps, facts[i].rep), append(attempts, int32(facts[i].attempt)) //nolint:gosec // number of an offer
	}
	if len(leads) > 0 {
		send.Queue(appendEventsSQL, leads, kinds, pools, reps, attempts, data)
	}
	return nil
}
