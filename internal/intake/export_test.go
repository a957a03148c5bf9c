package intake

import (
	"context"

	"leadline/internal/lead"
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
