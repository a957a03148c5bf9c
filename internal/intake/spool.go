package intake

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"leadline/internal/failpoint"
	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/spool"
)

const (
	drainEvery = 250 * time.Millisecond
	strayEvery = 5 * time.Second // how often what other processes left behind is looked for
)

// spooled keeps a submission that the database could not take, and answers that it is not acknowledged yet. Both happen: if the visitor
// stays, their retry wins; if they leave, the spool stores the lead later, under the same key and id, so that it counts once.
func (s *Service) spooled(ctx context.Context, sub *lead.Submission, cause error) error {
	if s.Spool == nil || !worthSpooling(cause) {
		return cause
	}
	record, err := encodeSubmission(sub)
	if err == nil {
		err = s.Spool.Append(context.WithoutCancel(ctx), sub.ID, record) // the visitor's patience has ended; the disk's has not
	}
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
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	var looked time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		waits := s.showSpool()
		if s.outage.on() || waits == 0 && s.Now().Sub(looked) < strayEvery {
			continue
		}
		looked = s.Now()
		if err := s.Spool.Drain(ctx, s.unspool); err != nil && ctx.Err() == nil && !fault.Is(err, fault.Unavailable) {
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
	return waits
}

// unspool stores one spooled submission. Storing it again changes nothing.
func (s *Service) unspool(ctx context.Context, id uuid.UUID, record []byte) error {
	sub, err := decodeSubmission(record)
	if err == nil && sub.ID != id {
		err = errors.New("the record holds another submission")
	}
	if err != nil {
		return fmt.Errorf("%w: %w", spool.ErrHopeless, err)
	}
	if sub.Person == nil { // spooled by a release that did not know persons across forms
		sub.Person = lead.PersonKey(s.Secret, sub.Contact.Email.Plain(), sub.Contact.Phone.Plain())
	}
	if erased, err := s.erased(ctx, sub); err != nil {
		return err
	} else if erased {
		s.Metrics.Spool("erased")
		return nil
	}
	var done outcome
	if err = s.bind(ctx, sub); err == nil {
		done, err = s.commit(ctx, sub)
	}
	if err == nil && done.amends {
		err = s.amend(ctx, change{submission: done.SubmissionID, sub: sub, resent: true, spooled: true})
	}
	switch {
	case fault.Is(err, fault.Unavailable):
		return err
	case fault.Is(err, fault.Throttled): // the person is sending right now; their line is empty the next time
		return busy(codeLocked, err)
	case err != nil:
		return fmt.Errorf("%w: %w", spool.ErrHopeless, err)
	}
	failpoint.At(failpoint.Unspooled)
	s.Metrics.Spool("stored")
	return nil
}

// erased tells whether the person was erased since they sent this; the id says when that was.
func (s *Service) erased(ctx context.Context, sub *lead.Submission) (bool, error) {
	if s.Erased == nil {
		return false, nil
	}
	seconds, nanoseconds := sub.ID.Time().UnixTime()
	erased, err := s.Erased(ctx, &sub.Contact, time.Unix(seconds, nanoseconds))
	if err != nil {
		return false, busy(codeAway, err)
	}
	return erased, nil
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
