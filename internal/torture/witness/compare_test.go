package witness_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres/pgtest"
	"leadline/internal/torture/witness"
)

// books are those of five visitors who were treated well.
func books() []witness.Line {
	var lines []witness.Line
	add := func(fill int, kind witness.Kind, step witness.Step, class witness.Class, said string) {
		l := witness.Line{
			At: time.Unix(int64(len(lines)), 0), Try: int64(len(lines)), Fill: fill, Kind: kind, Step: step, Key: keyOf(fill),
			Email: fmt.Sprintf("w%d@acme.example", fill), Phone: phoneOf(fill, step), Target: "a",
		}
		if kind == witness.Wrong {
			l.Email, l.Phone = "", ""
		}
		if kind == witness.Keyless {
			l.Key = ""
		}
		lines = append(lines, l)
		if class == witness.OK {
			l.ID = idOf(fill).String()
		}
		l.Class, l.Said, l.Status = class, said, map[witness.Class]int{witness.OK: 201, witness.Refused: 422}[class]
		if said == "spooled" {
			l.Status = 503
		}
		lines = append(lines, l)
	}
	add(0, witness.Patient, witness.First, witness.Unknown, "connection reset")
	add(0, witness.Patient, witness.First, witness.OK, "")
	add(1, witness.Correct, witness.First, witness.Unknown, "spooled")
	add(1, witness.Correct, witness.First, witness.OK, "")
	add(1, witness.Correct, witness.Correction, witness.OK, "")
	add(2, witness.Leaves, witness.First, witness.Unknown, "spooled")
	add(3, witness.Wrong, witness.First, witness.Refused, "")
	add(4, witness.Keyless, witness.First, witness.OK, "")
	return lines
}

func keyOf(fill int) string { return fmt.Sprintf("witness-key-of-visitor-%d", fill) }

func idOf(fill int) uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceURL, []byte(keyOf(fill))) }

func phoneOf(fill int, step witness.Step) string {
	if step == witness.Correction {
		return fmt.Sprintf("+493091%05d", fill)
	}
	return fmt.Sprintf("+493090%05d", fill)
}

const (
	insertLead = `INSERT INTO lead (id, correlation_id, form, intent, node, dispatch_lease, stage, crm_state) VALUES ($1, '', 'demo', 'high', 1, now(), 'offered', 'confirmed')`
	insertRest = `WITH c AS (INSERT INTO contact (lead_id, email, phone) VALUES ($1, $2, $3)),
		o AS (INSERT INTO offer (lead_id, attempt, kind, pool, cause) VALUES ($1, 1, 'pool', 'open', 'first')),
		p AS (INSERT INTO payload (submission, data_key, wrapped, sealed) VALUES ($1, 1, '', ''))
		INSERT INTO delivery (lead_id, connection, kind, destination, state, written) VALUES ($1, 'crm', 'webhook', 'crm', 'delivered', 1)`
)

// world is the database and the CRM as those visitors should have left them.
func world(t *testing.T, tx pgx.Tx) (records []map[string]any) {
	t.Helper()
	for fill, phone := range map[int]string{
		0: phoneOf(0, witness.First), 1: phoneOf(1, witness.Correction), 2: phoneOf(2, witness.First), 4: phoneOf(4, witness.First),
	} {
		email := fmt.Sprintf("w%d@acme.example", fill)
		run(t, tx, insertLead, idOf(fill))
		run(t, tx, insertRest, idOf(fill), email, phone)
		if fill != 4 {
			run(t, tx, `INSERT INTO client_key (form, key, submission, fingerprint, digest) VALUES ('demo', $1, $2, '', '')`, keyOf(fill), idOf(fill))
		}
		records = append(records, record(idOf(fill).String(), email, phone))
	}
	return records
}

func record(id, email, phone string) map[string]any {
	return map[string]any{"external_id": id, "body": map[string]any{"lead": map[string]any{"email": email, "phone": phone}}}
}

func run(t *testing.T, tx pgx.Tx, sql string, args ...any) {
	t.Helper()
	if tag, err := tx.Exec(t.Context(), sql, args...); err != nil || tag.RowsAffected() == 0 {
		t.Fatalf("%s: %d rows, %v", sql, tag.RowsAffected(), err)
	}
}

// TestWitness_NoticesEveryDamage is what makes the witness worth believing: it is content with a sound world, and with none of the damaged
// ones.
func TestWitness_NoticesEveryDamage(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	stranger := uuid.MustParse("01900000-0000-7000-8000-000000000001")
	same := func(r []map[string]any) []map[string]any { return r }
	sql := func(text string, args ...any) func(*testing.T, pgx.Tx) {
		return func(t *testing.T, tx pgx.Tx) { run(t, tx, text, args...) }
	}
	untouched := func(*testing.T, pgx.Tx) {}
	for _, c := range []struct {
		name   string
		damage func(*testing.T, pgx.Tx)
		crm    func([]map[string]any) []map[string]any
		books  func([]witness.Line) []witness.Line
		want   []witness.Rule // one of these at least; none: content
	}{
		{name: "nothing", damage: untouched},
		{name: "a lead is gone", damage: sql(`DELETE FROM lead WHERE id = $1`, idOf(0)), want: []witness.Rule{witness.Lost}},
		{name: "a keyless lead is gone", damage: sql(`DELETE FROM lead WHERE id = $1`, idOf(4)), want: []witness.Rule{witness.Lost}},
		{name: "a spooled lead is gone", damage: sql(`DELETE FROM lead WHERE id = $1`, idOf(2)), want: []witness.Rule{witness.Lost}},
		{name: "its contact is gone", damage: sql(`DELETE FROM contact WHERE lead_id = $1`, idOf(0)), want: []witness.Rule{witness.Lost}},
		{name: "what was sent is gone", damage: sql(`DELETE FROM payload WHERE submission = $1`, idOf(1)), want: []witness.Rule{witness.Lost}},
		{name: "a lead is there twice", damage: func(t *testing.T, tx pgx.Tx) {
			run(t, tx, insertLead, stranger)
			run(t, tx, insertRest, stranger, "w0@acme.example", phoneOf(0, witness.First))
		}, want: []witness.Rule{witness.TwoLeads}},
		{name: "a lead nobody sent", damage: func(t *testing.T, tx pgx.Tx) {
			run(t, tx, insertLead, stranger)
			run(t, tx, insertRest, stranger, "nobody@acme.example", "+4930")
		}, want: []witness.Rule{witness.Invented}},
		{name: "a refused key is stored", damage: sql(`UPDATE client_key SET key = $2 WHERE key = $1`, keyOf(2), keyOf(3)), want: []witness.Rule{witness.Invented}},
		{name: "the old phone number is back", damage: sql(`UPDATE contact SET phone = $2 WHERE lead_id = $1`, idOf(1), phoneOf(1, witness.First)), want: []witness.Rule{witness.WrongAnswers}},
		{name: "another phone number", damage: sql(`UPDATE contact SET phone = '+49301' WHERE lead_id = $1`, idOf(0)), want: []witness.Rule{witness.WrongAnswers}},
		{name: "two leads changed places", damage: func(t *testing.T, tx pgx.Tx) {
			for _, step := range [][2]uuid.UUID{{idOf(0), stranger}, {idOf(2), idOf(0)}, {stranger, idOf(2)}} {
				run(t, tx, `UPDATE contact SET lead_id = $2 WHERE lead_id = $1`, step[0], step[1])
			}
		}, want: []witness.Rule{witness.WrongAnswers}},
		{name: "the key leads elsewhere", damage: sql(`UPDATE client_key SET submission = $2 WHERE key = $1`, keyOf(0), idOf(1)), want: []witness.Rule{witness.OtherAnswer}},
		{name: "the key is forgotten", damage: sql(`DELETE FROM client_key WHERE key = $1`, keyOf(0)), want: []witness.Rule{witness.OtherAnswer}},
		{name: "never dispatched", damage: sql(`UPDATE lead SET stage = 'new' WHERE id = $1`, idOf(0)), want: []witness.Rule{witness.Undispatched}},
		{name: "offered to nobody", damage: sql(`DELETE FROM offer WHERE lead_id = $1`, idOf(0)), want: []witness.Rule{witness.Undispatched}},
		{name: "still to be delivered", damage: sql(`UPDATE delivery SET wanted = 2 WHERE lead_id = $1`, idOf(0)), want: []witness.Rule{witness.Undelivered}},
		{name: "in quarantine", damage: sql(`UPDATE delivery SET state = 'quarantined' WHERE lead_id = $1`, idOf(0)), want: []witness.Rule{witness.Undelivered}},
		{name: "no delivery at all", damage: sql(`DELETE FROM delivery WHERE lead_id = $1`, idOf(0)), want: []witness.Rule{witness.Undelivered}},
		{name: "not in the CRM", damage: untouched, crm: func(r []map[string]any) []map[string]any { return r[1:] }, want: []witness.Rule{witness.CRMMissing}},
		{name: "twice in the CRM", damage: untouched, crm: func(r []map[string]any) []map[string]any { return append(r, r[0]) }, want: []witness.Rule{witness.CRMTwice}},
		{name: "the person twice in the CRM", damage: untouched, crm: func(r []map[string]any) []map[string]any {
			return append(r, record(stranger.String(), "w0@acme.example", phoneOf(0, witness.First)))
		}, want: []witness.Rule{witness.CRMTwice}},
		{name: "the CRM makes one up", damage: untouched, crm: func(r []map[string]any) []map[string]any {
			return append(r, record(stranger.String(), "else@acme.example", ""))
		}, want: []witness.Rule{witness.CRMInvented}},
		{name: "the CRM has the old phone number", damage: sql(`UPDATE contact SET phone = phone WHERE lead_id = $1`, idOf(1)), crm: func(r []map[string]any) []map[string]any {
			for i := range r {
				if r[i]["external_id"] == idOf(1).String() {
					r[i] = record(idOf(1).String(), "w1@acme.example", phoneOf(1, witness.First))
				}
			}
			return r
		}, want: []witness.Rule{witness.CRMWrong}},
		{name: "one key, two ids", damage: untouched, books: func(lines []witness.Line) []witness.Line {
			again := lines[3]
			again.ID = idOf(2).String()
			return append(lines, again)
		}, want: []witness.Rule{witness.OtherAnswer}},
		{name: "a client that gave up", damage: untouched, books: func(lines []witness.Line) []witness.Line { return slices.Delete(lines, 2, 4) }, want: []witness.Rule{witness.Unsettled}},
		{name: "a refusal for nothing", damage: untouched, books: func(lines []witness.Line) []witness.Line {
			lines[3].Class = witness.Refused
			return lines
		}, want: []witness.Rule{witness.Unsettled}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tx, err := db.Jobs.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(t.Context()) }()
			if c.crm == nil {
				c.crm = same
			}
			lines := books()
			if c.books != nil {
				lines = c.books(lines)
			}
			records := c.crm(world(t, tx))
			c.damage(t, tx)
			text, err := json.Marshal(records)
			if err != nil {
				t.Fatal(err)
			}
			var inCRM []witness.Record
			if err := json.Unmarshal(text, &inCRM); err != nil {
				t.Fatal(err)
			}
			seen, err := witness.Look(t.Context(), tx, inCRM)
			if err != nil {
				t.Fatal(err)
			}
			found, sum := witness.Compare(lines, seen)
			if len(c.want) == 0 {
				if len(found) > 0 || sum.Acked != 3 || sum.Refused != 1 || sum.Spooled != 1 || sum.Leads != 4 {
					t.Errorf("%+v %v", sum, found)
				}
				return
			}
			if !slices.ContainsFunc(found, func(v witness.Violation) bool { return slices.Contains(c.want, v.Rule) }) {
				t.Errorf("not noticed; found %v", found)
			}
			for _, v := range found {
				if v.Fill >= 0 && !strings.Contains(v.String(), "try ") {
					t.Errorf("without a timeline: %s", v)
				}
			}
		})
	}
}
