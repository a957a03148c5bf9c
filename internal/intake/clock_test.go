package intake_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
)

// dbClock is the clock of one test database. The product's statements name clock_timestamp() without a schema; in this database the
// search path leads to ours first, so that they run unchanged and yet at a time of the test's choosing, to the microsecond.
//
// A sequence holds it: a change counts at once, also inside statements that have begun. is_called tells whether the clock runs.
const dbClock = `
CREATE SCHEMA clock;
CREATE SEQUENCE clock.micros MINVALUE -9000000000000000;
CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN is_called THEN pg_catalog.clock_timestamp() ELSE 'epoch'::timestamptz END + last_value * interval '1 microsecond'
    FROM clock.micros
$$`

// dbSettings make the clock known to every later session. A zone with summer time must change nothing. Deadlocks are looked for
// long before a lock is given up (250 ms), so that none hides behind a time-out.
var dbSettings = []string{"search_path = clock, pg_catalog, public", "timezone = 'Europe/Berlin'", "deadlock_timeout = '20ms'"}

// newClockedBench is newBench on a database whose clock the test sets.
func newClockedBench(t testing.TB) *bench {
	t.Helper()
	ctx, dsn := t.Context(), pgtest.NewDSN(t)
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, dbClock); err != nil {
		t.Fatal(err)
	}
	for _, setting := range dbSettings {
		if _, err := conn.Exec(ctx, `ALTER DATABASE `+conn.Config().Database+` SET `+setting); err != nil {
			t.Fatal(err)
		}
	}
	db, err := postgres.Open(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return newBenchOn(t, db)
}

// stopClock makes it the given time in the database until the next call.
func (b *bench) stopClock(at time.Time) {
	b.t.Helper()
	b.exec(`SELECT setval('clock.micros', $1, false)`, at.UnixMicro())
}

// runClock makes it the given time in the database and lets time pass.
func (b *bench) runClock(at time.Time) {
	b.t.Helper()
	b.exec(`SELECT setval('clock.micros', $1 - (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint, true)`, at.UnixMicro())
}

func TestClock_TheDatabaseTellsTheTimeOfTheTest(t *testing.T) {
	b := newClockedBench(t)
	at := time.Date(2026, 10, 25, 0, 59, 59, 999999000, time.UTC)
	ask := func() (now time.Time) {
		t.Helper()
		if err := b.db.Path.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&now); err != nil {
			t.Fatal(err)
		}
		return now
	}
	b.stopClock(at)
	if first, second := ask(), ask(); !first.Equal(at) || !second.Equal(at) {
		t.Errorf("stopped at %v: got %v, then %v", at, first, second)
	}
	b.runClock(at)
	if first, second := ask(), ask(); first.Before(at) || !second.After(first) || second.Sub(at) > time.Minute {
		t.Errorf("running from %v: got %v, then %v", at, first, second)
	}
}
