package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/fault"
)

// lateAfter is how old an anchor in the table may be before it must be outside too.
const lateAfter = 5 * time.Minute

// anchorWalk compares anchors with the rows that pass by.
type anchorWalk struct {
	where   string // "in the table" or "in" and the name of the place outside
	anchors []AnchorRecord
	next    int
}

// skipTo leaves out what is anchored before the first row that is looked at.
func (w *anchorWalk) skipTo(seq int64) {
	for w.next < len(w.anchors) && w.anchors[w.next].Seq < seq {
		w.next++
	}
}

// reach takes the row with this number; anchors of rows that should have come before have none.
func (w *anchorWalk) reach(report *Report, seq int64, hash []byte) {
	for ; w.next < len(w.anchors) && w.anchors[w.next].Seq <= seq; w.next++ {
		a := w.anchors[w.next]
		if a.Seq < seq {
			report.add(a.Seq, "Row %d is anchored %s, but it is not there.", a.Seq, w.where)
		} else if !bytes.Equal(a.Hash, hash) {
			report.add(a.Seq, "Row %d is not the one that was anchored %s at %s: it, or a row before it, was changed.", a.Seq, w.where, a.At.Format(time.DateTime))
		}
	}
}

// finish says what was anchored beyond the last row of the chain, whatever the range is.
func (w *anchorWalk) finish(report *Report, last int64) {
	if len(w.anchors) == 0 {
		return
	}
	if a := w.anchors[len(w.anchors)-1]; a.Seq > last {
		report.add(last, "The chain was cut: it ends with row %d, but row %d was anchored %s at %s.", last, a.Seq, w.where, a.At.Format(time.DateTime))
	}
}

// keys remembers the keys that verify anchors.
type keys struct {
	lookup func(ctx context.Context, id int64) (ed25519.PublicKey, error)
	known  map[int64]ed25519.PublicKey
}

// key gives nil for a key that the database does not know.
func (k *keys) key(ctx context.Context, report *Report, id int64) (ed25519.PublicKey, error) {
	if key, ok := k.known[id]; ok {
		return key, nil
	}
	key, err := k.lookup(ctx, id)
	if fault.Is(err, fault.NotFound) {
		report.add(0, "Anchors are signed with key %d, which the database does not know.", id)
		key, err = nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up the key of an anchor: %w", err)
	}
	if k.known == nil {
		k.known = map[int64]ed25519.PublicKey{}
	}
	k.known[id] = key
	return key, nil
}

// readAnchors reads the anchors of the table and checks all there are: signatures, and whether inside and outside agree. Whether
// the rows agree with them shows when the rows are read.
func (v *verifier) readAnchors(ctx context.Context, tx pgx.Tx) error {
	table, err := v.tableAnchors(ctx, tx)
	if err != nil {
		return err
	}
	outsideOf := map[int64]AnchorRecord{} // one of those outside, for signatures that need no second look
	for _, o := range v.o.Outside {
		if err := v.checkOutside(ctx, o, table, outsideOf); err != nil {
			return err
		}
		v.walks = append(v.walks, anchorWalk{where: "in " + o.Name, anchors: o.Anchors})
	}
	for _, a := range table {
		if !v.inRange(a.Seq) {
			continue
		}
		if known, ok := outsideOf[a.Seq]; ok && known.same(a) {
			continue // its signature has been checked, or the finding is there
		}
		if err := v.checkSignature(ctx, a, "in the table"); err != nil {
			return err
		}
	}
	v.walks = append(v.walks, anchorWalk{where: "in the table", anchors: table})
	if v.report.LastAnchor.Seq == 0 && len(table) > 0 {
		v.report.LastAnchor = table[len(table)-1]
	}
	for i := range v.walks {
		v.walks[i].skipTo(v.o.From)
	}
	return nil
}

func (v *verifier) tableAnchors(ctx context.Context, tx pgx.Tx) ([]AnchorRecord, error) {
	rows, err := tx.Query(ctx, `SELECT seq, at, hash, key_id, signature FROM audit_anchor WHERE seq >= $1 ORDER BY seq`, v.o.From)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanAnchor)
}

func scanAnchor(row pgx.CollectableRow) (a AnchorRecord, err error) {
	err = row.Scan(&a.Seq, &a.At, &a.Hash, &a.KeyID, &a.Signature)
	return a, err
}

// inRange tells whether an anchor is about a row that is looked at, or beyond the chain, where it always counts.
func (v *verifier) inRange(seq int64) bool {
	return seq >= v.o.From && (v.o.To <= 0 || seq <= v.o.To || seq > v.headSeq)
}

func (v *verifier) checkSignature(ctx context.Context, a AnchorRecord, where string) error {
	v.report.Anchors++
	key, err := v.keys.key(ctx, &v.report, a.KeyID)
	if err != nil {
		return err
	}
	switch {
	case key == nil && a.Public == nil: // said once already
		return nil
	case key == nil:
		key = a.Public
	case a.Public != nil && !a.Public.Equal(key):
		v.report.add(a.Seq, "The anchor of row %d %s was signed with another key %d than the one in the database.", a.Seq, where, a.KeyID)
		key = a.Public
	}
	v.report.noteKey(a.KeyID, key)
	if !a.signedBy(key) {
		v.report.add(a.Seq, "The anchor of row %d %s has no valid signature.", a.Seq, where)
	}
	return nil
}

// checkOutside compares one place outside with the table.
func (v *verifier) checkOutside(ctx context.Context, o Outside, table []AnchorRecord, seen map[int64]AnchorRecord) error {
	if o.Missing {
		if len(table) > 0 {
			v.report.add(0, "There is no file %s, although heads were anchored: it was removed, or another one is meant.", o.Name)
		}
		return nil
	}
	v.report.Compared = true
	for _, problem := range o.Problems {
		v.report.add(0, "In %s, %s.", o.Name, problem)
	}
	for _, mark := range o.Restored {
		v.report.add(mark.To, "At %s the chain ended or differed below row %d, which had been anchored in %s; it agrees up to row %d. "+
			"An older backup was restored, or the chain was cut.", mark.Noticed.Format(time.DateTime), mark.Below, o.Name, mark.To)
	}
	if last := o.last(); last.Seq > v.report.LastAnchor.Seq {
		v.report.LastAnchor = last
	}
	for _, a := range o.Anchors {
		if !v.inRange(a.Seq) {
			continue
		}
		if known, ok := seen[a.Seq]; ok && known.same(a) && known.Public.Equal(a.Public) {
			continue
		}
		seen[a.Seq] = a
		if err := v.checkSignature(ctx, a, "in "+o.Name); err != nil {
			return err
		}
	}
	v.compare(o, table)
	return nil
}

// compare finds what is inside but not outside, and the other way round. What was anchored before the first record outside is
// not expected there: a receiver may have been added later.
func (v *verifier) compare(o Outside, table []AnchorRecord) {
	last := o.last().Seq
	i, late := 0, 0
	for _, inside := range table {
		for ; i < len(o.Anchors) && o.Anchors[i].Seq < inside.Seq; i++ {
			v.missingInside(o, o.Anchors[i].Seq)
		}
		matched := i < len(o.Anchors) && o.Anchors[i].Seq == inside.Seq
		switch {
		case matched && !o.Anchors[i].same(inside):
			v.report.add(inside.Seq, "The anchor of row %d in the table is not the one in %s.", inside.Seq, o.Name)
		case matched:
		case inside.Seq > last:
			if v.now.Sub(inside.At) > lateAfter {
				late++
			}
		case i > 0 && v.inRange(inside.Seq):
			v.report.add(inside.Seq, "The anchor of row %d in the table is not in %s.", inside.Seq, o.Name)
		}
		if matched {
			i++
		}
	}
	for ; i < len(o.Anchors); i++ {
		v.missingInside(o, o.Anchors[i].Seq)
	}
	if late > 0 {
		v.report.add(last, "%d anchors of rows after %d have not reached %s: it cannot be written, or its end was removed.", late, last, o.Name)
	}
}

func (v *verifier) missingInside(o Outside, seq int64) {
	if v.inRange(seq) {
		v.report.add(seq, "The anchor of row %d in %s is missing from the table.", seq, o.Name)
	}
}
