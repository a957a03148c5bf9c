package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"leadline/internal/fault"
	"leadline/internal/postgres"
)

// PublicKeyIn gives a function that reads the public half of a signing key. It needs no master key, so that anybody who may read the
// tables can verify. A key that is not there is a NotFound fault.
func PublicKeyIn(db *postgres.DB) func(ctx context.Context, id int64) (ed25519.PublicKey, error) {
	return func(ctx context.Context, id int64) (ed25519.PublicKey, error) { return publicKey(ctx, db.Jobs, id) }
}

// asker is a pool or a transaction.
type asker interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func publicKey(ctx context.Context, from asker, id int64) (ed25519.PublicKey, error) {
	var key []byte
	err := from.QueryRow(ctx, `SELECT public FROM data_key WHERE id = $1 AND purpose = 'audit'`, id).Scan(&key)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && len(key) != ed25519.PublicKeySize {
		return nil, fault.New(fault.NotFound, "There is no signing key %d.", id)
	}
	if err != nil {
		return nil, fmt.Errorf("read signing key %d: %w", id, err)
	}
	return key, nil
}

// Fingerprint is what an operator notes of a public key elsewhere: the first 16 bytes of its SHA-256, in hexadecimal.
func Fingerprint(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:16])
}
