package audit

import (
	"context"
	"crypto/ed25519"

	"github.com/jackc/pgx/v5"
)

// VerifyIn verifies inside a transaction, so that tests can tamper and roll back.
func VerifyIn(ctx context.Context, tx pgx.Tx, o Options) (Report, error) { return verify(ctx, tx, o) }

// Harmless is what WriteCSV does to a cell.
func Harmless(cell string) string { return harmless(cell) }

// PublicKeyFrom reads a signing key's public half inside a transaction.
func PublicKeyFrom(ctx context.Context, tx pgx.Tx, id int64) (ed25519.PublicKey, error) {
	return publicKey(ctx, tx, id)
}

// Wake asks for a round now. It never blocks.
func (a *Anchorer) Wake() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}
