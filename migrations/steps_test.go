package migrations_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
	"leadline/migrations"
)

const nodeHost = "-- no transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS node_host ON node (host);\n-- one more; of another kind\nALTER TABLE node ADD COLUMN IF NOT EXISTS more text;\n"

// with is this release and one file more.
func with(t *testing.T, name, body string) fstest.MapFS {
	t.Helper()
	more := release(t)
	more[name] = &fstest.MapFile{Data: []byte(body)}
	return more
}

// valid tells whether an index is there, and finished.
func valid(t *testing.T, db *postgres.DB, index string) (there, finished bool) {
	t.Helper()
	err := db.Console.QueryRow(t.Context(), `SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)`, index).Scan(&finished)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return true, finished
}

func noted(t *testing.T, db *postgres.DB, name string) bool {
	t.Helper()
	var done bool
	if err := db.Console.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM schema_migration WHERE name = $1)`, name).Scan(&done); err != nil {
		t.Fatal(err)
	}
	return done
}

func TestUp_RunsStepsOutsideATransaction(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	more := with(t, "9999_more.sql", nodeHost)
	if err := errors.Join(migrations.UpFrom(t.Context(), db.Jobs, more), migrations.UpFrom(t.Context(), db.Jobs, more), migrations.CheckFrom(t.Context(), db.Jobs, more)); err != nil {
		t.Fatal(err)
	}
	if _, finished := valid(t, db, "node_host"); !finished || !noted(t, db, "9999_more") {
		t.Error("index finished:", finished, "noted:", noted(t, db, "9999_more"))
	}
}

// Whoever waits for the right to migrate must not be what the index waits for.
func TestUp_BuildsAnIndexWhileOthersWaitToMigrate(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	more := with(t, "9999_more.sql", nodeHost)
	began := time.Now()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := migrations.UpFrom(t.Context(), db.Jobs, more); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took > 30*time.Second {
		t.Error("they held each other up for", took)
	}
}

func TestUp_KeepsTheStepsBeforeTheOneThatFailedAndDropsTheUnfinishedIndex(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if _, err := db.Jobs.Exec(t.Context(), `INSERT INTO node (id, host) VALUES (1, 'same'), (2, 'same')`); err != nil {
		t.Fatal(err)
	}
	more := with(t, "9999_more.sql", `-- no transaction
CREATE TABLE IF NOT EXISTS first_step (id bigint);
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "Node host" ON node (host);
`)
	err := migrations.UpFrom(t.Context(), db.Jobs, more)
	if err == nil || !strings.Contains(err.Error(), "9999_more: line 3") {
		t.Fatal("the failure must name file and line:", err)
	}
	var first bool
	if err := db.Jobs.QueryRow(t.Context(), `SELECT to_regclass('first_step') IS NOT NULL`).Scan(&first); err != nil || !first || noted(t, db, "9999_more") {
		t.Error("first step:", first, "noted:", noted(t, db, "9999_more"), err)
	}
	if there, finished := valid(t, db, `"Node host"`); !there || finished {
		t.Fatal("PostgreSQL should have left an unfinished index:", there, finished)
	}
	if _, err := db.Jobs.Exec(t.Context(), `UPDATE node SET host = 'other' WHERE id = 2`); err != nil {
		t.Fatal(err)
	}
	if err := migrations.UpFrom(t.Context(), db.Jobs, more); err != nil {
		t.Fatal(err)
	}
	if _, finished := valid(t, db, `"Node host"`); !finished || !noted(t, db, "9999_more") {
		t.Error("index finished:", finished, "noted:", noted(t, db, "9999_more"))
	}
}

func TestUp_TriesAStepAgainWhileATableIsBusy(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	more := with(t, "9999_more.sql", "-- no transaction\nALTER TABLE node ADD COLUMN IF NOT EXISTS more text")
	tx, err := db.Console.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE node IN ACCESS SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- migrations.UpFrom(t.Context(), db.Jobs, more) }()
	gaveUp(t, db)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestUp_TakesTheMarkOnlyAsTheWholeFirstLine(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, head := range []string{"-- no transaction, please\n", "\n-- no transaction\n"} {
		err := migrations.UpFrom(t.Context(), db.Jobs, with(t, "9999_more.sql", head+"CREATE INDEX CONCURRENTLY IF NOT EXISTS node_host ON node (host);"))
		if err == nil || !strings.Contains(err.Error(), "transaction") {
			t.Errorf("%q: %v", head, err)
		}
	}
}
