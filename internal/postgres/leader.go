package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	leaderLimit = 3 * time.Second // for one round trip
	leaderClose = time.Second
)

// Leader is the right to do what one process does for all. It is a session advisory lock on a connection of its own, so that it falls with
// the process and another takes over. One goroutine uses it.
type Leader struct {
	db   *DB
	name string
	lock int64
	conn *pgx.Conn // nil: another process has it, or nobody was asked yet
}

// NewLeader makes a Leader that has nothing yet. Processes with the same lock compete; name is for whoever looks at sessions.
func NewLeader(db *DB, name string, lock int64) *Leader {
	return &Leader{db: db, name: name, lock: lock}
}

// Leads tells whether this process has the right, and takes it if nobody has. After an error it has not.
func (l *Leader) Leads(ctx context.Context) (bool, error) {
	limited, cancel := context.WithTimeout(ctx, leaderLimit)
	defer cancel()
	if l.conn != nil {
		err := l.conn.Ping(limited)
		if err != nil {
			l.Leave(ctx)
			err = fmt.Errorf("ask who leads in %s: %w", l.name, err)
		}
		return err == nil, err
	}
	conn, err := l.db.Connect(limited, l.name)
	if err != nil {
		return false, err
	}
	var mine bool
	err = conn.QueryRow(limited, `SELECT pg_try_advisory_lock($1)`, l.lock).Scan(&mine)
	l.conn = conn
	if err != nil || !mine {
		l.Leave(ctx)
	}
	if err != nil {
		return false, fmt.Errorf("ask who leads in %s: %w", l.name, err)
	}
	return mine, nil
}

// Leave gives the right up. It works even when the context has ended, and does nothing without it.
func (l *Leader) Leave(ctx context.Context) {
	if l.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaderClose)
	defer cancel()
	_ = l.conn.Close(ctx) // it is gone either way
	l.conn = nil
}
