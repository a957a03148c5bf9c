package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"leadline/internal/postgres"
)

// Options say what to verify and against what.
type Options struct {
	From, To int64     // rows; zero: from the first, to the last
	Outside  []Outside // what was anchored outside; without any, an end that was cut off cannot be seen
	// PublicKey gives the key that verifies anchors signed with a key id; an error that is a NotFound fault becomes a finding.
	PublicKey func(ctx context.Context, id int64) (ed25519.PublicKey, error)
	// Erased tells whether an erasure is on the list outside the database: whoever owns the database could invent one to take words out
	// of the chain. Nil: there is no list to compare with.
	Erased func(id uuid.UUID) bool
}

// Finding is something that is wrong. Seq is the row it is about; 0: the whole.
type Finding struct {
	Seq  int64
	Text string // a sentence
}

func (f Finding) String() string { return f.Text }

// Key is a key that signed anchors.
type Key struct {
	ID     int64
	Public ed25519.PublicKey
}

// Report is what a verification found.
type Report struct {
	From, To   int64 // the rows that were looked at; To is 0 when there are none
	Rows       int64
	Head       int64 // the last row's number, whether or not it was looked at
	HeadHash   []byte
	Erased     int64        // notes that were erased, as a later row says
	Anchors    int          // signed heads that were checked, those in the table and those outside, each once
	LastAnchor AnchorRecord // the newest one, the outside ones first; zero without any
	Compared   bool         // there was something outside to compare with
	Keys       []Key        // that signed them; compare their fingerprints with what was noted elsewhere
	Findings   []Finding    // in the order in which they were found, maxFindings at most
	More       int          // findings beyond those
}

// OK tells whether nothing is wrong.
func (r *Report) OK() bool { return len(r.Findings) == 0 }

func (r *Report) noteKey(id int64, key ed25519.PublicKey) {
	for _, k := range r.Keys {
		if k.ID == id && k.Public.Equal(key) {
			return
		}
	}
	r.Keys = append(r.Keys, Key{ID: id, Public: key})
}

const maxFindings = 1000

func (r *Report) add(seq int64, format string, args ...any) {
	if len(r.Findings) == maxFindings {
		r.More++
		return
	}
	r.Findings = append(r.Findings, Finding{Seq: seq, Text: fmt.Sprintf(format, args...)})
}

// Verify reads the chain in one snapshot and recomputes it: numbers without a gap, each hash, each link, times, notes, the end, and
// every anchor with its signature. It goes on after a finding, so that one report shows all. An error means that it could not look;
// what is wrong with the chain is in the report. Memory does not grow with the chain, only with the anchors.
func Verify(ctx context.Context, db *postgres.DB, o Options) (Report, error) {
	tx, err := db.Jobs.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return Report{}, fmt.Errorf("verify the audit chain: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // it only read
	return verify(ctx, tx, o)
}

func verify(ctx context.Context, tx pgx.Tx, o Options) (Report, error) {
	v := verifier{o: o, keys: keys{lookup: o.PublicKey}}
	for _, step := range []func(context.Context, pgx.Tx) error{v.begin, v.readErasures, v.readAnchors, v.walk, v.end} {
		if err := step(ctx, tx); err != nil {
			return v.report, fmt.Errorf("verify the audit chain: %w", err)
		}
	}
	return v.report, nil
}

// verifier is one verification on its way along the chain.
type verifier struct {
	o      Options
	report Report
	keys   keys
	now    time.Time // the database's

	headSeq  int64 // as audit_head says
	headHash []byte
	headRows int

	erased map[int64]int64 // row whose note was erased, to the last row that says so
	walks  []anchorWalk    // the anchors of the table first, then those of each place outside

	buf      []byte
	expected int64     // the number of the next row
	prev     []byte    // hash of the row before; nil: not known, because it is missing
	at       time.Time // of the row before
}

// begin notes where the chain should end.
func (v *verifier) begin(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `SET LOCAL statement_timeout = 0`); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT seq, hash, clock_timestamp() FROM audit_head`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		v.headRows++
		if err := rows.Scan(&v.headSeq, &v.headHash, &v.now); err != nil {
			return err
		}
	}
	if rows.Err() != nil {
		return rows.Err()
	}
	if v.headRows != 1 {
		v.report.add(0, "The chain's end is noted %d times instead of once.", v.headRows)
	}
	return nil
}

// readErasures collects which notes were erased, according to the chain itself.
func (v *verifier) readErasures(ctx context.Context, tx pgx.Tx) error {
	v.erased = map[int64]int64{}
	rows, err := tx.Query(ctx, `SELECT seq, object, at > clock_timestamp() - interval '5 minutes', detail FROM audit WHERE action = ANY($1) ORDER BY seq`, []string{string(PersonErased), string(ErasureRepeated)})
	if err != nil {
		return err
	}
	var (
		seq            int64
		object, detail *string
		recent         *bool // the list on this machine may not know of it yet
	)
	_, err = pgx.ForEachRow(rows, []any{&seq, &object, &recent, &detail}, func() error {
		if v.o.Erased != nil && (recent == nil || !*recent) && !v.listed(object) {
			v.report.add(seq, "Row %d says that a person was erased, but the erasure list does not know of it.", seq)
		}
		redacted, ok := redactedBy(detail)
		if !ok {
			v.report.add(seq, "Row %d says that a person was erased, in details that cannot be read.", seq)
		}
		for _, row := range redacted {
			v.erased[row] = seq
		}
		return nil
	})
	return err
}

// listed tells whether the erasure that a row names is on the list outside.
func (v *verifier) listed(object *string) bool {
	if object == nil {
		return false
	}
	id, err := uuid.Parse(*object)
	return err == nil && v.o.Erased(id)
}

// redactedBy reads which rows lost their note, from the details of an erasure.
func redactedBy(detail *string) ([]int64, bool) {
	var told struct {
		Redacted []int64 `json:"redacted"`
	}
	ok := detail != nil && json.Unmarshal([]byte(*detail), &told) == nil
	return told.Redacted, ok
}

// walk goes along the rows.
func (v *verifier) walk(ctx context.Context, tx pgx.Tx) error {
	from, to := max(v.o.From, 1), v.o.To
	if to <= 0 {
		to = 1<<63 - 1
	}
	v.report.From, v.expected, v.prev = from, from, genesis[:]
	if from > 1 {
		v.prev = nil
		var at pgtype.Timestamptz
		err := tx.QueryRow(ctx, `SELECT hash, at FROM audit WHERE seq = $1`, from-1).Scan(&v.prev, &at)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		v.at = at.Time
	}
	rows, err := tx.Query(ctx, `SELECT `+rowColumns+` FROM audit WHERE seq BETWEEN $1 AND $2 ORDER BY seq`, from, to)
	if err != nil {
		return err
	}
	defer rows.Close()
	var r row
	for into := r.into(); rows.Next(); {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		v.row(&r)
	}
	return rows.Err()
}

// row checks one row against itself and against the one before.
func (v *verifier) row(r *row) {
	v.report.Rows++
	v.report.To = r.seq
	switch {
	case r.seq < v.expected:
		v.report.add(r.seq, "Row %d is there more than once.", r.seq)
	case r.seq == v.expected+1:
		v.report.add(v.expected, "Row %d is missing.", v.expected)
		v.prev = nil
	case r.seq > v.expected:
		v.report.add(v.expected, "Rows %d to %d are missing.", v.expected, r.seq-1)
		v.prev = nil
	case !bytes.Equal(r.prev, v.prev) && v.prev != nil:
		v.report.add(r.seq, "Row %d does not continue the row before it.", r.seq)
	}
	if !r.whole() {
		v.report.add(r.seq, "Row %d lacks a part that every row has.", r.seq)
	} else {
		v.content(r)
	}
	for i := range v.walks {
		v.walks[i].reach(&v.report, r.seq, r.hash)
	}
	v.expected = r.seq + 1
	v.prev = append(v.prev[:0:0], r.hash...)
}

func (v *verifier) content(r *row) {
	var sum [sha256.Size]byte
	if sum, v.buf = r.sum(v.buf); !bytes.Equal(sum[:], r.hash) {
		v.report.add(r.seq, "Row %d was changed: its hash is not that of its content.", r.seq)
	}
	if r.at.Time.Before(v.at) {
		v.report.add(r.seq, "Row %d is older than the row before it.", r.seq)
	}
	v.at = r.at.Time
	by, told := v.erased[r.seq]
	told = told && by > r.seq
	switch {
	case !r.note.Valid && r.salt == nil && told:
		v.report.Erased++
	case !r.note.Valid && r.salt == nil:
		v.report.add(r.seq, "The note of row %d was removed, but no later row says that a person was erased.", r.seq)
	case !r.note.Valid || r.salt == nil:
		v.report.add(r.seq, "The note of row %d was removed by halves.", r.seq)
	case !r.noteFits():
		v.report.add(r.seq, "The note of row %d was changed.", r.seq)
	case told && r.note.String != "":
		v.report.add(r.seq, "The note of row %d is there, although row %d says that it was erased.", r.seq, by)
	}
}

// end compares where the chain ends with where it should.
func (v *verifier) end(ctx context.Context, tx pgx.Tx) error {
	last, hash := int64(0), genesis[:]
	err := tx.QueryRow(ctx, `SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1`).Scan(&last, &hash)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	v.report.Head, v.report.HeadHash = last, hash
	if v.headRows == 1 && (v.headSeq != last || !bytes.Equal(v.headHash, hash)) {
		v.report.add(last, "The chain ends with row %d, but its end is noted as row %d with another hash or number.", last, v.headSeq)
	}
	to := v.o.To
	if to <= 0 || to > last {
		to = last
	}
	if missing := to - v.expected + 1; missing > 0 { // rows at the end of the range that the index does not give
		v.report.add(v.expected, "Rows %d to %d are missing.", v.expected, to)
	}
	for i := range v.walks {
		v.walks[i].finish(&v.report, last)
	}
	return nil
}
