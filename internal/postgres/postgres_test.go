package postgres_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
)

func TestCheckDurability_RefusesWhatCouldLoseAnAcknowledgedLead(t *testing.T) {
	t.Parallel()
	if err := postgres.CheckDurability(t.Context(), pgtest.New(t).Jobs, false); err != nil {
		t.Error("the private server must pass:", err)
	}
	safe := map[string]string{"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "data_sync_retry": "off", "synchronous_standby_names": "one"}
	if bad := postgres.Unsafe(safe, true); len(bad) != 0 {
		t.Error(bad)
	}
	for name, value := range map[string]string{
		"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "data_sync_retry": "on", "synchronous_standby_names": "",
	} {
		server := maps.Clone(safe)
		server[name] = value
		if bad := postgres.Unsafe(server, true); len(bad) != 1 || !strings.Contains(bad[0], name) {
			t.Errorf("%s = %s: %v", name, value, bad)
		}
	}
}

func TestCheckDurability_SeesASettingOfTheDatabase(t *testing.T) {
	t.Parallel()
	dsn := pgtest.NewDSN(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$`); err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := postgres.CheckDurability(t.Context(), db.Jobs, false); err == nil || !strings.Contains(err.Error(), "synchronous_commit = on") {
		t.Error("not refused:", err)
	}
}

func TestSQLTx_TakesPartInAGORMTransaction(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	undo := errors.New("undo")
	err := db.Gorm.WithContext(t.Context()).Transaction(func(tx *gorm.DB) error {
		inner, err := postgres.SQLTx(tx)
		if err != nil {
			return err
		}
		if _, err := inner.ExecContext(t.Context(), `INSERT INTO node (id, host) VALUES (1, 'here')`); err != nil {
			return err
		}
		return undo
	})
	if !errors.Is(err, undo) {
		t.Fatal(err)
	}
	if n := count(t, db, `SELECT count(*) FROM node`); n != 0 {
		t.Error("the row outlived the rolled-back transaction")
	}
	if _, err := postgres.SQLTx(db.Gorm); err == nil {
		t.Error("outside a transaction there is none to give")
	}
}

func TestInTx_RollsBackOnAnErrorAndOnAPanic(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	insert := func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO node (id, host) VALUES (1, 'here')`)
		return err
	}
	failed := errors.New("failed")
	if err := postgres.InTx(t.Context(), db.Jobs, func(tx pgx.Tx) error { return errors.Join(insert(tx), failed) }); !errors.Is(err, failed) {
		t.Error(err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = postgres.InTx(t.Context(), db.Jobs, func(tx pgx.Tx) error { _ = insert(tx); panic("stop") })
	}()
	if n := count(t, db, `SELECT count(*) FROM node`); n != 0 {
		t.Error("something was kept")
	}
	if err := postgres.InTx(t.Context(), db.Jobs, insert); err != nil || count(t, db, `SELECT count(*) FROM node`) != 1 {
		t.Error("nothing was kept:", err)
	}
	if used := db.Jobs.Stat().AcquiredConns(); used != 0 {
		t.Error("connections were not given back:", used)
	}
}

func TestOpen_DoesNotRepeatThePassword(t *testing.T) {
	t.Parallel()
	_, err := postgres.Open(t.Context(), "postgres://user:s3cret@host:notaport/db")
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}
}

func TestDeadNodes_SeesANodeWhoseConnectionWasCut(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	self, other := join(t, db), join(t, db)
	if dead := deadNodes(t, db, self.ID()); len(dead) != 0 {
		t.Fatal("nodes that live are called dead:", dead)
	}
	cut(t, db)
	waitFor(t, "the other node is seen as dead", func() bool {
		dead := deadNodes(t, db, self.ID())
		return len(dead) == 1 && dead[0] == other.ID()
	})
	err := postgres.InTx(t.Context(), db.Jobs, func(tx pgx.Tx) error { return postgres.MarkStopped(t.Context(), tx, []int64{other.ID()}) })
	if dead := deadNodes(t, db, self.ID()); err != nil || len(dead) != 0 {
		t.Fatal("a node is taken over once only:", dead, err)
	}

	// Both notice, lock again under their old number, and live on, although one had been declared dead.
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- self.Run(ctx) }()
	go func() { done <- other.Run(ctx) }()
	waitFor(t, "both nodes hold their locks again", func() bool {
		return count(t, db, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 1280049152
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) == 2 &&
			count(t, db, `SELECT count(*) FROM node WHERE stopped_at IS NULL`) == 2
	})
	cancel()
	if err := errors.Join(<-done, <-done); err != nil {
		t.Error(err)
	}

	if err := other.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	waitFor(t, "a node that left is offered for taking over", func() bool {
		dead := deadNodes(t, db, self.ID())
		return len(dead) == 1 && dead[0] == other.ID()
	})
}

func TestDeadNodes_GivesADeadNodeToOnePeerOnly(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if _, err := db.Jobs.Exec(t.Context(), `INSERT INTO node (id, host) VALUES (77, 'gone')`); err != nil {
		t.Fatal(err)
	}
	err := postgres.InTx(t.Context(), db.Jobs, func(tx pgx.Tx) error {
		first, err := postgres.DeadNodes(t.Context(), tx, 1)
		if second := deadNodes(t, db, 2); len(first) != 1 || len(second) != 0 {
			t.Errorf("one peer got %v, the other %v", first, second)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func join(t *testing.T, db *postgres.DB) *postgres.Node {
	t.Helper()
	node, err := postgres.JoinNode(t.Context(), db, "here")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Second)
		defer cancel()
		_ = node.Leave(ctx) // its connection may be cut
	})
	return node
}

// cut ends the sessions of all nodes, as a failing network would.
func cut(t *testing.T, db *postgres.DB) {
	t.Helper()
	if n := count(t, db, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'leadline node' AND datname = current_database()`); n != 2 {
		t.Fatal("sessions cut:", n)
	}
}

func deadNodes(t *testing.T, db *postgres.DB, self int64) (dead []int64) {
	t.Helper()
	err := postgres.InTx(t.Context(), db.Jobs, func(tx pgx.Tx) (err error) {
		dead, err = postgres.DeadNodes(t.Context(), tx, self)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dead
}

func count(t *testing.T, db *postgres.DB, statement string) (n int) {
	t.Helper()
	if err := db.Jobs.QueryRow(t.Context(), statement).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
