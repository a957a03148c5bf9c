// Package migrations holds the schema as plain SQL files and brings a database up to date: River's tables first, then ours, in
// the order of the files' names.
//
// A file is never edited after a release; adding and removing a column are two releases, so that the binary before and the
// binary after both run on the schema between. Lint holds the files to that; docs/migrations.md tells how to write one. main calls Up (or Check with --no-migrate) before anything else touches the
// database, pgtest calls it for the template of the tests.
package migrations

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed *.sql
var files embed.FS

// lockKey is the advisory lock that lets one process at a time migrate.
const lockKey int64 = 0x4C4D<<48 | 1

// A migration gives up waiting for a table after lockTimeout, because everybody behind it waits too, and is tried again. Intake gives up
// on a lock after 250 ms, so this must stay well below.
const (
	lockTimeout  = "100ms"
	lockAttempts = 60
	lockPause    = time.Second
)

// turnPause is how often a process asks whether it may migrate now.
const turnPause = 100 * time.Millisecond

// ErrNewerSchema is wrapped by the error for a database that a newer release has changed.
var ErrNewerSchema = errors.New("this leadline is older than the database schema")

// ErrChanged is wrapped by the error for a migration whose text is not what was applied.
var ErrChanged = errors.New("a migration was changed after it was applied")

// migration is one file.
type migration struct{ name, body, checksum string }

// Up applies what is missing. It is safe to call from several processes at once and does nothing when all is there. It fails
// with ErrNewerSchema or ErrChanged before changing anything.
func Up(ctx context.Context, pool *pgxpool.Pool) error { return up(ctx, pool, files) }

// Check fails when the schema is not what this binary was built for: newer, changed, or not yet migrated.
func Check(ctx context.Context, pool *pgxpool.Pool) error { return check(ctx, pool, files) }

// Checksum identifies the schema that this binary makes, River's part included.
func Checksum() (string, error) {
	all, err := load(files)
	if err != nil {
		return "", err
	}
	river, err := newRiver(nil)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, m := range all {
		sum.Write([]byte(m.name + " " + m.checksum + "\n"))
	}
	for _, version := range river.AllVersions() {
		sum.Write([]byte(version.SQLUp))
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func up(ctx context.Context, pool *pgxpool.Pool, from fs.FS) error {
	// A connection of its own: the lock lives in its session, and a pool's limits on statements do not apply to migrations.
	conn, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
	if err != nil {
		return fmt.Errorf("connect to migrate: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // also gives the lock back
	if err := takeTurn(ctx, conn); err != nil {
		return fmt.Errorf("wait for the right to migrate: %w", err)
	}
	missing, err := pending(ctx, conn, from)
	if err != nil {
		return err
	}
	if err := upRiver(ctx, pool); err != nil {
		return err
	}
	for _, m := range missing {
		if err := apply(ctx, conn, m); err != nil {
			return fmt.Errorf("migration %s: %w", m.name, err)
		}
	}
	return nil
}

// takeTurn waits until no other process migrates. It asks again and again rather than wait inside one statement: that would hold a
// snapshot, for whose end the other's CREATE INDEX CONCURRENTLY would wait in turn.
func takeTurn(ctx context.Context, conn *pgx.Conn) error {
	for {
		var mine bool
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, lockKey).Scan(&mine); err != nil || mine {
			return err
		}
		if err := pause(ctx, turnPause); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func check(ctx context.Context, pool *pgxpool.Pool, from fs.FS) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to check the schema: %w", err)
	}
	missing, err := pending(ctx, conn.Conn(), from)
	conn.Release()
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("the database schema lacks %d migrations, the first being %s: run `leadline migrate`", len(missing), missing[0].name)
	}
	return checkRiver(ctx, pool)
}

// pending gives the files that a database lacks, or says why this binary must not touch it.
func pending(ctx context.Context, conn *pgx.Conn, from fs.FS) ([]migration, error) {
	all, err := load(from)
	if err != nil {
		return nil, err
	}
	applied, err := appliedTo(ctx, conn)
	if err != nil {
		return nil, err
	}
	return compare(all, applied)
}

// load reads the files in the order of their names.
func load(from fs.FS) ([]migration, error) {
	names, err := fs.Glob(from, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	slices.Sort(names)
	all := make([]migration, 0, len(names))
	for _, name := range names {
		body, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", name, err)
		}
		sum := sha256.Sum256(body)
		all = append(all, migration{strings.TrimSuffix(name, ".sql"), string(body), hex.EncodeToString(sum[:])})
	}
	return all, nil
}

// appliedTo gives the checksums of what a database has, by name; nothing when it was never migrated.
func appliedTo(ctx context.Context, conn *pgx.Conn) (map[string]string, error) {
	applied := map[string]string{}
	var there bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('schema_migration') IS NOT NULL`).Scan(&there); err != nil {
		return nil, fmt.Errorf("look for the list of migrations: %w", err)
	}
	if !there {
		return applied, nil
	}
	rows, err := conn.Query(ctx, `SELECT name, checksum FROM schema_migration`)
	if err != nil {
		return nil, fmt.Errorf("read the list of migrations: %w", err)
	}
	var name, checksum string
	if _, err := pgx.ForEachRow(rows, []any{&name, &checksum}, func() error { applied[name] = checksum; return nil }); err != nil {
		return nil, fmt.Errorf("read the list of migrations: %w", err)
	}
	return applied, nil
}

func compare(all []migration, applied map[string]string) ([]migration, error) {
	var missing []migration
	for _, m := range all {
		checksum, done := applied[m.name]
		delete(applied, m.name)
		switch {
		case !done:
			missing = append(missing, m)
		case checksum != m.checksum:
			return nil, fmt.Errorf("%w: %s differs from what this database has; restore the file and put the change into a new one", ErrChanged, m.name)
		}
	}
	if len(applied) == 0 {
		return missing, nil
	}
	unknown := make([]string, 0, len(applied))
	for name := range applied {
		unknown = append(unknown, name)
	}
	slices.Sort(unknown)
	return nil, fmt.Errorf("%w (it does not know %s): start the release that made the change, or a later one", ErrNewerSchema, strings.Join(unknown, ", "))
}

// apply runs one file and notes it.
func apply(ctx context.Context, conn *pgx.Conn, m migration) error {
	if m.outsideTransaction() {
		return applySteps(ctx, conn, m)
	}
	return patiently(ctx, func() error { return applyWhole(ctx, conn, m) })
}

// patiently runs a step, trying again while others hold the tables it needs.
func patiently(ctx context.Context, step func() error) error {
	for attempt := 1; ; attempt++ {
		err := step()
		if !heldUp(err) || attempt == lockAttempts {
			return err
		}
		if ended := pause(ctx, lockPause); ended != nil {
			return errors.Join(err, ended)
		}
	}
}

// heldUp tells whether others stood in the way: a wait that took too long, or one for each other.
func heldUp(err error) bool {
	const lockNotAvailable, deadlockDetected = "55P03", "40P01"
	var refused *pgconn.PgError
	return errors.As(err, &refused) && (refused.Code == lockNotAvailable || refused.Code == deadlockDetected)
}

// applyWhole runs a file and notes it in one transaction.
func applyWhole(ctx context.Context, conn *pgx.Conn, m migration) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '`+lockTimeout+`'`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, m.body); err != nil {
			return err
		}
		return note(ctx, tx, m)
	})
}

// note writes down that a file is done.
func note(ctx context.Context, tx pgx.Tx, m migration) error {
	_, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS schema_migration (
		name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT clock_timestamp(), checksum text NOT NULL)`)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO schema_migration (name, checksum) VALUES ($1, $2)`, m.name, m.checksum)
	return err
}
