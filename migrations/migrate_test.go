package migrations_test

import (
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
	"leadline/migrations"
)

func empty(t *testing.T) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), pgtest.NewEmpty(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// release is the files of this binary, to be changed at will.
func release(t *testing.T) fstest.MapFS {
	t.Helper()
	names, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	all := fstest.MapFS{}
	for _, name := range names {
		body, err := migrations.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = &fstest.MapFile{Data: body}
	}
	return all
}

func TestUp_MayRunTwiceAndAtOnce(t *testing.T) {
	t.Parallel()
	db := empty(t)
	if err := migrations.Check(t.Context(), db.Jobs); err == nil || !strings.Contains(err.Error(), "leadline migrate") {
		t.Error("an empty database must be sent to leadline migrate:", err)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if err := migrations.Up(t.Context(), db.Jobs); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := errors.Join(migrations.Up(t.Context(), db.Jobs), migrations.Check(t.Context(), db.Jobs)); err != nil {
		t.Error(err)
	}
	var ours, rivers int
	if err := db.Jobs.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM schema_migration), (SELECT count(*) FROM river_job)`).Scan(&ours, &rivers); err != nil || ours != len(release(t)) {
		t.Error(ours, "migrations noted:", err)
	}
}

func TestUp_RefusesASchemaOfALaterRelease(t *testing.T) {
	t.Parallel()
	db := empty(t)
	later := release(t)
	later["9999_later.sql"] = &fstest.MapFile{Data: []byte(`CREATE TABLE later (id bigint)`)}
	if err := migrations.UpFrom(t.Context(), db.Jobs, later); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{migrations.Up(t.Context(), db.Jobs), migrations.Check(t.Context(), db.Jobs)} {
		if !errors.Is(err, migrations.ErrNewerSchema) || !strings.Contains(err.Error(), "9999_later") {
			t.Error(err)
		}
	}
}

func TestUp_RefusesRiverTablesOfALaterRelease(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if _, err := db.Jobs.Exec(t.Context(), `INSERT INTO river_migration (line, version) VALUES ('main', 999)`); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{migrations.Up(t.Context(), db.Jobs), migrations.Check(t.Context(), db.Jobs)} {
		if !errors.Is(err, migrations.ErrNewerSchema) {
			t.Error(err)
		}
	}
}

func TestUp_RefusesAMigrationThatWasChanged(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	changed := release(t)
	changed["0002_people.sql"].Data = append(changed["0002_people.sql"].Data, "\n-- one word more"...)
	for _, err := range []error{migrations.UpFrom(t.Context(), db.Jobs, changed), migrations.CheckFrom(t.Context(), db.Jobs, changed)} {
		if !errors.Is(err, migrations.ErrChanged) || !strings.Contains(err.Error(), "0002_people") {
			t.Error(err)
		}
	}
}

func TestUp_LeavesNothingOfAMigrationThatFails(t *testing.T) {
	t.Parallel()
	db := empty(t)
	broken := fstest.MapFS{
		"0001_good.sql": {Data: []byte(`CREATE TABLE good (id bigint)`)},
		"0002_bad.sql":  {Data: []byte(`CREATE TABLE half (id bigint); SELECT no_such_function()`)},
	}
	if err := migrations.UpFrom(t.Context(), db.Jobs, broken); err == nil || !strings.Contains(err.Error(), "0002_bad") {
		t.Fatal("the failure must name its file:", err)
	}
	var good, half bool
	if err := db.Jobs.QueryRow(t.Context(), `SELECT to_regclass('good') IS NOT NULL, to_regclass('half') IS NOT NULL`).Scan(&good, &half); err != nil || !good || half {
		t.Error("good:", good, "half:", half, err)
	}
	broken["0002_bad.sql"] = &fstest.MapFile{Data: []byte(`CREATE TABLE half (id bigint)`)}
	if err := migrations.UpFrom(t.Context(), db.Jobs, broken); err != nil {
		t.Error("the mended file must go through:", err)
	}
}

func TestUp_TriesAgainWhileATableIsBusy(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	more := release(t)
	more["9999_more.sql"] = &fstest.MapFile{Data: []byte(`ALTER TABLE node ADD COLUMN more text`)}
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

// gaveUp waits until a migration has waited for its table, and then waits no more.
func gaveUp(t *testing.T, db *postgres.DB) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for _, want := range []bool{true, false} {
		for waits := !want; waits != want; {
			select {
			case <-limit:
				t.Fatal("waited in vain")
			case <-time.After(10 * time.Millisecond):
			}
			err := db.Console.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'node'::regclass
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&waits)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
