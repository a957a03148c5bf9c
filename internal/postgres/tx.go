package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"gorm.io/gorm"
)

// InTx runs f in one transaction: committed when f returns nil, rolled back when it returns an error or panics. f may be
// called once only; nothing is retried. An error of f comes back as it is.
func InTx(ctx context.Context, pool *pgxpool.Pool, f func(pgx.Tx) error) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	defer rollback(ctx, tx) // after a commit this does nothing
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// InTxThen is InTx for transactions whose last statements nobody reads: what f returns is sent together with the COMMIT. What these
// statements lock is so held for the time of a commit, and not for that of another exchange as well. f may return no batch.
func InTxThen(ctx context.Context, pool *pgxpool.Pool, f func(pgx.Tx) (last *pgx.Batch, err error)) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	defer conn.Release() // inside a transaction, after a panic, it is closed and the server rolls back
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	last, err := f(tx)
	if err != nil {
		rollback(ctx, tx)
		return err
	}
	if last == nil {
		last = &pgx.Batch{}
	}
	last.Queue("COMMIT")
	if err := conn.SendBatch(ctx, last).Close(); err != nil {
		rollback(ctx, tx)
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// rollback works even when the caller's context has ended, so that the connection can be used again.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = tx.Rollback(ctx) // a connection that cannot roll back is dropped by the pool, and the server rolls back
}

// SQLTx gives the database/sql transaction inside a GORM transaction, for code that must take part in it without GORM.
// It fails when tx is not inside Transaction.
func SQLTx(tx *gorm.DB) (*sql.Tx, error) {
	inner, ok := tx.Statement.ConnPool.(*sql.Tx)
	if !ok {
		return nil, errors.New("not inside a GORM transaction")
	}
	return inner, nil
}
