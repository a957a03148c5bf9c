// Package pgtest gives every test a PostgreSQL database of its own, migrated and empty.
//
// The server is the one that TEST_DATABASE_URL names, or a private one that the product's own launcher starts: the first test
// process starts it, all others join, and it is stopped once the last has ended. Databases are clones of a template, so tests
// may commit, listen and run in parallel. Nothing is skipped for want of a database.
package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres"
)

// New gives a migrated, empty database with open pools. Both are gone when the test has ended.
func New(t testing.TB) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), NewDSN(t))
	if err != nil {
		t.Fatal("pgtest:", err)
	}
	t.Cleanup(db.Close) // runs before the database is dropped
	return db
}

// NewDSN is New for tests that start the product itself: only the address of the database.
func NewDSN(t testing.TB) string {
	t.Helper()
	return clone(t, func(s *server) string { return s.template })
}

// NewEmpty gives the address of a database without any schema, for tests of migrations.
func NewEmpty(t testing.TB) string {
	t.Helper()
	return clone(t, func(*server) string { return "template0" })
}

func clone(t testing.TB, template func(*server) string) string {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal("pgtest:", err)
	}
	name := prefix + hex.EncodeToString(random())
	if err := s.exec(t.Context(), `CREATE DATABASE `+name+` TEMPLATE `+template(s)); err != nil {
		t.Fatal("pgtest: create a database:", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
		defer cancel()
		if err := s.exec(ctx, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err != nil {
			t.Error("pgtest: drop the database:", err)
		}
	})
	return s.address(name)
}

func random() []byte {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return b
}

// exec runs one statement on a connection of its own: tests come in parallel and a clone takes a while.
func (s *server) exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, s.admin)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, statement)
	return err
}

// address is the admin's address with another database.
func (s *server) address(database string) string {
	u, err := url.Parse(s.admin)
	if err != nil {
		panic("pgtest: " + err.Error()) // parsed before
	}
	u.Path = "/" + database
	return u.String()
}
