package spam

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// SpentStore remembers which proofs were used, for all processes of one database, until they run out.
type SpentStore struct{ db *gorm.DB }

// NewSpentStore makes a SpentStore on a database.
func NewSpentStore(db *gorm.DB) *SpentStore { return &SpentStore{db: db} }

// spendWait is how long a visitor waits for it; then the submission is held instead.
const spendWait = 500 * time.Millisecond

// Spend takes a proof for a holder: true when nobody had it, or this very holder did.
func (s *SpentStore) Spend(ctx context.Context, proof, holder []byte, until time.Time) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, spendWait)
	defer cancel()
	var mine bool
	err := s.db.WithContext(ctx).Raw(`INSERT INTO spent_proof AS s (proof, holder, expires_at) VALUES (decode(?, 'hex'), decode(?, 'hex'), ?)
		ON CONFLICT (proof) DO UPDATE SET expires_at = s.expires_at RETURNING s.holder = decode(?, 'hex')`,
		hex.EncodeToString(proof), hex.EncodeToString(holder), until, hex.EncodeToString(holder)).Scan(&mine).Error
	if err != nil {
		return false, fmt.Errorf("take a proof: %w", err)
	}
	return mine, nil
}
