package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// How many anchors are read at once, and how many a webhook that was down gets in one round.
const (
	fileBatch    = 5000
	webhookBatch = 100
)

// deliver sends a destination what it lacks, in order, and gives the row of the newest anchor that it has.
func (a *Anchorer) deliver(ctx context.Context, d *destination, newest AnchorRecord) (int64, error) {
	last, err := d.last()
	if err != nil {
		return 0, err
	}
	if last, err = a.checkStands(ctx, d, last); err != nil {
		return last.Seq, err
	}
	if d.url != "" && last.Seq == 0 && newest.Seq > 0 {
		last.Seq = newest.Seq - 1 // a new receiver begins with the newest: that one vouches for all before it
	}
	batch := fileBatch
	if d.url != "" {
		batch = webhookBatch
	}
	for last.Seq < newest.Seq {
		rows, err := a.o.DB.Jobs.Query(ctx, standing+` WHERE n.seq > $1 ORDER BY n.seq LIMIT $2`, last.Seq, batch)
		if err != nil {
			return last.Seq, fmt.Errorf("read anchors: %w", err)
		}
		found, err := pgx.CollectRows(rows, scanAnchor)
		if err != nil || len(found) == 0 {
			return last.Seq, err
		}
		sent, err := a.send(ctx, d, found)
		if sent > 0 {
			last = found[sent-1]
		}
		if err != nil || d.url != "" {
			return last.Seq, err
		}
	}
	return last.Seq, nil
}

// checkStands finds out whether the row that a destination knows as the last anchored one is still the same. If not, the chain
// was cut or an older backup was restored: that is said loudly and marked at the destination, and anchoring goes on from the newest
// anchor that is older. The mark changes nothing of what the destination has: verification goes on naming it.
func (a *Anchorer) checkStands(ctx context.Context, d *destination, last AnchorRecord) (AnchorRecord, error) {
	if last.Seq == 0 {
		return last, nil
	}
	var hash []byte
	err := a.o.DB.Jobs.QueryRow(ctx, `SELECT hash FROM audit WHERE seq = $1`, last.Seq).Scan(&hash)
	if err == nil && bytes.Equal(hash, last.Hash) {
		return last, nil
	}
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return last, fmt.Errorf("compare the chain with its last anchor: %w", err)
	}
	to, err := a.one(ctx, standing+` WHERE n.seq < $1 AND n.at <= $2 ORDER BY n.seq DESC LIMIT 1`, last.Seq, last.At)
	if err != nil {
		return last, err
	}
	a.o.Log.Error("THE AUDIT CHAIN IS NOT WHAT WAS ANCHORED: rows are missing or changed, because an older backup was restored or somebody cut it; see docs/audit.md",
		"destination", d.name, "anchored_row", last.Seq, "agrees_to_row", to.Seq)
	line, err := restoredLine(last.Seq, to, a.o.Now())
	if err != nil {
		return last, fmt.Errorf("write a mark: %w", err)
	}
	if _, err := d.put(ctx, []int64{last.Seq}, [][]byte{line}); err != nil {
		return last, err
	}
	return to, nil
}

// send hands over anchors, each with the key that verifies it.
func (a *Anchorer) send(ctx context.Context, d *destination, anchors []AnchorRecord) (int, error) {
	seqs, lines := make([]int64, len(anchors)), make([][]byte, len(anchors))
	for i, record := range anchors {
		key, err := a.publicKey(ctx, record.KeyID)
		if err != nil {
			return 0, err
		}
		record.Public = key
		if lines[i], err = record.MarshalText(); err != nil {
			return 0, fmt.Errorf("write an anchor: %w", err)
		}
		seqs[i] = record.Seq
	}
	return d.put(ctx, seqs, lines)
}

func (a *Anchorer) publicKey(ctx context.Context, id int64) ([]byte, error) {
	a.mu.Lock()
	key, ok := a.public[id]
	a.mu.Unlock()
	if ok {
		return key, nil
	}
	key, err := a.o.PublicKey(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("find the key of an anchor: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.public[id] = key
	return key, nil
}
