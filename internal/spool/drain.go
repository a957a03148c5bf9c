package spool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/uuid"

	"leadline/internal/keyring"
)

// drainWidth is how many records are on their way at once.
const drainWidth = 32

// ErrHopeless is what Drain's function returns for a record that can never be stored: it is kept aside, and the others go on.
var ErrHopeless = errors.New("this record can never be stored")

// Drain gives every record that waits to store, oldest segment first, several at a time, and removes a segment once all of it is
// stored. At the first error it stops and returns it; what was stored already is given again next time. Records appended meanwhile are
// drained with the next call.
func (s *Spool) Drain(ctx context.Context, store func(ctx context.Context, id uuid.UUID, plain []byte) error) error {
	s.mu.Lock()
	if s.active != nil && s.active.size > int64(len(magic)) {
		s.retire()
	}
	s.mu.Unlock()
	names, err := s.segments()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.drain(ctx, filepath.Join(s.o.Dir, name), store); err != nil {
			return err
		}
	}
	return s.count()
}

// drain empties one segment, unless a living process writes to it or drains it.
func (s *Spool) drain(ctx context.Context, name string, store func(context.Context, uuid.UUID, []byte) error) error {
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
	hopeless, err := s.storeAll(ctx, file, store)
	switch {
	case errors.Is(err, errDamaged), err == nil && hopeless > 0:
		s.o.Log.ErrorContext(ctx, "a segment of the spool could not be stored in full and is kept for a person to look at", "file", filepath.Base(name)+damagedSuffix,
			"records", hopeless, "damaged", err != nil)
		if err := os.Rename(name, name+damagedSuffix); err != nil {
			return fmt.Errorf("keep a damaged segment of the spool: %w", err)
		}
	case err != nil:
		return err
	default:
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("remove a stored segment of the spool: %w", err)
		}
	}
	if err := syncDir(s.o.Dir); err != nil {
		return fmt.Errorf("sync the spool's directory: %w", err)
	}
	return nil
}

// storeAll gives the records of a segment to store, drainWidth at a time.
func (s *Spool) storeAll(ctx context.Context, file *os.File, store func(context.Context, uuid.UUID, []byte) error) (hopeless int, err error) {
	r := bufio.NewReaderSize(file, 64<<10)
	if err := begin(r); err != nil {
		if errors.Is(err, io.EOF) {
			return 0, nil
		}
		return 0, err
	}
	for {
		batch := make([]record, 0, drainWidth)
		var end error
		for len(batch) < drainWidth && end == nil {
			var rec record
			if rec, end = next(r); end == nil {
				batch = append(batch, rec)
			}
		}
		bad, err := s.storeBatch(ctx, batch, store)
		hopeless += bad
		switch {
		case err != nil:
			return hopeless, err
		case errors.Is(end, io.EOF):
			return hopeless, nil
		case end != nil:
			return hopeless, end
		}
	}
}

func (s *Spool) storeBatch(ctx context.Context, batch []record, store func(context.Context, uuid.UUID, []byte) error) (hopeless int, err error) {
	errs := make([]error, len(batch))
	var all sync.WaitGroup
	for i, rec := range batch {
		all.Go(func() {
			plain, err := s.o.Open(ctx, rec.envelope, aad(rec.id))
			if errors.Is(err, keyring.ErrDamaged) {
				errs[i] = fmt.Errorf("%w: %w", ErrHopeless, err)
				return
			}
			if err != nil {
				errs[i] = fmt.Errorf("open a record of the spool: %w", err)
				return
			}
			errs[i] = store(ctx, rec.id, plain)
		})
	}
	all.Wait()
	for i, e := range errs {
		switch {
		case e == nil:
		case errors.Is(e, ErrHopeless):
			s.o.Log.ErrorContext(ctx, "a record of the spool can never be stored", "submission_id", batch[i].id, "error", e)
			hopeless++
		case err == nil:
			err = e
		}
	}
	return hopeless, err
}
