package spool

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"leadline/internal/keyring"
)

// drainWidth is how many records are on their way at once when all goes well.
const drainWidth = 32

// patience is how many steps in a row may be refused before the rest waits for the next time: a few records may stand in the way of what
// their senders try at this moment, and must not hold up those behind them.
const patience = 16

// ErrHopeless is what Drain's function returns for a record that can never be stored: it is kept aside, and the others go on.
var ErrHopeless = errors.New("this record can never be stored")

// errAllRefused says that going on is of no use now.
var errAllRefused = errors.New("nothing of the spool can be stored now")

// Record is what Append was given.
type Record struct {
	ID    uuid.UUID
	Plain []byte
}

// Drain gives every record that waits to store, in the order they came and several at a time, and removes a segment once all of it is
// stored. store says for each what became of it: one that it refuses stays and is given again next time, which what it stored is not; the
// first such error is returned. It stops where store refuses one after the other. Records appended meanwhile are drained with the next call.
//
// Whoever stores for others first waits for them, so Drain is careful: one record at a time after a refusal, twice as many after each
// step without one.
func (s *Spool) Drain(ctx context.Context, store func(context.Context, []Record) []error) error {
	s.mu.Lock()
	if s.active != nil && s.active.size > int64(len(magic)) {
		s.retire()
	}
	s.mu.Unlock()
	names, err := s.segments()
	if err != nil {
		return err
	}
	var refused error
	for _, name := range names {
		err := s.drain(ctx, filepath.Join(s.o.Dir, name), store)
		if refused == nil {
			refused = err
		}
		if errors.Is(err, errAllRefused) || ctx.Err() != nil {
			break
		}
	}
	return errors.Join(refused, s.count())
}

// drain empties one segment, unless a living process writes to it or drains it.
func (s *Spool) drain(ctx context.Context, name string, store func(context.Context, []Record) []error) error {
	file, err := os.Open(filepath.Clean(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open a segment of the spool: %w", err)
	}
	defer func() { _ = file.Close() }()
	if lock(file) != nil {
		return nil // somebody else's; they look after it
	}
	if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
		return nil // drained by another process between our opening and our lock
	}
	if s.stored[filepath.Base(name)] == nil {
		s.stored[filepath.Base(name)] = map[uuid.UUID]bool{}
	}
	hopeless, err := s.storeAll(ctx, file, s.stored[filepath.Base(name)], store)
	switch {
	case errors.Is(err, errDamaged), err == nil && hopeless > 0:
		s.o.Log.ErrorContext(ctx, "a segment of the spool could not be stored in full and is kept for a person to look at", "file", filepath.Base(name)+damagedSuffix,
			"records", hopeless, "damaged", err != nil)
		if err := os.Rename(name, name+damagedSuffix); err != nil {
			return fmt.Errorf("keep a damaged segment of the spool: %w", err)
		}
		delete(s.stored, filepath.Base(name))
	case err != nil:
		return err
	default:
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("remove a stored segment of the spool: %w", err)
		}
		delete(s.stored, filepath.Base(name))
	}
	if err := syncDir(s.o.Dir); err != nil {
		return fmt.Errorf("sync the spool's directory: %w", err)
	}
	return nil
}

// storeAll gives the records of a segment to store, except those that it has stored before.
func (s *Spool) storeAll(
	ctx context.Context, file *os.File, stored map[uuid.UUID]bool, store func(context.Context, []Record) []error,
) (hopeless int, err error) {
	r := bufio.NewReaderSize(file, 64<<10)
	if err := begin(r); err != nil {
		if errors.Is(err, io.EOF) {
			return 0, nil
		}
		return 0, err
	}
	var refused, end error
	inVain := 0 // refusals since something was stored
	for end == nil {
		batch := make([]record, 0, s.width)
		for len(batch) < s.width && end == nil {
			var rec record
			if rec, end = next(r); end == nil && !stored[rec.id] {
				batch = append(batch, rec)
			}
		}
		result := s.storeBatch(ctx, batch, store)
		hopeless += result.hopeless
		for _, id := range result.stored {
			stored[id] = true
		}
		s.width = min(2*s.width, drainWidth)
		if result.refused != nil {
			s.width = 1
			refused = cmp.Or(refused, result.refused)
			inVain++
		}
		if len(result.stored) > 0 {
			inVain = 0
		}
		if inVain > patience {
			return hopeless, fmt.Errorf("%w: %w", errAllRefused, result.refused)
		}
	}
	if refused != nil || errors.Is(end, io.EOF) {
		return hopeless, refused
	}
	return hopeless, end
}

// batchResult says what became of some records; refused is the first error of those that stay.
type batchResult struct {
	stored   []uuid.UUID
	hopeless int
	refused  error
}

func (s *Spool) storeBatch(ctx context.Context, batch []record, store func(context.Context, []Record) []error) (result batchResult) {
	opened := make([]Record, 0, len(batch))
	for _, rec := range batch {
		plain, err := s.o.Open(ctx, rec.envelope, aad(rec.id))
		switch {
		case errors.Is(err, keyring.ErrDamaged):
			s.giveUp(ctx, rec.id, err)
			result.hopeless++
		case err != nil:
			result.refused = cmp.Or(result.refused, fmt.Errorf("open a record of the spool: %w", err))
		default:
			opened = append(opened, Record{ID: rec.id, Plain: plain})
		}
	}
	for i, err := range store(ctx, opened) {
		switch {
		case err == nil:
			result.stored = append(result.stored, opened[i].ID)
		case errors.Is(err, ErrHopeless):
			s.giveUp(ctx, opened[i].ID, err)
			result.hopeless++
		default:
			result.refused = cmp.Or(result.refused, err)
		}
	}
	return result
}

func (s *Spool) giveUp(ctx context.Context, id uuid.UUID, err error) {
	s.o.Log.ErrorContext(ctx, "a record of the spool can never be stored", "submission_id", id, "error", err)
}
