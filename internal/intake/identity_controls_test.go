package intake_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/intake"
	"leadline/internal/lead"
	"leadline/internal/postgres"
)

// rule says which lead a new submission belongs to: that of the person, or the new one that has the submission's id.
type rule func(ctx context.Context, tx pgx.Tx, c click, fp []byte, id uuid.UUID) (leadID uuid.UUID, err error)

// plain is the decision table in plain transactions, with the same tables as the product and any rule for the window. It exists to
// show that the tests find rules that do not work.
func plain(b *bench, window rule) design {
	return func(ctx context.Context, c click) (got intake.Accepted, err error) {
		sub, err := lead.Normalise(c.form, c.raw())
		if err != nil {
			return got, err
		}
		sub.ID = uuid.Must(uuid.NewV7())
		sub.Fingerprint = lead.PersonFingerprint(secret, sub.Form, sub.Contact.Email.Plain(), "")
		sub.Digest = lead.BusinessDigest(&sub)
		err = postgres.InTx(ctx, b.db.Path, func(tx pgx.Tx) error {
			known, err := claimKey(ctx, tx, &sub, &got)
			if err != nil || known {
				return err
			}
			leadID, err := window(ctx, tx, c, sub.Fingerprint, sub.ID)
			if err != nil {
				return err
			}
			got = intake.Accepted{SubmissionID: sub.ID, LeadID: leadID, CorrelationID: sub.ID.String()}
			return tx.QueryRow(ctx, `
				WITH c AS (INSERT INTO contact (lead_id, notes) SELECT $1::uuid, $4 WHERE $1::uuid = $2::uuid),
				l AS (INSERT INTO lead (id, correlation_id, form, intent, node, dispatch_lease) SELECT $1::uuid, $1::uuid::text, $3, 'high', 1, now() WHERE $1::uuid = $2::uuid RETURNING accepted_at),
				t AS (INSERT INTO touch (id, lead_id, kind, correlation_id, payload) SELECT $1::uuid, $2::uuid, 'repeat', $1::uuid::text, '{}' WHERE $1::uuid <> $2::uuid RETURNING at)
				SELECT coalesce((SELECT accepted_at FROM l), (SELECT at FROM t))`, sub.ID, leadID, sub.Form, sub.Contact.Notes.Plain()).Scan(&got.AcceptedAt)
		})
		return got, err
	}
}

// claimKey takes the key, or says what it stands for and takes the newer words. Somebody else's is ignored.
func claimKey(ctx context.Context, tx pgx.Tx, sub *lead.Submission, got *intake.Accepted) (known bool, err error) {
	if sub.ClientKey == "" {
		return false, nil
	}
	tag, err := tx.Exec(ctx, `INSERT INTO client_key (form, key, submission, fingerprint, digest) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		sub.Form, sub.ClientKey, sub.ID, sub.Fingerprint, sub.Digest)
	if err != nil || tag.RowsAffected() > 0 {
		return false, err
	}
	var first, leadID uuid.UUID
	err = tx.QueryRow(ctx, `SELECT submission, coalesce(t.lead_id, submission) FROM client_key LEFT JOIN touch t ON t.id = submission
		WHERE form = $1 AND key = $2 AND fingerprint = $3`, sub.Form, sub.ClientKey, sub.Fingerprint).Scan(&first, &leadID)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	*got = intake.Accepted{SubmissionID: first, LeadID: leadID, CorrelationID: first.String(), Duplicate: true}
	_, err = tx.Exec(ctx, `
		WITH k AS (UPDATE client_key SET digest = $3 WHERE form = $1 AND key = $2 AND digest <> $3 RETURNING submission),
		c AS (UPDATE contact SET notes = $4::text WHERE lead_id = (SELECT submission FROM k) AND $4::text <> '' AND notes <> $4::text RETURNING lead_id)
		INSERT INTO touch (id, lead_id, kind, payload) SELECT $5::uuid, $6::uuid, 'amend', '{}' FROM k WHERE submission <> $6::uuid OR EXISTS (SELECT FROM c)`,
		sub.Form, sub.ClientKey, sub.Digest, sub.Contact.Notes.Plain(), sub.ID, leadID)
	if err != nil {
		return false, err
	}
	return true, tx.QueryRow(ctx, `SELECT coalesce((SELECT at FROM touch WHERE id = $1), (SELECT accepted_at FROM lead WHERE id = $1))`, first).Scan(&got.AcceptedAt)
}

// bucketRule makes the time, rounded, a part of what is unique.
func bucketRule(ctx context.Context, tx pgx.Tx, c click, fp []byte, id uuid.UUID) (leadID uuid.UUID, err error) {
	err = tx.QueryRow(ctx, `INSERT INTO fingerprint (fp, lead_id, last_seen)
		VALUES ($1::bytea || int8send(floor(extract(epoch FROM clock_timestamp()) * 1000 / $3::bigint)::bigint), $2, clock_timestamp())
		ON CONFLICT (fp) DO UPDATE SET count = fingerprint.count + 1 RETURNING lead_id`, fp, id, c.form.DedupeWindow.Milliseconds()).Scan(&leadID)
	return leadID, err
}

// tumblingRule lets a window begin with the first click and end a fixed time later.
func tumblingRule(ctx context.Context, tx pgx.Tx, c click, fp []byte, id uuid.UUID) (leadID uuid.UUID, err error) {
	err = tx.QueryRow(ctx, `INSERT INTO fingerprint AS held (fp, lead_id, last_seen) VALUES ($1, $2, clock_timestamp())
		ON CONFLICT (fp) DO UPDATE SET
			lead_id = CASE WHEN clock_timestamp() - held.last_seen < $3 * interval '1 millisecond' THEN held.lead_id ELSE excluded.lead_id END,
			last_seen = CASE WHEN clock_timestamp() - held.last_seen < $3 * interval '1 millisecond' THEN held.last_seen ELSE excluded.last_seen END
		RETURNING lead_id`, fp, id, c.form.DedupeWindow.Milliseconds()).Scan(&leadID)
	return leadID, err
}

// appClockRule is the product's, with the time of the process instead of the database's.
func appClockRule(ctx context.Context, tx pgx.Tx, c click, fp []byte, id uuid.UUID) (leadID uuid.UUID, err error) {
	err = tx.QueryRow(ctx, `INSERT INTO fingerprint AS held (fp, lead_id, last_seen) SELECT $1::bytea, $2::uuid, clock_timestamp() + $4 * interval '1 microsecond'
		ON CONFLICT (fp) DO UPDATE SET
			lead_id = CASE WHEN excluded.last_seen - held.last_seen < $3 * interval '1 millisecond' THEN held.lead_id ELSE excluded.lead_id END,
			last_seen = greatest(excluded.last_seen, held.last_seen)
		RETURNING lead_id`, fp, id, c.form.DedupeWindow.Milliseconds(), skews[c.process].Microseconds()).Scan(&leadID)
	return leadID, err
}

const (
	seenTable  = `CREATE TABLE IF NOT EXISTS seen (fp bytea, lead_id uuid, at timestamptz, n bigserial); CREATE INDEX IF NOT EXISTS seen_fp ON seen (fp, n)`
	personsKey = `pg_advisory_xact_lock(hashtextextended(encode($1::bytea, 'hex'), 0))`
	lookUp     = `SELECT coalesce((SELECT lead_id FROM seen WHERE fp = $1::bytea AND greatest(clock_timestamp(), at) - at < $3 * interval '1 millisecond' ORDER BY n DESC LIMIT 1), $2::uuid)`
	// What comes after a clock was set back counts as of the latest time seen.
	note = `INSERT INTO seen (fp, lead_id, at) SELECT $1::bytea, $2::uuid, greatest(clock_timestamp(), (SELECT max(at) FROM seen WHERE fp = $1::bytea))`
)

// lockAndLookRule takes a lock for the person and looks for the lead in one statement: what it sees is from before it had the lock.
func lockAndLookRule(ctx context.Context, tx pgx.Tx, c click, fp []byte, id uuid.UUID) (leadID uuid.UUID, err error) {
	err = tx.QueryRow(ctx, `WITH l AS MATERIALIZED (SELECT `+personsKey+`) SELECT (`+lookUp+`) FROM l`,
		fp, id, c.form.DedupeWindow.Milliseconds()).Scan(&leadID)
	if err == nil {
		_, err = tx.Exec(ctx, note, fp, leadID)
	}
	return leadID, err
}

// lockThenLookRule does so in two statements, and works.
func lockThenLookRule(ctx context.Context, tx pgx.Tx, c click, fp []byte, id uuid.UUID) (leadID uuid.UUID, err error) {
	if _, err = tx.Exec(ctx, `SELECT `+personsKey, fp); err != nil {
		return leadID, err
	}
	if err = tx.QueryRow(ctx, lookUp, fp, id, c.form.DedupeWindow.Milliseconds()).Scan(&leadID); err == nil {
		_, err = tx.Exec(ctx, note, fp, leadID)
	}
	return leadID, err
}

// TestControls_DesignsThatDoNotWorkAreFound gives the judges of the product designs that look right and are not. The last one is
// right, which shows that the others are found for their windows and nothing else.
func TestControls_DesignsThatDoNotWorkAreFound(t *testing.T) {
	for _, c := range []struct {
		name                   string
		rule                   rule
		inHistories, inDoubles bool // who finds it
	}{
		{"bucket in the key", bucketRule, true, true},
		{"window from the first click", tumblingRule, true, true},
		{"lock and look-up in one statement", lockAndLookRule, false, true},
		{"clock of the process", appClockRule, true, true},
		{"lock, then look-up", lockThenLookRule, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newClockedBench(t)
			b.exec(seenTable)
			d := tryHistories(b, plain(b, c.rule), 8, 64)
			e := tryDoubleClicks(b, plain(b, c.rule), 7, 13)
			if d.failed+e.failed > 0 { // then it was found for its author's sake
				t.Fatalf("submissions failed: %q %q", d.first, e.first)
			}
			t.Logf("%d differences in histories, %d in double clicks", d.n, e.n)
			if (d.n > 0) != c.inHistories || (e.n > 0) != c.inDoubles {
				t.Errorf("found in histories: %v, want %v\n%s\nfound in double clicks: %v, want %v\n%s", d.n > 0, c.inHistories, strings.Join(d.first, "\n"), e.n > 0, c.inDoubles, strings.Join(e.first, "\n"))
			}
		})
	}
}
