package intake

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"leadline/internal/lead"
	"leadline/internal/postgres"
)

// commitStatement makes a whole batch durable in one round trip and one implicit transaction.
//
// Lock order is what keeps concurrent batches from deadlocking: first all client keys, in the order of the arrays (sorted in Go),
// then all fingerprints in theirs (ORDER BY fp is a sort, hence also a barrier), last the event counter, and that only when somebody
// repeated. The gap rule reads clock_timestamp() in the DO UPDATE list, which is evaluated under the row's lock. A fingerprint
// keeps its lead while the gap since last_seen is shorter than the window of the submission at hand.
//
// Rows of tables are looked up one by one (LATERAL … LIMIT): a plan that was made while a table was empty must not read the whole of it.
//
// What passes from step to step is ids alone: each step in between copies its rows. Payloads, the widest of all, stay out of d too. A
// replay places nothing and so keeps nothing.
//
// Who sent it whatever the form ($34) and where its country comes from ($35) stand beside each new lead, for routing; what is not known
// costs no lead.
//
// Leads to be held for review ($31) are stored with the reasons, and nobody takes them before a person has looked.
//
// Rows come back for submissions that made a lead (joined = id) or joined one. Missing ones found their key taken. held says that the lead
// joined is held, or that it cannot be seen yet and may be.
const commitStatement = `
WITH d AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[],
        $19::text[], $20::text[], $21::text[], $22::text[], $23::bytea[], $24::bytea[], $25::bigint[], $27::boolean[])
    AS d(id, correlation_id, form, intent, product, country, region, postal_code, timezone,
        language, source, email_domain, domain_class, name, email, phone, company, notes,
        fields, consent, context, key, fp, digest, window_ms, demo)
), k AS (
    INSERT INTO client_key (form, key, submission, fingerprint, digest)
    SELECT form, key, id, fp, digest FROM d
    ON CONFLICT DO NOTHING RETURNING submission
), mine AS MATERIALIZED (
    SELECT id, fp FROM d WHERE id IN (SELECT submission FROM k)
), f AS (
    INSERT INTO fingerprint AS held (fp, lead_id, last_seen)
    SELECT fp, id, clock_timestamp() FROM mine ORDER BY fp
    ON CONFLICT (fp) DO UPDATE SET
        lead_id = CASE WHEN greatest(clock_timestamp(), held.last_seen) - held.last_seen
                >= (SELECT d.window_ms FROM d WHERE d.id = excluded.lead_id) * interval '1 millisecond'
            THEN excluded.lead_id ELSE held.lead_id END,
        last_seen = greatest(clock_timestamp(), held.last_seen),
        count = held.count + 1
    RETURNING fp, lead_id
), placed AS MATERIALIZED (
    SELECT mine.id, f.lead_id AS joined FROM f JOIN mine USING (fp)
), c AS (
    INSERT INTO contact (lead_id, name, email, phone, company, notes, fields, consent, context)
    SELECT id, name, email, phone, company, notes, fields::jsonb, consent::jsonb, context::jsonb FROM placed JOIN d USING (id) WHERE joined = id
    RETURNING lead_id
), l AS (
    INSERT INTO lead (id, correlation_id, form, intent, product, country, region, postal_code, timezone, language, source,
        email_domain, domain_class, node, dispatch_lease, demo, stage)
    SELECT id, correlation_id, form, intent, product, country, region, postal_code, timezone, language, source,
        email_domain, domain_class, $26, clock_timestamp() + interval '5 seconds', demo,
        CASE WHEN id = ANY($31::uuid[]) THEN 'held' ELSE 'new' END FROM placed JOIN d USING (id) WHERE joined = id
    RETURNING id, form, accepted_at
), h AS (
    INSERT INTO hold (lead_id, form, score, reasons)
    SELECT l.id, l.form, s.score, string_to_array(s.reasons, ',') FROM unnest($31::uuid[], $32::bigint[], $33::text[]) AS s(id, score, reasons) JOIN l USING (id)
), w AS (
    INSERT INTO lead_person (lead_id, person, country_from)
    SELECT l.id, s.person, s.country_from FROM unnest($1::uuid[], $34::bytea[], $35::text[]) AS s(id, person, country_from) JOIN l USING (id) WHERE s.person IS NOT NULL OR s.country_from <> ''
), t AS (
    INSERT INTO touch (id, lead_id, kind, correlation_id, payload)
    SELECT id, joined, 'repeat', correlation_id, '{}' FROM placed JOIN d USING (id) WHERE joined <> id
    RETURNING id, lead_id, at
), p AS (
    INSERT INTO payload (submission, data_key, wrapped, sealed)
    SELECT s.id, s.data_key, s.wrapped, s.sealed FROM unnest($1::uuid[], $28::bigint[], $29::bytea[], $30::bytea[])
        AS s(id, data_key, wrapped, sealed)
    WHERE s.id IN (SELECT id FROM placed)
), r AS MATERIALIZED (
    SELECT id, id AS joined, accepted_at AS at, '' AS pool, NULL::uuid AS rep_id, 0 AS attempt, false AS held FROM l
    UNION ALL
    SELECT t.id, t.lead_id, t.at, x.pool, x.rep_id, x.attempt, coalesce(x.stage = 'held', true)
    FROM t LEFT JOIN LATERAL (SELECT pool, rep_id, attempt, stage FROM lead WHERE id = t.lead_id LIMIT 1) x ON true
), e AS MATERIALIZED (
    SELECT CASE WHEN count(*) > 0 THEN append_events(array_agg(joined), array_agg('repeated'::text), array_agg(pool), array_agg(rep_id),
        array_agg(attempt), array_agg(jsonb_build_object('touch', id))) ELSE 0 END AS seq
    FROM (
        SELECT id, joined, pool, rep_id, attempt FROM r WHERE id <> joined AND (SELECT count(*) FROM c) >= 0
    ) repeats
)
SELECT r.id, r.joined, r.at, e.seq > 0 AS events, r.held FROM r CROSS JOIN e`

// ledgerStatement reads what the winners of taken keys became.
const ledgerStatement = `
SELECT d.id, k.submission, k.fingerprint, k.digest, coalesce(t.lead_id, k.submission),
    coalesce(t.at, l.accepted_at, k.created_at), coalesce(t.correlation_id, l.correlation_id, '')
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS d(id, form, key)
CROSS JOIN LATERAL (SELECT submission, fingerprint, digest, created_at FROM client_key WHERE form = d.form AND key = d.key LIMIT 1) k
LEFT JOIN LATERAL (SELECT lead_id, at, correlation_id FROM touch WHERE id = k.submission LIMIT 1) t ON true
LEFT JOIN LATERAL (SELECT accepted_at, correlation_id FROM lead WHERE id = k.submission LIMIT 1) l ON true`

// sessionSettings hold for a writer's connection. One generic plan serves every batch size; without sequential scans it stays
// right from the first lead to the ten-millionth.
const sessionSettings = `SET lock_timeout = '250ms'; SET statement_timeout = '1s'; ` + postgres.FixedPlans

// columns are a batch turned sideways, as unnest wants it. Flat arrays, because the driver looks at each element of other slices by
// reflection. Without persons nothing is said of who they are whatever the form.
func columns(batch []*waiting, node int64, persons bool) ([]any, error) {
	var (
		n       = len(batch)
		ids     = make(pgtype.FlatArray[pgtype.UUID], n)
		texts   [21][]string
		fps     = make(pgtype.FlatArray[[]byte], n)
		digests = make(pgtype.FlatArray[[]byte], n)
		windows = make(pgtype.FlatArray[int64], n)
		demos   = make([]bool, n)
		keys    = make(pgtype.FlatArray[int64], n)
		wrapped = make(pgtype.FlatArray[[]byte], n)
		sealed  = make(pgtype.FlatArray[[]byte], n)
		keyed   = make(pgtype.FlatArray[[]byte], n)
		origins = make([]string, n)

		heldIDs    = pgtype.FlatArray[pgtype.UUID]{}
		heldScores = pgtype.FlatArray[int64]{}
		heldWhy    = []string{}
	)
	for i := range texts {
		texts[i] = make([]string, n)
	}
	for i, w := range batch {
		row, err := texted(w.sub, w.key)
		if err != nil {
			return nil, err
		}
		for j := range row {
			texts[j][i] = row[j]
		}
		ids[i] = pgtype.UUID{Bytes: w.sub.ID, Valid: true}
		fps[i], digests[i] = w.sub.Fingerprint, w.sub.Digest
		windows[i], demos[i] = w.sub.Window.Milliseconds(), w.sub.Demo
		if origins[i] = w.sub.CountryFrom; persons {
			keyed[i] = w.sub.Person
		}
		keys[i], wrapped[i], sealed[i] = w.payload.KeyID, w.payload.Wrapped, w.payload.Sealed
		if arrival := w.sub.Arrival; len(arrival.Held) > 0 {
			heldIDs, heldScores = append(heldIDs, ids[i]), append(heldScores, int64(arrival.Score))
			heldWhy = append(heldWhy, strings.Join(arrival.Held, ","))
		}
	}
	args := make([]any, 0, 35)
	args = append(args, ids)
	for i := range texts {
		args = append(args, texts[i])
	}
	return append(args, fps, digests, windows, node, demos, keys, wrapped, sealed, heldIDs, heldScores, heldWhy, keyed, origins), nil
}

// texted gives the text columns of one submission in the order of the statement.
func texted(s *lead.Submission, key string) ([21]string, error) {
	c := &s.Contact
	fields, err := document(lead.PlainFields(c.Fields))
	if err != nil {
		return [21]string{}, err
	}
	consent, err := document(c.Consent)
	if err != nil {
		return [21]string{}, err
	}
	origin, err := document(c.Context)
	if err != nil {
		return [21]string{}, err
	}
	return [21]string{
		s.CorrelationID, s.Form, s.Intent, s.Product, s.Country, s.Region, s.PostalCode, s.Timezone, s.Language, s.Source,
		s.EmailDomain, s.DomainClass, c.Name.Plain(), c.Email.Plain(), c.Phone.Plain(), c.Company.Plain(), c.Notes.Plain(), fields, consent, origin, key,
	}, nil
}

// ledgerKey is what a submission claims in the ledger. One without a client key claims its own id, so that running its batch again
// after a lost connection finds it; clients cannot send such a key (lead.StoredKey).
func ledgerKey(s *lead.Submission) string {
	if s.ClientKey == "" {
		return ownKey(s)
	}
	return s.ClientKey
}

// ownKey is a key that nobody else can have.
func ownKey(s *lead.Submission) string { return "!" + s.ID.String() }

// document is a value as JSON text; a nil map is an empty object.
func document(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("write document: %w", err)
	}
	if string(text) == "null" {
		return "{}", nil
	}
	return string(text), nil
}

// stored is one row that the commit statement returned.
type stored struct {
	id, joined [16]byte
	at         time.Time
	events     bool
	held       bool // it joined a lead that waits for review
}
