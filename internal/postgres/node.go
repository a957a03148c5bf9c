package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// nodeLock is the class of the advisory locks by which processes show that they live; the node's id is added.
const nodeLock int64 = 0x4C4C << 48

const (
	nodeCheck   = time.Second            // how often the session is proved to be alive
	nodeTimeout = 2 * time.Second        // for one round trip of it
	nodeRetry   = 100 * time.Millisecond // between attempts to get a lost lock back
)

// Node is this process among its peers. While it lives it holds a session advisory lock on a connection of its own; the lock
// falls with the process, and peers take over what it had leased. Whoever joined calls Run in a goroutine and Leave at the end.
type Node struct {
	id int64
	db *DB

	mu sync.Mutex
	// conn must stay referenced: a connection that is collected closes its socket, and the lock falls.
	conn *pgx.Conn
}

// JoinNode makes this process known and takes its lock. The lock is taken before the row is written, so that no peer ever sees
// a new node that looks dead.
func JoinNode(ctx context.Context, db *DB, host string) (*Node, error) {
	n := &Node{db: db}
	conn, err := n.connect(ctx)
	if err != nil {
		return nil, err
	}
	n.conn = conn
	if err := n.enter(ctx, host); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("join as a node: %w", err)
	}
	return n, nil
}

func (n *Node) enter(ctx context.Context, host string) error {
	if err := n.conn.QueryRow(ctx, `SELECT nextval('node_id')`).Scan(&n.id); err != nil {
		return err
	}
	if err := n.lock(ctx, n.conn); err != nil {
		return err
	}
	_, err := n.conn.Exec(ctx, `INSERT INTO node (id, host) VALUES ($1, $2)`, n.id, host)
	return err
}

// connect opens the session that holds the lock. The server is asked to notice within seconds when we are gone without a
// word; on a local socket these settings have no effect and none is needed.
func (n *Node) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := n.db.Connect(ctx, "node")
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, `SELECT set_config('tcp_keepalives_idle', '2', false), set_config('tcp_keepalives_interval', '1', false),
		set_config('tcp_keepalives_count', '3', false), set_config('idle_session_timeout', '0', false)`)
	if err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("prepare the node's session: %w", err)
	}
	return conn, nil
}

// lock does not wait: it fails while the server still knows an older session of ours, or while a peer takes over what we had.
func (n *Node) lock(ctx context.Context, conn *pgx.Conn) error {
	var locked bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, nodeLock|n.id).Scan(&locked); err != nil {
		return fmt.Errorf("lock node %d: %w", n.id, err)
	}
	if !locked {
		return errors.New("the node's lock is held elsewhere")
	}
	return nil
}

// ID is the number under which leads and deliveries are leased to this process.
func (n *Node) ID() int64 { return n.id }

// Run keeps the lock until ctx ends, and returns nil then. A lost connection is replaced as soon as the database answers; if
// peers declared this node dead in between, it is marked as living again.
func (n *Node) Run(ctx context.Context) error {
	tick := time.NewTicker(nodeCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for n.check(ctx) != nil {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(nodeRetry):
			}
		}
	}
}

// check proves that the session lives, or replaces it.
func (n *Node) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn != nil {
		if n.conn.Ping(ctx) == nil {
			return nil
		}
		_ = n.conn.Close(ctx) // it is broken; closing frees our side
		n.conn = nil
	}
	conn, err := n.connect(ctx)
	if err != nil {
		return err
	}
	if err := n.reenter(ctx, conn); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return err
	}
	n.conn = conn
	return nil
}

func (n *Node) reenter(ctx context.Context, conn *pgx.Conn) error {
	if err := n.lock(ctx, conn); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `UPDATE node SET stopped_at = NULL WHERE id = $1 AND stopped_at IS NOT NULL`, n.id); err != nil {
		return fmt.Errorf("mark node %d as living: %w", n.id, err)
	}
	return nil
}

// Leave gives the lock up. The row is not marked as stopped: whoever looks for dead nodes next does that, together with
// taking over at once what this process may have left unfinished.
func (n *Node) Leave(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn == nil {
		return nil
	}
	err := n.conn.Close(ctx)
	n.conn = nil
	if err != nil {
		return fmt.Errorf("leave as a node: %w", err)
	}
	return nil
}

// DeadNodes lists nodes other than self whose process is gone and whose work nobody has taken over yet. It locks each for the
// rest of tx, so that one peer does so; MarkStopped in the same tx completes it.
func DeadNodes(ctx context.Context, tx pgx.Tx, self int64) ([]int64, error) {
	// Materialized: the lock must be tried on candidates alone, never on rows that the condition would have left out.
	rows, err := tx.Query(ctx, `WITH candidate AS MATERIALIZED (SELECT id FROM node WHERE stopped_at IS NULL AND id <> $1 ORDER BY id)
		SELECT id FROM candidate WHERE pg_try_advisory_xact_lock($2 | id)`, self, nodeLock)
	if err != nil {
		return nil, fmt.Errorf("look for dead nodes: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("look for dead nodes: %w", err)
	}
	return ids, nil
}

// MarkStopped notes that nothing of these nodes is left to take over.
func MarkStopped(ctx context.Context, tx pgx.Tx, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, `UPDATE node SET stopped_at = clock_timestamp() WHERE id = ANY($1)`, ids); err != nil {
		return fmt.Errorf("mark nodes as stopped: %w", err)
	}
	return nil
}
