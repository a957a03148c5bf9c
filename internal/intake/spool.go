package intake

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"time"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/spool"
)

const (
	drainEvery = 250 * time.Millisecond
	drainMost  = 4 * time.Second // between two looks while the database refuses some of it
	strayEvery = 5 * time.Second // how often what other processes left behind is looked for
)

// spooled keeps a submission that the database could not take, and answers that it is not acknowledged yet. Both happen: if the visitor
// stays, their retry wins; if they leave, the spool stores the lead later, under the same key and id, so that it counts once.
func (s *Service) spooled(ctx context.Context, sub *lead.Submission, cause error) error {
	if s.Spool == nil || !worthSpooling(cause) {
		return cause
	}
	err := s.promises.keep(sub, func() error {
		record, err := encodeSubmission(sub)
		if err != nil {
			return err
		}
		return s.Spool.Append(context.WithoutCancel(ctx), sub.ID, record) // the visitor's patience has ended; the disk's has not
	})
	if err != nil {
		outcome := "failed"
		if errors.Is(err, spool.ErrFull) {
			outcome = "full"
		}
		s.Metrics.Spool(outcome)
		s.Log.ErrorContext(ctx, "a submission could not be spooled; whether it is stored depends on the visitor's retry", "submission_id", sub.ID, "error", err)
		return cause
	}
	s.Metrics.Spool("kept")
	f := fault.Wrap(fault.Unavailable, cause, "We could not store this yet, but we kept it and will. You can send it again; it counts once.")
	f.Code, f.RetryAfter = "spooled", retryAfter
	return f
}

// worthSpooling tells failures of the database from refusals of our own: an overloaded process must not write more, and one that stops
// answers while the next one is already there.
func worthSpooling(err error) bool {
	var f *fault.Error
	if !errors.As(err, &f) {
		return false
	}
	switch f.Code {
	case codeUnknown, codeAway, codeDatabase, codeLocked:
		return true
	}
	return false
}

// lookAfterSpool shows what waits, and stores it whenever the database is there, until the context ends.
func (s *Service) lookAfterSpool(ctx context.Context) {
	var looked time.Time
	for wait := drainEvery; ctx.Err() == nil; {
		pause(ctx, wait)
		waits := s.showSpool()
		if s.outage.on() || waits == 0 && s.Now().Sub(looked) < strayEvery {
			continue
		}
		looked = s.Now()
		err := s.Spool.Drain(ctx, (&pass{s: s}).store)
		if err == nil {
			wait = drainEvery
			continue
		}
		wait = min(2*wait, drainMost) // those who are here go first
		if ctx.Err() == nil && !fault.Is(err, fault.Unavailable) {
			s.Log.ErrorContext(ctx, "the spool could not be drained; trying on", "error", err)
		}
	}
}

func (s *Service) showSpool() (waits int) {
	waits, oldest := s.Spool.Waiting()
	age := 0.0
	if !oldest.IsZero() {
		age = s.Now().Sub(oldest).Seconds()
	}
	s.Metrics.QueueDepth("spool", waits)
	s.Metrics.OldestPending("spool", age)
	if waits == 0 {
		s.promises.forgetAll()
	}
	return waits
}

// encodeSubmission is a submission with its identity, as it was judged when it came: a form that has changed or gone since cannot cost
// the lead. The record is sealed before it is written.
func encodeSubmission(sub *lead.Submission) ([]byte, error) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(sub); err != nil {
		return nil, fmt.Errorf("write a submission for the spool: %w", err)
	}
	return b.Bytes(), nil
}

func decodeSubmission(record []byte) (*lead.Submission, error) {
	var sub lead.Submission
	if err := gob.NewDecoder(bytes.NewReader(record)).Decode(&sub); err != nil {
		return nil, fmt.Errorf("read a submission from the spool: %w", err)
	}
	return &sub, nil
}
