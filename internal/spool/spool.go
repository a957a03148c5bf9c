// Package spool keeps records in local files while the database is away: sealed, synced to the disk before Append returns, bounded,
// never evicted. It knows nothing of what a record says.
//
// Each process appends to segments of its own in a directory that processes may share; a file lock shows that a segment's process
// lives. Segments of processes that are gone are drained by whoever is there. Records may be drained more than once: whoever takes
// them must recognise them by their id. intake uses it; main opens and closes it.
package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"leadline/internal/failpoint"
	"leadline/internal/keyring"
)

// DefaultLimit is how many bytes the files of a directory may have together.
const DefaultLimit = 256 << 20

// segmentSize is where a segment ends and the next begins.
const segmentSize = 16 << 20

// suffix is what names of segments end in; those that could not be read in full end in damagedSuffix and are left for a person.
const (
	suffix        = ".spool"
	damagedSuffix = ".damaged"
)

// ErrFull says that the record was not kept: what is kept already goes first.
var ErrFull = errors.New("the spool is full")

// errClosed says that the process is stopping.
var errClosed = errors.New("the spool is closed")

// Options are what a Spool needs. Limit, Log and Node may be left out.
type Options struct {
	Dir   string
	Node  int64 // in the names of files, for people who look
	Limit int64 // bytes of all segments together; 0: DefaultLimit
	Now   func() time.Time
	Log   *slog.Logger

	// Seal and Open must work while the database is away for whatever Seal was used for before: (*keyring.Ring).Envelope and OpenEnvelope.
	Seal func(ctx context.Context, plain, aad []byte) (keyring.Envelope, error)
	Open func(ctx context.Context, e keyring.Envelope, aad []byte) ([]byte, error)
}

// Spool is the segments of one directory. Append may be called from many goroutines, Drain from one.
type Spool struct {
	o Options

	mu      sync.Mutex
	active  *segment // where Append writes; nil: none yet
	closed  bool
	bytes   int64 // of all segments in the directory, ours and others', as far as we know
	records int   // that wait, as far as we know
	oldest  time.Time

	// Drain's own.
	width  int                           // how many records it gives at once
	stored map[string]map[uuid.UUID]bool // by segment, what it need not give again
}

// Open makes the directory if need be and counts what earlier processes left in it.
func Open(o Options) (*Spool, error) {
	if o.Limit <= 0 {
		o.Limit = DefaultLimit
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the spool's directory: %w", err)
	}
	s := &Spool{o: o, width: 1, stored: map[string]map[uuid.UUID]bool{}}
	if err := s.count(); err != nil {
		return nil, err
	}
	return s, nil
}

// Append keeps a record. Once it returns nil the record survives a crash of the process and of the machine. ErrFull when there is no
// room for it: nothing that is kept makes way for it.
func (s *Spool) Append(ctx context.Context, id uuid.UUID, plain []byte) error {
	at := s.o.Now()
	failpoint.At(failpoint.Spooling)
	e, err := s.o.Seal(ctx, plain, aad(id))
	if err != nil {
		return fmt.Errorf("seal a record of the spool: %w", err)
	}
	frame := encode(id, at, e)
	seg, end, err := s.write(frame, at)
	if err != nil {
		return err
	}
	failpoint.At(failpoint.Written)
	if err := seg.sync(end); err != nil {
		s.abandon(seg)
		return err
	}
	failpoint.At(failpoint.Kept)
	return nil
}

// write puts a frame at the end of the active segment and says up to where that must be synced.
func (s *Spool) write(frame []byte, at time.Time) (seg *segment, end int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, 0, errClosed
	case s.bytes+int64(len(frame)) > s.o.Limit:
		return nil, 0, ErrFull
	}
	if s.active != nil && s.active.size >= segmentSize {
		s.retire()
	}
	if s.active == nil {
		if s.active, err = createSegment(s.o.Dir, s.o.Node); err != nil {
			return nil, 0, err
		}
		s.bytes += s.active.size
	}
	if err := s.active.write(frame); err != nil {
		s.retire() // whatever was written of it is a torn end, which readers drop
		return nil, 0, err
	}
	s.bytes += int64(len(frame))
	if s.records == 0 {
		s.oldest = at
	}
	s.records++
	return s.active, s.active.size, nil
}

// abandon stops writing to a segment whose sync failed.
func (s *Spool) abandon(seg *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active == seg {
		s.retire()
	}
}

// retire gives the active segment up to be drained. Its lock falls with its file.
func (s *Spool) retire() {
	s.active.release()
	s.active = nil
}

// Waiting tells how many records wait and since when the oldest does, as far as this process knows; the zero time when none do.
func (s *Spool) Waiting() (records int, oldest time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records, s.oldest
}

// Close ends appending. What waits is drained by the next process, or another one.
func (s *Spool) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.active != nil {
		s.retire()
	}
}

// count reads what is in the directory: sizes of all files, and the records of those that can be read.
func (s *Spool) count() error {
	var (
		bytes   int64
		records int
		oldest  time.Time
	)
	names, err := s.segments()
	if err != nil {
		return err
	}
	for _, name := range names {
		n, size, first, err := survey(filepath.Join(s.o.Dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // drained by another process in this moment
		}
		if err != nil {
			return err
		}
		n -= len(s.stored[name])
		bytes, records = bytes+size, records+n
		if n > 0 && (oldest.IsZero() || first.Before(oldest)) {
			oldest = first
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes, s.records, s.oldest = bytes, records, oldest
	return nil
}

// segments lists the files of the directory, oldest first: names begin with the moment of their making.
func (s *Spool) segments() ([]string, error) {
	entries, err := os.ReadDir(s.o.Dir)
	if err != nil {
		return nil, fmt.Errorf("look into the spool: %w", err)
	}
	var names []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == suffix {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// aad binds what is sealed to its place: a record cannot pass for another, nor for a stored payload.
func aad(id uuid.UUID) []byte { return append([]byte("spool\x00"), id[:]...) }
