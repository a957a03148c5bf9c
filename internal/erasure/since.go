package erasure

import (
	"context"
	"fmt"
	"time"

	"leadline/internal/lead"
)

// ErasedSince tells whether somebody with this e-mail address (else this phone number) was erased after a moment: what they sent before
// it, and was not stored yet, must not be.
func (s *Service) ErasedSince(ctx context.Context, contact *lead.Contact, sent time.Time) (bool, error) {
	subject := s.identity(contact.Email.Plain(), contact.Phone.Plain())
	if subject == nil {
		return false, nil
	}
	var erased bool
	err := s.DB.Console.QueryRow(ctx, `SELECT EXISTS (SELECT FROM erasure WHERE at >= $1 AND subjects @> ARRAY[$2::bytea])`, sent, subject).Scan(&erased)
	if err != nil {
		return false, fmt.Errorf("ask who was erased: %w", err)
	}
	return erased, nil
}
