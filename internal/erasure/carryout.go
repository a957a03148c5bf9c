package erasure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"leadline/internal/audit"
	"leadline/internal/fault"
	"leadline/internal/lead"
)

// How long a lock is waited for, how often a lost race is run again, and how long to wait before that.
const (
	lockWait  = "1s"
	tries     = 5
	pauseStep = 50 * time.Millisecond
)

// carryOut erases a person in one transaction, again when it lost a race for locks. Locks, as everywhere: keys, fingerprints, leads by
// id and what hangs on them, deliveries by id, the end of the audit chain, and last the event counter.
func (s *Service) carryOut(ctx context.Context, conn *pgx.Conn, e entry, p *person, action audit.Action, reason string) error {
	for try := 1; ; try++ {
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return s.erase(ctx, tx, e, p, action, reason) })
		switch {
		case err == nil:
			s.Log.InfoContext(ctx, "a person was erased", "erasure_id", e.ID, "leads", len(p.leads))
			return nil
		case !lostRace(err):
			return fmt.Errorf("erase a person: %w", err)
		case try == tries:
			busy := fault.Wrap(fault.Unavailable, err, "Rows of this person are in use. The erasure is on the list; run it again in a moment.")
			busy.RetryAfter = time.Second
			return busy
		}
		pause(ctx, time.Duration(try)*pauseStep)
	}
}

// lostRace tells deadlocks and locks that did not come in time.
func lostRace(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40P01" || pg.Code == "55P03" || pg.Code == "40001")
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// step is one statement. Its parameters: $1 the leads, $2 all submissions of the person, both as ids.
type step struct{ what, sql string }

// steps run once the leads are locked.
var steps = []step{
	{"contacts", `DELETE FROM contact WHERE lead_id = ANY($1) AND $2::uuid[] IS NOT NULL`},
	{"who they are", `DELETE FROM lead_person WHERE lead_id = ANY($1) AND $2::uuid[] IS NOT NULL`},
	{"attachments", `DELETE FROM lead_joined WHERE (lead_id = ANY($1) OR to_lead = ANY($1)) AND $2::uuid[] IS NOT NULL`},
	{"holds", `DELETE FROM hold WHERE lead_id = ANY($1) AND $2::uuid[] IS NOT NULL`},
	// Before the payloads: whoever seals an old one holds the submission's row, and what it stores is seen once that is had.
	{"later submissions", `UPDATE touch SET payload = '{}', correlation_id = id::text WHERE lead_id = ANY($1) AND $2::uuid[] IS NOT NULL`},
	// The payload's own key is in its row, wrapped: with the row it is destroyed.
	{"payloads", `DELETE FROM payload WHERE submission = ANY($2) AND $1::uuid[] IS NOT NULL`},
	// An open offer ends without a loser. The words with which somebody passed may be about the person.
	{"offers", `UPDATE offer SET state = CASE WHEN state = 'open' THEN 'withdrawn' ELSE state END,
			ended_at = CASE WHEN state = 'open' THEN clock_timestamp() ELSE ended_at END,
			reason = CASE WHEN state = 'open' THEN 'erased' WHEN state = 'declined' THEN '' ELSE reason END
		WHERE lead_id = ANY($1) AND (state = 'open' OR state = 'declined' AND reason <> '') AND $2::uuid[] IS NOT NULL`},
	// Why somebody lost the lead or gave it away, in words.
	{"credits", `UPDATE credit_entry SET reason = '' WHERE lead_id = ANY($1) AND kind IN ('taken', 'handed_over') AND $2::uuid[] IS NOT NULL`},
	{"bids", `DELETE FROM bid WHERE lead_id = ANY($1) AND $2::uuid[] IS NOT NULL`},
	{"clocks", `UPDATE lead_clock SET stopped_at = clock_timestamp(), stopped_by = 'erased' WHERE lead_id = ANY($1) AND stopped_at IS NULL AND $2::uuid[] IS NOT NULL`},
	{"pauses", `UPDATE lead_pause SET note = '' WHERE lead_id = ANY($1) AND note <> '' AND $2::uuid[] IS NOT NULL`},
	{"findings of a shadow", `DELETE FROM shadow_lead WHERE lead_id = ANY($1) AND $2::uuid[] IS NOT NULL`},
	{"alarms", `UPDATE alarm SET closed_at = clock_timestamp() WHERE lead_id = ANY($1) AND closed_at IS NULL AND $2::uuid[] IS NOT NULL`},
	// Nothing more is sent. Raising the token makes the answer of a write that is under way count for nothing, and jobs find nothing to do.
	// A chat card that is out is written once more, so that it no longer says what it said.
	{"lock deliveries", `SELECT FROM delivery WHERE lead_id = ANY($1) AND $2::uuid[] IS NOT NULL ORDER BY id FOR UPDATE`},
	{"deliveries", `UPDATE delivery SET
			state = CASE WHEN state = 'merged' OR destination = 'chat' AND written > 0 AND state IN ('pending', 'saving', 'delivered')
				OR state = 'delivered' AND wanted <= written THEN state ELSE 'erased' END,
			wanted = CASE WHEN destination = 'chat' AND written > 0 AND state IN ('pending', 'saving', 'delivered') THEN wanted + 1 ELSE wanted END,
			due_at = CASE WHEN destination = 'chat' THEN clock_timestamp() ELSE due_at END,
			token = token + 1, node = NULL, lease_until = NULL, attempts = 0, failing_since = NULL, last_error = '', url = '' -- an address may name the person
		WHERE lead_id = ANY($1) AND $2::uuid[] IS NOT NULL`},
	{"leads", `UPDATE lead l SET
			product = '', region = '', postal_code = '', timezone = '', language = '', source = '', email_domain = '', correlation_id = id::text,
			stage = CASE WHEN stage IN ('booked', 'disqualified', 'closed') THEN stage ELSE 'closed' END,
			disposition = CASE WHEN stage IN ('booked', 'disqualified', 'closed') THEN disposition ELSE 'erased' END,
			closed_at = coalesce(closed_at, clock_timestamp()),
			crm_state = CASE WHEN EXISTS (SELECT FROM delivery d WHERE d.lead_id = l.id AND d.destination = 'crm' AND d.written > 0) THEN 'confirmed'
				ELSE 'pending' END,
			erased_at = coalesce(erased_at, clock_timestamp())
		WHERE id = ANY($1) AND $2::uuid[] IS NOT NULL`},
	// What people wrote goes; why the system ended an offer stays.
	{"words in events", `UPDATE event SET data = CASE WHEN data ? 'reason' THEN data || '{"reason": ""}' ELSE data END - 'note'
		WHERE lead_id = ANY($1) AND $2::uuid[] IS NOT NULL
			AND (data ? 'note' OR data ? 'reason' AND NOT (kind = 'offer_ended' AND data->>'state' IN ('accepted', 'timed_out', 'withdrawn')))`},
}

func (s *Service) erase(ctx context.Context, tx pgx.Tx, e entry, p *person, action audit.Action, reason string) error {
	if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '`+lockWait+`'; SET LOCAL statement_timeout = '5min'`); err != nil {
		return fmt.Errorf("limit waiting: %w", err)
	}
	ids, submissions, err := lockPerson(ctx, tx, p)
	if err != nil {
		return err
	}
	fresh, err := notYetErased(ctx, tx, ids)
	if err != nil {
		return err
	}
	if err := s.reduceDecisions(ctx, tx, ids); err != nil {
		return err
	}
	if err := s.reduceSteps(ctx, tx, ids); err != nil {
		return err
	}
	for _, step := range steps {
		if _, err := tx.Exec(ctx, step.sql, ids, submissions); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	if err := forgetRecords(ctx, tx, p, ids); err != nil {
		return err
	}
	redacted, err := redact(ctx, tx, p, submissions)
	if err != nil {
		return err
	}
	if err := keepEntry(ctx, tx, e); err != nil {
		return err
	}
	_, err = audit.AppendTx(ctx, tx, audit.Entry{
		Action: action, ObjectKind: "erasure", Object: e.ID.String(), Note: reason, Detail: map[string]any{"leads": len(ids), "redacted": redacted},
	})
	if err != nil {
		return err
	}
	return announce(ctx, tx, fresh)
}

// lockPerson deletes the identities, so that nothing joins these leads any more, and locks the leads. It gives the leads and everything
// that ever joined them.
func lockPerson(ctx context.Context, tx pgx.Tx, p *person) (ids, submissions []uuid.UUID, err error) {
	ids, submissions = p.ids(), p.submissions()
	if _, err := tx.Exec(ctx, `DELETE FROM client_key WHERE fingerprint = ANY($1) OR submission = ANY($2)`, p.prints, submissions); err != nil {
		return nil, nil, fmt.Errorf("client keys: %w", err)
	}
	_, err = tx.Exec(ctx, `DELETE FROM fingerprint WHERE fp = ANY(ARRAY(SELECT fp FROM fingerprint WHERE fp = ANY($1) ORDER BY fp FOR UPDATE))`, p.prints)
	if err != nil {
		return nil, nil, fmt.Errorf("fingerprints: %w", err)
	}
	if _, err := tx.Exec(ctx, `SELECT FROM lead WHERE id = ANY($1) ORDER BY id FOR UPDATE`, ids); err != nil {
		return nil, nil, fmt.Errorf("lock leads: %w", err)
	}
	rows, err := tx.Query(ctx, `SELECT id FROM touch WHERE lead_id = ANY($1)`, ids)
	if err != nil {
		return nil, nil, fmt.Errorf("later submissions: %w", err)
	}
	touches, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, nil, fmt.Errorf("later submissions: %w", err)
	}
	var late []uuid.UUID // joined while we waited, and with a key of their own
	for _, id := range touches {
		if !slices.Contains(submissions, id) {
			late = append(late, id)
		}
	}
	if len(late) > 0 {
		if _, err := tx.Exec(ctx, `DELETE FROM client_key WHERE submission = ANY($1)`, late); err != nil {
			return nil, nil, fmt.Errorf("client keys: %w", err)
		}
	}
	return ids, append(submissions, late...), nil
}

// standing is a lead as its event describes it.
type standing struct {
	id      uuid.UUID
	pool    string
	rep     *uuid.UUID
	attempt int
}

// notYetErased are the leads of which nobody has heard that they are erased.
func notYetErased(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) ([]standing, error) {
	rows, err := tx.Query(ctx, `SELECT id, pool, rep_id, attempt FROM lead WHERE id = ANY($1) AND erased_at IS NULL ORDER BY id`, ids)
	if err != nil {
		return nil, fmt.Errorf("read leads: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l standing, err error) {
		err = row.Scan(&l.id, &l.pool, &l.rep, &l.attempt)
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("read leads: %w", err)
	}
	return all, nil
}

// redact takes people's words about the leads, and whatever else names the person, out of the audit chain, and gives the rows, for the
// chain to say so itself.
func redact(ctx context.Context, tx pgx.Tx, p *person, submissions []uuid.UUID) ([]int64, error) {
	rows, err := tx.Query(ctx, `SELECT seq, note, object_kind = 'lead' AND object = ANY($1::uuid[]::text[]) FROM audit WHERE note <> '' ORDER BY seq`, submissions)
	if err != nil {
		return nil, fmt.Errorf("audit notes: %w", err)
	}
	var (
		telling []int64
		seq     int64
		note    string
		about   bool
	)
	_, err = pgx.ForEachRow(rows, []any{&seq, &note, &about}, func() error {
		if about || p.namedBy(note) {
			telling = append(telling, seq)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("audit notes: %w", err)
	}
	if _, err := tx.Exec(ctx, `UPDATE audit SET note = NULL, note_salt = NULL WHERE seq = ANY($1)`, telling); err != nil {
		return nil, fmt.Errorf("audit notes: %w", err)
	}
	return telling, nil
}

// forgetRecords removes names of records that name the person. Others stay: they are what a deletion at the vendor needs.
func forgetRecords(ctx context.Context, tx pgx.Tx, p *person, ids []uuid.UUID) error {
	rows, err := tx.Query(ctx, `SELECT id, record_id FROM delivery WHERE lead_id = ANY($1) AND record_id <> ''`, ids)
	if err != nil {
		return fmt.Errorf("look at record ids: %w", err)
	}
	var telling []int64
	var id int64
	var record string
	_, err = pgx.ForEachRow(rows, []any{&id, &record}, func() error {
		if p.namedBy(record) {
			telling = append(telling, id)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look at record ids: %w", err)
	}
	if _, err := tx.Exec(ctx, `UPDATE delivery SET record_id = '' WHERE id = ANY($1)`, telling); err != nil {
		return fmt.Errorf("forget record ids: %w", err)
	}
	return nil
}

// keepEntry writes the entry of the list to the table.
func keepEntry(ctx context.Context, tx pgx.Tx, e entry) error {
	_, err := tx.Exec(ctx, `INSERT INTO erasure (id, at, subjects, leads) VALUES ($1, $2, $3, $4)
		ON CONFLICT (id) DO UPDATE SET leads = excluded.leads`, e.ID, e.At, e.Subjects, e.Leads)
	if err != nil {
		return fmt.Errorf("keep the erasure: %w", err)
	}
	return nil
}

// announce tells consoles and caches to drop what they know, as the last statement.
func announce(ctx context.Context, tx pgx.Tx, leads []standing) error {
	var (
		ids      []uuid.UUID
		kinds    []string
		pools    []string
		reps     []*uuid.UUID
		attempts []int32
		data     []json.RawMessage
	)
	for _, l := range leads {
		ids, kinds, pools = append(ids, l.id), append(kinds, string(lead.EventErased)), append(pools, l.pool)
		reps, attempts, data = append(reps, l.rep), append(attempts, int32(l.attempt)), append(data, json.RawMessage("{}")) //nolint:gosec // number of an offer
	}
	if len(ids) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, `SELECT append_events($1, $2, $3, $4, $5, $6)`, ids, kinds, pools, reps, attempts, data); err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	return nil
}
