package intake

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"leadline/internal/failpoint"
	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/spool"
)

// pass is one way through the spool, oldest record first. One goroutine uses it.
type pass struct {
	s       *Service
	refused map[string]error // by key: what comes later under one waits for what came before, or a change of mind would be undone
}

// store stores records side by side, those of one key in the order they were sent.
func (p *pass) store(ctx context.Context, records []spool.Record) []error {
	errs := make([]error, len(records))
	lines := map[string][]int{}
	subs := make([]*lead.Submission, len(records))
	for i, r := range records {
		sub, err := decodeSubmission(r.Plain)
		if err == nil && sub.ID != r.ID {
			err = errors.New("the record holds another submission")
		}
		if err != nil {
			errs[i] = fmt.Errorf("%w: %w", spool.ErrHopeless, err)
			continue
		}
		subs[i] = sub
		lines[promised(sub)] = append(lines[promised(sub)], i)
	}
	var all sync.WaitGroup
	for key, line := range lines {
		refused := p.refused[key]
		all.Go(func() {
			for _, i := range line {
				if errs[i] = refused; refused == nil {
					errs[i] = p.s.unspool(ctx, subs[i])
				}
				if !errors.Is(errs[i], spool.ErrHopeless) {
					refused = errs[i]
				}
			}
		})
	}
	all.Wait()
	for key, line := range lines {
		if err := errs[line[len(line)-1]]; err != nil && !errors.Is(err, spool.ErrHopeless) {
			if p.refused == nil {
				p.refused = map[string]error{}
			}
			p.refused[key] = err
		}
	}
	return errs
}

// unspool stores one spooled submission. Storing it again changes nothing.
func (s *Service) unspool(ctx context.Context, sub *lead.Submission) error {
	ctx, cancel := context.WithTimeout(ctx, callerLimit)
	defer cancel()
	if erased, err := s.erased(ctx, sub); err != nil {
		return err
	} else if erased {
		s.promises.forget(sub)
		s.Metrics.Spool("erased")
		return nil
	}
	if sub.Person == nil { // spooled by a release that did not know persons across forms
		sub.Person = lead.PersonKey(s.Secret, sub.Contact.Email.Plain(), sub.Contact.Phone.Plain())
	}
	var done outcome
	err := s.bind(ctx, sub)
	if err == nil {
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
		s.promises.forget(sub)
		return fmt.Errorf("%w: %w", spool.ErrHopeless, err)
	}
	s.promises.forget(sub)
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
