package audit_test

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/audit"
)

// tamperer is somebody who owns the database, but neither the signing key nor what is outside.
type tamperer struct {
	t    *testing.T
	tx   pgx.Tx
	r    *rand.Rand
	rows int64 // of the chain
	last int64 // the last anchored row
	evil ed25519.PrivateKey
}

func (x *tamperer) do(statement string, args ...any) {
	x.t.Helper()
	tag, err := x.tx.Exec(x.t.Context(), statement, args...)
	if err != nil {
		x.t.Fatalf("%s: %v", statement, err)
	}
	if tag.RowsAffected() == 0 && !strings.HasPrefix(statement, "SELECT") {
		x.t.Fatalf("%s %v changed nothing", statement, args)
	}
}

// any gives a random row.
func (x *tamperer) any() int64 { return 1 + x.r.Int64N(x.rows) }

// recompute makes the chain fit again from a row on, the noted end included.
const recompute = `CREATE FUNCTION pg_temp.recompute(first bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	r audit;
	p bytea := sha256('leadline audit chain 1');
	n bigint := first - 1;
BEGIN
	IF first > 1 THEN SELECT hash INTO STRICT p FROM audit WHERE seq = first - 1; END IF;
	FOR r IN SELECT * FROM audit WHERE seq >= first ORDER BY seq LOOP
		n := r.seq;
		r.hash := sha256(p || convert_to(netstring(r.seq::text) || netstring(to_char(r.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) ||
			netstring(r.actor_kind) || netstring(coalesce(r.actor::text, '')) || netstring(r.action) || netstring(r.object_kind) || netstring(r.object) ||
			netstring(r.detail) || netstring(r.correlation_id) || netstring(encode(r.note_digest, 'hex')), 'UTF8'));
		UPDATE audit SET prev = p, hash = r.hash WHERE seq = r.seq;
		p := r.hash;
	END LOOP;
	UPDATE audit_head SET seq = n, hash = p WHERE name = 'chain';
END $$`

// changes are what can be done to each column of a row, always to something that looks right.
var changes = []struct{ column, to string }{
	{"seq", `seq + 1000000`},
	{"at", `at + interval '1 microsecond'`},
	{"at", `at - interval '1 day'`},
	{"at", `'infinity'`},
	{"actor_kind", `CASE actor_kind WHEN 'person' THEN 'system' ELSE 'person' END`},
	{"actor", `gen_random_uuid()`},
	{"actor", `CASE WHEN actor IS NULL THEN gen_random_uuid() END`},
	{"action", `CASE action WHEN 'token.used' THEN 'session.ended' ELSE 'token.used' END`},
	{"object_kind", `CASE object_kind WHEN 'lead' THEN 'account' ELSE 'lead' END`},
	{"object", `object || 'x'`},
	{"detail", `'{"n":-1}'`},
	{"detail", `detail || ' '`},
	{"correlation_id", `correlation_id || '0'`},
	{"note", `coalesce(note, '') || '.'`},
	{"note_salt", `sha256(coalesce(note_salt, ''))`},
	{"note_digest", `sha256(note_digest)`},
	{"prev", `sha256(prev)`},
	{"hash", `sha256(hash)`},
}

// frauds are what else can be done. Each returns what it did.
var frauds = map[string]func(x *tamperer) string{
	"a row removed": func(x *tamperer) string {
		n := x.any()
		x.do(`DELETE FROM audit WHERE seq = $1`, n)
		return fmt.Sprint(n)
	},
	"rows removed and the rest renumbered": func(x *tamperer) string {
		n := 1 + x.r.Int64N(x.last)
		x.do(`DELETE FROM audit WHERE seq = $1`, n)
		x.shift(n, -1)
		x.do(`SELECT pg_temp.recompute($1)`, n)
		return fmt.Sprint(n)
	},
	"a row put in and the rest renumbered": func(x *tamperer) string {
		n := 1 + x.r.Int64N(x.last)
		x.shift(n-1, 1)
		x.do(`INSERT INTO audit SELECT $1::bigint, at, actor_kind, actor, action, object_kind, 'new', detail, correlation_id, note, note_salt, note_digest, prev, hash
			FROM audit WHERE seq = $1::bigint + 1`, n)
		x.do(`SELECT pg_temp.recompute($1)`, n)
		return fmt.Sprint(n)
	},
	"two rows swapped": func(x *tamperer) string {
		a, b := x.any(), x.any()
		if a == b {
			b = a%x.rows + 1
		}
		x.swap(a, b)
		return fmt.Sprint(a, b)
	},
	"neighbours swapped, hashes made to fit": func(x *tamperer) string {
		n := 1 + x.r.Int64N(x.last)
		b := n%x.rows + 1
		x.swap(n, b)
		x.do(`SELECT pg_temp.recompute($1)`, min(n, b))
		return fmt.Sprint(n, b)
	},
	"the end cut off": func(x *tamperer) string {
		n := x.cut()
		return fmt.Sprint("after ", n)
	},
	"the end cut off with its anchors": func(x *tamperer) string {
		n := x.cut()
		x.do(`DELETE FROM audit_anchor WHERE seq > $1`, n)
		return fmt.Sprint("after ", n)
	},
	"the end cut off and written anew": func(x *tamperer) string {
		n := x.cut()
		x.do(`DELETE FROM audit_anchor WHERE seq > $1`, n)
		for i := n; i < x.last+x.r.Int64N(4); i += 500 {
			x.do(`SELECT append_audit('system', NULL, 'token.used', '', '', '{}', '', '') FROM generate_series(1, $1::bigint)`, min(500, x.last+3-i))
		}
		return fmt.Sprint("after ", n)
	},
	"the whole chain removed": func(x *tamperer) string {
		x.do(`DELETE FROM audit`)
		x.do(`DELETE FROM audit_anchor`)
		x.do(`UPDATE audit_head SET seq = 0, hash = sha256('leadline audit chain 1')`)
		return ""
	},
	"the last rows written anew": func(x *tamperer) string {
		n := max(1, x.last-x.r.Int64N(20))
		x.rewrite(n)
		return fmt.Sprint("from ", n)
	},
	"the last rows written anew, anchors removed": func(x *tamperer) string {
		n := max(1, x.last-x.r.Int64N(20))
		x.rewrite(n)
		x.do(`DELETE FROM audit_anchor WHERE seq >= $1`, n)
		return fmt.Sprint("from ", n)
	},
	"the last rows written anew, anchors signed by another key": func(x *tamperer) string {
		n := max(1, x.last-x.r.Int64N(20))
		x.rewrite(n)
		x.resign(n)
		return fmt.Sprint("from ", n)
	},
	"the whole chain written anew, anchors signed by another key that takes the place of the first": func(x *tamperer) string {
		n := 1 + x.r.Int64N(min(20, x.last))
		x.rewrite(n)
		x.resign(n)
		x.do(`UPDATE data_key SET public = $1 WHERE purpose = 'audit'`, []byte(x.evil.Public().(ed25519.PublicKey)))
		return fmt.Sprint("from ", n)
	},
	"an anchor removed": func(x *tamperer) string {
		x.do(`DELETE FROM audit_anchor WHERE seq = (SELECT seq FROM audit_anchor ORDER BY random() LIMIT 1)`)
		return ""
	},
	"all anchors removed": func(x *tamperer) string {
		x.do(`DELETE FROM audit_anchor`)
		return ""
	},
	"an anchor changed": func(x *tamperer) string {
		to := []string{`seq = seq - 1`, `at = at - interval '1 s'`, `hash = sha256(hash)`, `key_id = key_id + 1`, `signature = signature || '\x00'`, `signature = ''`}[x.r.IntN(6)]
		x.do(`UPDATE audit_anchor SET ` + to + ` WHERE seq = (SELECT seq FROM audit_anchor ORDER BY random() LIMIT 1)`)
		return to
	},
	"an anchor invented": func(x *tamperer) string {
		n := x.last - 1
		x.do(`INSERT INTO audit_anchor SELECT a.seq, n.at, a.hash, n.key_id, n.signature FROM audit_anchor n, audit a WHERE n.seq = $1 AND a.seq = $2::bigint`, x.last, n)
		return fmt.Sprint(n)
	},
	"the key removed": func(x *tamperer) string {
		x.do(`DELETE FROM data_key`)
		return ""
	},
	"the end noted elsewhere": func(x *tamperer) string {
		to := []string{`seq = seq - 1`, `seq = seq + 1`, `hash = sha256(hash)`, `name = 'other', seq = seq - 1`}[x.r.IntN(4)]
		x.do(`UPDATE audit_head SET ` + to)
		return to
	},
	"the noted end removed": func(x *tamperer) string {
		x.do(`DELETE FROM audit_head`)
		return ""
	},
	"a note taken away": func(x *tamperer) string {
		x.do(`UPDATE audit SET note = NULL, note_salt = NULL WHERE seq = (SELECT seq FROM audit WHERE note <> '' ORDER BY random() LIMIT 1)`)
		return ""
	},
	"an erasure that lists more": func(x *tamperer) string {
		x.do(`UPDATE audit SET detail = '{"redacted":[2,3,4,5,6,7,8,9,10]}' WHERE action = 'person.erased'`)
		x.do(`UPDATE audit SET note = NULL, note_salt = NULL WHERE seq = 4`)
		return ""
	},
}

func (x *tamperer) shift(after, by int64) {
	x.do(`UPDATE audit SET seq = -seq WHERE seq > $1`, after)
	x.do(`UPDATE audit SET seq = -seq + $1 WHERE seq < 0`, by)
}

func (x *tamperer) swap(a, b int64) {
	for _, move := range [][2]int64{{a, -1}, {b, a}, {-1, b}} {
		x.do(`UPDATE audit SET seq = $2 WHERE seq = $1`, move[0], move[1])
	}
}

// cut removes rows from the end, at least one that was anchored, and notes the new end properly.
func (x *tamperer) cut() int64 {
	n := x.last - 1 - x.r.Int64N(min(50, x.last-1))
	x.do(`DELETE FROM audit WHERE seq > $1`, n)
	x.do(`UPDATE audit_head SET (seq, hash) = (SELECT seq, hash FROM audit WHERE seq = $1)`, n)
	return n
}

func (x *tamperer) rewrite(from int64) {
	x.do(`UPDATE audit SET object = 'somebody else' WHERE seq = $1`, from)
	x.do(`SELECT pg_temp.recompute($1)`, from)
}

// resign makes the anchors from a row on fit the new hashes, with a key of the tamperer's own.
func (x *tamperer) resign(from int64) {
	rows, err := x.tx.Query(x.t.Context(), `SELECT n.seq, n.at, a.hash FROM audit_anchor n JOIN audit a USING (seq) WHERE seq >= $1`, from)
	must(x.t, err)
	type anchor struct {
		Seq  int64
		At   time.Time
		Hash []byte
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[anchor])
	must(x.t, err)
	for _, a := range all {
		m := "leadline audit head 1"
		for _, part := range []string{fmt.Sprint(a.Seq), hex.EncodeToString(a.Hash), a.At.Format("2006-01-02T15:04:05.000000Z")} {
			m += fmt.Sprintf("%d:%s,", len(part), part)
		}
		x.do(`UPDATE audit_anchor SET hash = $2, signature = $3 WHERE seq = $1`, a.Seq, a.Hash, ed25519.Sign(x.evil, []byte(m)))
	}
}

// TestVerify_FindsAnyTampering changes, removes, reorders and cuts rows at random, each time in a transaction that is rolled back.
func TestVerify_FindsAnyTampering(t *testing.T) {
	t.Parallel()
	rows, each := 2_000, 6
	if full() {
		rows, each = 100_000, 4
	}
	o := open(t)
	a := o.anchorer()
	began := time.Now()
	for range 20 {
		o.rows(rows / 20)
		o.pass(time.Minute)
		if o.append(audit.Entry{Action: audit.KeyUsed}) == int64(rows/20+1) {
			o.erase(audit.PersonErased, 2, 10, 11)
		}
		a.Round(t.Context(), false)
	}
	t.Logf("%d rows were written in %v", rows, time.Since(began))
	before := o.verified()
	options := o.options()
	if before.Anchors != 20 || before.Erased != 3 {
		t.Fatalf("%d anchors, %d erased notes", before.Anchors, before.Erased)
	}
	began = time.Now()
	o.verified()
	t.Logf("%d rows were verified in %v", before.Rows, time.Since(began))

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	x := &tamperer{
		t: t, r: rand.New(rand.NewPCG(seed, 1)), rows: before.Rows, last: before.LastAnchor.Seq,
		evil: ed25519.NewKeyFromSeed([]byte(strings.Repeat("e", ed25519.SeedSize))),
	}
	done := 0
	try := func(name string, fraud func(*tamperer) string) {
		conn, err := o.db.Connect(t.Context(), "tamperer")
		must(t, err)
		defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
		_, err = conn.Exec(t.Context(), recompute)
		must(t, err)
		for range each {
			x.tx, err = conn.Begin(t.Context())
			must(t, err)
			x.do(`SELECT set_config('session_replication_role', 'replica', true)`) // no trigger stands in the way of an owner
			did := fraud(x)
			// The public key is looked up where the tamperer has changed it.
			options.PublicKey = keyIn(x.tx)
			report, err := audit.VerifyIn(t.Context(), x.tx, options)
			must(t, err)
			if report.OK() {
				t.Errorf("%s (%s) was not found", name, did)
			}
			must(t, x.tx.Rollback(t.Context()))
			done++
		}
	}
	for _, c := range changes {
		try(c.column+" changed to "+c.to, func(x *tamperer) string {
			n := x.any()
			x.do(`UPDATE audit SET `+c.column+` = `+c.to+` WHERE seq = $1`, n)
			return fmt.Sprint("row ", n)
		})
		if c.column == "prev" || c.column == "hash" || c.to == `'infinity'` {
			continue
		}
		try(c.column+" changed to "+c.to+", its hash made to fit", func(x *tamperer) string {
			n := 1 + x.r.Int64N(x.last-1)
			x.do(`UPDATE audit SET `+c.column+` = `+c.to+` WHERE seq = $1`, n)
			x.do(`UPDATE audit SET hash = sha256(prev || convert_to(netstring(seq::text) || netstring(to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) ||
				netstring(actor_kind) || netstring(coalesce(actor::text, '')) || netstring(action) || netstring(object_kind) || netstring(object) || netstring(detail) ||
				netstring(correlation_id) || netstring(encode(note_digest, 'hex')), 'UTF8')) WHERE seq = ANY(ARRAY[$1, $1 + 1000000])`, n)
			return fmt.Sprint("row ", n)
		})
	}
	for name, fraud := range frauds {
		try(name, fraud)
	}
	t.Logf("%d tamperings", done)
	o.verified() // nothing of all this stayed
}

// keyIn reads the public key inside a transaction; while rows are being read it was asked before.
func keyIn(tx pgx.Tx) func(context.Context, int64) (ed25519.PublicKey, error) {
	return func(ctx context.Context, id int64) (ed25519.PublicKey, error) {
		return audit.PublicKeyFrom(ctx, tx, id)
	}
}
