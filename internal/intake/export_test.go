package intake

import (
	"context"

	"leadline/internal/lead"
	"leadline/internal/spool"
)

// Store queues a submission as it is, so that tests can send what normalising would have cleaned.
func (s *Service) Store(ctx context.Context, sub *lead.Submission) (Accepted, error) {
	sub.ID = s.NewID()
	sub.Digest = lead.BusinessDigest(sub)
	sub.Fingerprint = lead.PersonFingerprint(s.Secret, sub.Form, sub.Contact.Email.Plain(), sub.Contact.Phone.Plain())
	return s.store(ctx, sub)
}

// QueueLength is how many submissions may wait.
const QueueLength = queueLength

// Prepared is a submission as Accept would queue it now.
func (s *Service) Prepared(form *lead.Form, raw lead.Raw) *lead.Submission {
	sub, err := s.identified(form, raw, lead.Arrival{})
	if err != nil {
		panic(err)
	}
	return &sub
}

// Unspool stores a submission as one that was spooled.
func (s *Service) Unspool(ctx context.Context, sub *lead.Submission) error {
	record, err := encodeSubmission(sub)
	if err != nil {
		return err
	}
	return (&pass{s: s}).store(ctx, []spool.Record{{ID: sub.ID, Plain: record}})[0]
}

// Respool writes a submission for the spool and reads it again.
func Respool(sub *lead.Submission) (*lead.Submission, error) {
	record, err := encodeSubmission(sub)
	if err != nil {
		return nil, err
	}
	return decodeSubmission(record)
}
