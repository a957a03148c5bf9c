package intake

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/keyring"
	"leadline/internal/lead"
)

// sealed is what somebody sent, under a key of its own. It belongs to one submission and opens for no other. amends is the submission
// that it corrects, if it does.
func (s *Service) sealed(ctx context.Context, id uuid.UUID, sub *lead.Submission, amends uuid.UUID) (keyring.Envelope, error) {
	if s.Seal == nil {
		return keyring.Envelope{}, busy("no_key", nil)
	}
	document, err := lead.PayloadDocument(sub, amends)
	if err != nil {
		return keyring.Envelope{}, err
	}
	e, err := s.Seal(ctx, document, id[:])
	if err != nil {
		return keyring.Envelope{}, busy("no_key", fmt.Errorf("seal payload: %w", err))
	}
	return e, nil
}

// keep stores the payload of a submission that does not go through a writer.
func keep(last *pgx.Batch, submission uuid.UUID, e keyring.Envelope) {
	last.Queue(`INSERT INTO payload (submission, data_key, wrapped, sealed) VALUES ($1, $2, $3, $4)`,
		[16]byte(submission), e.KeyID, e.Wrapped, e.Sealed)
}
