package migrations

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// outsideMark as the whole first line of a file asks for it to be run statement by statement, outside a transaction. What needs
// that is CREATE INDEX CONCURRENTLY and its kin.
const outsideMark = "-- no transaction"

// concurrentLockTimeout is lockTimeout for statements that say CONCURRENTLY. What they wait for, mostly older transactions, does
// not make anybody wait behind them, and giving up throws away the index that was being built.
const concurrentLockTimeout = "60s"

func (m migration) outsideTransaction() bool {
	first, _, _ := strings.Cut(m.body, "\n")
	return strings.TrimRight(first, " \r") == outsideMark
}

// applySteps runs a file's statements one by one and notes the file after the last. When one fails, those before it stay done and
// all are run again the next time: each must be harmless to repeat, which Lint sees to.
func applySteps(ctx context.Context, conn *pgx.Conn, m migration) error {
	steps, err := split(m.body)
	if err != nil {
		return err
	}
	for _, step := range steps {
		if err := patiently(ctx, func() error { return applyStep(ctx, conn, step) }); err != nil {
			return fmt.Errorf("line %d: %w", step.line, err)
		}
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return note(ctx, tx, m) })
}

func applyStep(ctx context.Context, conn *pgx.Conn, step statement) error {
	limit := lockTimeout
	index, builds := buildsConcurrently(step)
	if builds || has(step.tokens, "concurrently") {
		limit = concurrentLockTimeout
	}
	if _, err := conn.Exec(ctx, `SELECT set_config('lock_timeout', $1, false)`, limit); err != nil {
		return err
	}
	if builds {
		if err := dropInvalid(ctx, conn, index); err != nil {
			return err
		}
	}
	if _, err := conn.Exec(ctx, step.text, pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	if !builds {
		return nil
	}
	// IF NOT EXISTS is content with any table or index of that name.
	found, err := invalid(ctx, conn, index)
	if err == nil && found {
		err = errors.New("the index " + index + " was left unfinished")
	}
	return err
}

// dropInvalid removes what an attempt that failed has left of an index: IF NOT EXISTS would take it for the real one.
func dropInvalid(ctx context.Context, conn *pgx.Conn, index string) error {
	found, err := invalid(ctx, conn, index)
	if err != nil || !found {
		return err
	}
	if _, err := conn.Exec(ctx, `DROP INDEX CONCURRENTLY IF EXISTS `+index); err != nil {
		return fmt.Errorf("drop the unfinished index %s: %w", index, err)
	}
	return nil
}

func invalid(ctx context.Context, conn *pgx.Conn, index string) (found bool, err error) {
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass($1) AND NOT indisvalid)`, index).Scan(&found)
	if err != nil {
		return false, fmt.Errorf("look for an unfinished index %s: %w", index, err)
	}
	return found, nil
}

// buildsConcurrently gives the name, as SQL writes it, of the index that a CREATE INDEX CONCURRENTLY makes.
func buildsConcurrently(step statement) (index string, yes bool) {
	r := reader{tokens: step.tokens}
	if !r.take("create") {
		return "", false
	}
	r.take("unique")
	if !r.take("index") || !r.take("concurrently") {
		return "", false
	}
	r.takeAll("if", "not", "exists")
	if r.peek().is("on") {
		return "", false // PostgreSQL makes up a name: never found again
	}
	name := r.name()
	return name.sql(), name.last != ""
}
