package audit_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"leadline/internal/audit"
	"leadline/internal/postgres"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func TestVerify_UntouchedChainsPass(t *testing.T) {
	t.Parallel()
	o := open(t)
	if r := o.verified(); r.Rows != 0 || r.Head != 0 {
		t.Errorf("an empty chain: %+v", r)
	}
	who := uuid.New()
	for _, e := range []audit.Entry{
		{},
		{ActorKind: audit.Person, Actor: &who, Action: audit.ContactRevealed, ObjectKind: "lead", Object: "x", Note: "zurückrufen ✆ 10:30, : und ,"},
		{ActorKind: audit.Command, Action: audit.Published, Detail: map[string]any{"hash": "ab<>&\u2028", "n": 1.5}},
		{ActorKind: audit.Visitor, Action: audit.SignInRefused, Note: "nul \x00 and bad \xff bytes", Object: "\xff", CorrelationID: "c-1"},
	} {
		o.append(e)
	}
	o.rows(300)
	o.erase(audit.PersonErased, 2, 10)
	o.erase(audit.ErasureRepeated, 2, 10, 11, 20)
	a := o.anchorer()
	a.Round(t.Context(), false)
	o.append(audit.Entry{Action: audit.SignedIn})
	r := o.verified()
	if r.Rows != 307 || r.Head != 307 || r.Anchors != 1 || r.LastAnchor.Seq != 306 || r.Erased != 4 || !r.Compared {
		t.Errorf("report: %d rows, head %d, %d anchors, the last at %d, %d erased, compared %v", r.Rows, r.Head, r.Anchors, r.LastAnchor.Seq, r.Erased, r.Compared)
	}
	for _, part := range [][2]int64{{1, 10}, {100, 200}, {300, 0}, {0, 5}, {307, 307}, {306, 400}, {400, 500}} {
		options := o.options()
		options.From, options.To = part[0], part[1]
		r, err := audit.Verify(t.Context(), o.db, options)
		must(t, err)
		if !r.OK() {
			t.Errorf("rows %v: %v", part, r.Findings)
		}
	}
}

func TestVerify_NotesMayOnlyBeErasedWithARowThatSaysSo(t *testing.T) {
	t.Parallel()
	o := open(t)
	o.rows(10)
	_, err := o.db.Jobs.Exec(t.Context(), `UPDATE audit SET note = NULL, note_salt = NULL WHERE seq = 4`)
	must(t, err)
	if r := o.verify(); !finds(r, "The note of row 4 was removed, but no later row") {
		t.Errorf("findings: %v", r.Findings)
	}
	o.append(audit.Entry{Action: audit.PersonErased, Detail: map[string]any{"redacted": []int64{4, 6}}})
	if r := o.verify(); len(r.Findings) != 1 || !finds(r, "The note of row 6 is there, although row 11") {
		t.Errorf("findings: %v", r.Findings)
	}
	// A row cannot excuse a later one.
	o.rows(10)
	_, err = o.db.Jobs.Exec(t.Context(), `UPDATE audit SET note = NULL, note_salt = NULL WHERE seq IN (6, 13)`)
	must(t, err)
	o.append(audit.Entry{Action: audit.PersonErased, Detail: map[string]any{"redacted": []int64{22, 23}}})
	_, err = o.db.Jobs.Exec(t.Context(), `UPDATE audit SET note = NULL, note_salt = NULL WHERE seq = 22`)
	must(t, err)
	if r := o.verify(); len(r.Findings) != 2 || !finds(r, "note of row 13") || !finds(r, "note of row 22") {
		t.Errorf("findings: %v", r.Findings)
	}
}

func TestChain_RefusesToBeChanged(t *testing.T) {
	t.Parallel()
	o := open(t)
	o.rows(3)
	for _, statement := range []string{
		`UPDATE audit SET object = 'other' WHERE seq = 2`, `DELETE FROM audit WHERE seq = 3`, `TRUNCATE audit`,
		`UPDATE audit SET note = 'other' WHERE seq = 2`, `UPDATE audit SET actor = NULL, note = NULL, note_salt = NULL WHERE seq = 1`,
	} {
		if _, err := o.db.Jobs.Exec(t.Context(), statement); err == nil {
			t.Errorf("%s was carried out", statement)
		}
	}
	o.verified()
}

func TestAppend_NoRowNoEffect(t *testing.T) {
	t.Parallel()
	o := open(t)
	bad := audit.Entry{ActorKind: "nobody", Action: audit.AccountAdded} // the table knows no such actor
	err := o.db.Gorm.WithContext(t.Context()).Transaction(func(tx *gorm.DB) error {
		must(t, tx.Exec(`INSERT INTO account (id, email) VALUES (gen_random_uuid(), 'a@example.com')`).Error)
		_, err := audit.Append(t.Context(), tx, bad)
		return err
	})
	if err == nil {
		t.Error("an entry without a proper actor was written")
	}
	err = postgres.InTx(t.Context(), o.db.Jobs, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO account (id, email) VALUES (gen_random_uuid(), 'b@example.com')`)
		must(t, err)
		_, err = audit.AppendTx(t.Context(), tx, bad)
		return err
	})
	if err == nil {
		t.Error("an entry without a proper actor was written")
	}
	// The other way round: an effect that fails leaves no row.
	refused := errors.New("refused")
	err = postgres.InTx(t.Context(), o.db.Jobs, func(tx pgx.Tx) error {
		_, err := audit.AppendTx(t.Context(), tx, audit.Entry{Action: audit.AccountAdded})
		must(t, err)
		return refused
	})
	if !errors.Is(err, refused) {
		t.Error(err)
	}
	var accounts, rows int
	must(t, o.db.Jobs.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM audit)`).Scan(&accounts, &rows))
	if accounts != 0 || rows != 0 {
		t.Errorf("%d accounts and %d rows are there", accounts, rows)
	}
	o.append(audit.Entry{Action: audit.SignedIn})
	o.verified()
}

func TestAppend_ManyAtOnceMakeOneGaplessChain(t *testing.T) {
	t.Parallel()
	o := open(t)
	const writers, each = 8, 40
	var running sync.WaitGroup
	failed := make(chan error, writers*each)
	for w := range writers {
		running.Go(func() {
			for i := range each {
				failed <- postgres.InTx(context.Background(), o.db.Console, func(tx pgx.Tx) error {
					_, err := audit.AppendTx(context.Background(), tx, audit.Entry{Action: audit.TokenUsed, Object: fmt.Sprint(w, i), Note: "n"})
					if err == nil && i%7 == 3 {
						return errGivenUp
					}
					return err
				})
			}
		})
	}
	running.Wait()
	close(failed)
	want := int64(0)
	for err := range failed {
		if err == nil {
			want++
		} else if !errors.Is(err, errGivenUp) {
			t.Error(err)
		}
	}
	if r := o.verified(); r.Rows != want || r.Head != want {
		t.Errorf("%d rows up to %d, %d were written", r.Rows, r.Head, want)
	}
}

var errGivenUp = errors.New("given up")

func TestVerify_SeesWhatIsMissingOutside(t *testing.T) {
	t.Parallel()
	o := open(t)
	o.rows(5)
	o.anchorer().Round(t.Context(), false)
	must(t, removeFile(o.file))
	if r := o.verify(); !finds(r, "There is no file") || r.Compared {
		t.Errorf("findings: %v", r.Findings)
	}
	must(t, writeFile(o.file, ""))
	_, err := o.db.Jobs.Exec(t.Context(), `UPDATE audit_anchor SET at = at - interval '1 hour'`)
	must(t, err)
	if r := o.verify(); !finds(r, "have not reached") {
		t.Errorf("findings: %v", r.Findings)
	}
}
