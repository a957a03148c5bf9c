package demo

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"leadline/internal/audit"
	"leadline/internal/postgres"
)

// removeAttempts is how often Remove starts anew when it and a running server wait for each other's rows.
const removeAttempts = 5

const deadlockDetected = "40P01"

// Remove deletes everything marked as demo data in one transaction: leads taken while a demo configuration was live, with all that
// belongs to them, what was sent included; demo reps, accounts and configuration versions. A demo rep whom a remaining lead names is
// kept but no longer active. The event stream keeps its counter, so consoles that are open notice nothing but the leads' absence; the
// audit chain keeps all it says, and says this too.
func Remove(ctx context.Context, pool *pgxpool.Pool) error {
	for attempt := 1; ; attempt++ {
		err := postgres.InTx(ctx, pool, func(tx pgx.Tx) error { return remove(ctx, tx) })
		var refused *pgconn.PgError
		if err == nil || attempt == removeAttempts || !errors.As(err, &refused) || refused.Code != deadlockDetected {
			return err
		}
	}
}

// removeSteps run in this order. The demo's leads are locked first, so that a dispatch or claim in progress has written its rows
// before they are looked for; pools are locked in slug order and reps by id, as everybody who allocates does.
var removeSteps = []struct{ what, sql string }{
	{"find demo leads", `CREATE TEMP TABLE demo_lead ON COMMIT DROP AS
		SELECT id FROM lead WHERE demo
		   OR EXISTS (SELECT FROM decision d JOIN config_version v ON v.number = d.version WHERE d.lead_id = lead.id AND v.demo)`},
	{"lock demo leads", `SELECT FROM lead WHERE id IN (SELECT id FROM demo_lead) ORDER BY id FOR UPDATE`},
	{"lock pools", `SELECT FROM pool_state ORDER BY pool FOR UPDATE`},
	{"lock reps", `SELECT FROM rep WHERE demo ORDER BY id FOR UPDATE`},
	{"delete keys", `DELETE FROM client_key WHERE submission IN (SELECT id FROM demo_lead UNION ALL SELECT t.id FROM touch t JOIN demo_lead l ON l.id = t.lead_id)`},
	{"delete fingerprints", `DELETE FROM fingerprint WHERE lead_id IN (SELECT id FROM demo_lead)`},
	{"delete payloads", `DELETE FROM payload WHERE submission IN (SELECT id FROM demo_lead UNION ALL SELECT t.id FROM touch t JOIN demo_lead l ON l.id = t.lead_id)`},
	{"delete reveals", `DELETE FROM reveal WHERE lead_id IN (SELECT id FROM demo_lead)`},
	{"delete holds", `DELETE FROM hold WHERE lead_id IN (SELECT id FROM demo_lead)`},
	{"delete persons", `DELETE FROM lead_person WHERE lead_id IN (SELECT id FROM demo_lead)`},
	{"delete attachments", `DELETE FROM lead_joined WHERE lead_id IN (SELECT id FROM demo_lead) OR to_lead IN (SELECT id FROM demo_lead)`},
	{"delete touches", `DELETE FROM touch WHERE lead_id IN (SELECT id FROM demo_lead)`},
	{"delete credits", `DELETE FROM credit_entry WHERE lead_id IN (SELECT id FROM demo_lead)`},
	{"delete offers", `DELETE FROM offer WHERE lead_id IN (SELECT id FROM demo_lead)`},
	{"delete bids", `DELETE FROM bid WHERE lead_id IN (SELECT id FROM demo_lead)`},
	{"delete clocks", `DELETE FROM lead_clock WHERE lead_id IN (SELECT id FROM demo_lead)`},
	{"delete pauses", `DELETE FROM lead_pause WHERE lead_id IN (SELECT id FROM demo_lead)`},
	{"delete alarms", `DELETE FROM alarm WHERE lead_id IN (SELECT id FROM demo_lead)`},
	{"delete decisions", `DELETE FROM decision WHERE lead_id IN (SELECT id FROM demo_lead)`},
	{"delete what leads ask for", `DELETE FROM lead_asks WHERE lead_id IN (SELECT id FROM demo_lead)`},
	{"delete later decisions", `DELETE FROM decision_step WHERE lead_id IN (SELECT id FROM demo_lead)`},
	{"delete what a shadow found", `DELETE FROM shadow_lead WHERE lead_id IN (SELECT id FROM demo_lead)`},
	{"delete deliveries", `DELETE FROM delivery WHERE lead_id IN (SELECT id FROM demo_lead)`},
	{"delete events", `DELETE FROM event WHERE lead_id IN (SELECT id FROM demo_lead)`},
	{"delete contacts", `DELETE FROM contact WHERE lead_id IN (SELECT id FROM demo_lead)`},
	{"delete leads", `DELETE FROM lead WHERE id IN (SELECT id FROM demo_lead)`},
	{"delete schema drift", `DELETE FROM drift_group WHERE demo`},
	{"delete mails about schema drift", `DELETE FROM drift_mail WHERE demo`},
	{"delete accounts", `DELETE FROM account WHERE demo`},
	{"keep reps that real leads name", `UPDATE rep SET active = false, demo = false, presence = 'off', presence_by = 'system',
			presence_reason = 'The demo data was removed.', presence_at = clock_timestamp(), updated_at = clock_timestamp()
		WHERE demo AND (EXISTS (SELECT FROM lead l WHERE l.rep_id = rep.id) OR EXISTS (SELECT FROM offer o WHERE o.rep_id = rep.id)
		   OR EXISTS (SELECT FROM decision d WHERE d.rep_id = rep.id) OR EXISTS (SELECT FROM event e WHERE e.rep_id = rep.id))`},
	{"delete polls of consoles", `DELETE FROM console_poll WHERE rep_id IN (SELECT id FROM rep WHERE demo)`},
	{"delete reps", `DELETE FROM rep WHERE demo`},
	{"take deleted reps out of pools", `UPDATE pool_state SET (members, credits, last_at, seen_at, missed, next_at) = (
			SELECT coalesce(array_agg(m.id ORDER BY m.n), '{}'), coalesce(array_agg(m.credit ORDER BY m.n), '{}'), coalesce(array_agg(m.at ORDER BY m.n), '{}'),
				coalesce(array_agg(m.seen ORDER BY m.n), '{}'), coalesce(array_agg(coalesce(m.missed, 0) ORDER BY m.n), '{}'), coalesce(array_agg(m.next ORDER BY m.n), '{}')
			FROM unnest(members, credits, last_at, seen_at, missed, next_at) WITH ORDINALITY AS m(id, credit, at, seen, missed, next, n)
			WHERE EXISTS (SELECT FROM rep WHERE rep.id = m.id))
		WHERE EXISTS (SELECT FROM unnest(members) AS m(id) WHERE NOT EXISTS (SELECT FROM rep WHERE rep.id = m.id))`},
	{"delete empty pools", `DELETE FROM pool_state WHERE members = '{}'`},
	{"delete configuration", `DELETE FROM config_version WHERE demo`},
}

func remove(ctx context.Context, tx pgx.Tx) error {
	var leads int
	for _, step := range removeSteps {
		// Without prepared statements: the temporary table is another one each time.
		if _, err := tx.Exec(ctx, step.sql, pgx.QueryExecModeExec); err != nil {
			return fmt.Errorf("%s of the demo: %w", step.what, err)
		}
	}
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM demo_lead`, pgx.QueryExecModeExec).Scan(&leads); err != nil {
		return fmt.Errorf("count leads of the demo: %w", err)
	}
	_, err := audit.AppendTx(ctx, tx, audit.Entry{Action: audit.DemoRemoved, ObjectKind: "demo", Detail: map[string]int{"leads": leads}})
	return err
}
