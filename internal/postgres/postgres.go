// Package postgres owns every way in which the product meets PostgreSQL: pools that cannot starve one another, dedicated
// connections, transactions, the identity of this process among its peers, the check that the server cannot lose what it
// acknowledged, and a private server for installations that bring none.
//
// It knows nothing of leads. It assumes a direct or session-pooled connection, because advisory locks and LISTEN live in a
// session. main opens one DB and hands it to the packages that have a store; tests get theirs from pgtest.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"

	"leadline/internal/failpoint"
)

// poolSize bounds each pool. Capture has connections of its own, so that neither consoles nor jobs can starve it.
const poolSize = 16

// Limits that apply to every session of a pool. A session that is idle inside a transaction holds back vacuum and row locks.
const (
	consoleStatement = 15 * time.Second
	consoleIdleInTx  = 30 * time.Second
	jobsStatement    = time.Minute
	jobsIdleInTx     = time.Minute
)

// DB is the product's connections to one database. It is safe for concurrent use; its owner calls Close once.
type DB struct {
	Console *pgxpool.Pool // requests of people and programs
	Jobs    *pgxpool.Pool // River, sweepers and everything else that nobody waits for
	Path    *pgxpool.Pool // the few statements that every lead runs through: planned once, see FixedPlans
	SQL     *sql.DB       // database/sql over Console: no second pool
	Gorm    *gorm.DB      // over SQL; never AutoMigrate

	base *pgx.ConnConfig
}

// FixedPlans are the settings of sessions that run the same few statements for every lead, all of which look rows up by their
// keys. Planning such a statement anew costs more than running it; without sequential scans its one plan stays right from the
// first lead to the ten-millionth.
const FixedPlans = `SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off`

// LookUps are settings for sessions in which every statement goes from a few keys to the rows that have them: a plan that was made while a
// table was empty would else read the whole of it for each batch, until the server has looked at the table again.
const LookUps = `SET enable_hashjoin = off; SET enable_mergejoin = off`

// Open connects to the database that dsn names and proves with one round trip per pool that it answers.
func Open(ctx context.Context, dsn string) (*DB, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read DATABASE_URL: %w", hideDSN(err))
	}
	prepareConn(config.ConnConfig)

	db := &DB{base: config.ConnConfig.Copy()}
	if db.Console, err = openPool(ctx, config, "console", consoleStatement, consoleIdleInTx); err != nil {
		return nil, err
	}
	if db.Jobs, err = openPool(ctx, config, "jobs", jobsStatement, jobsIdleInTx); err != nil {
		db.Console.Close()
		return nil, err
	}
	if db.Path, err = openPool(ctx, config, "path", jobsStatement, jobsIdleInTx, FixedPlans, LookUps); err != nil {
		db.Jobs.Close()
		db.Console.Close()
		return nil, err
	}
	db.SQL = stdlib.OpenDBFromPool(db.Console)
	if db.Gorm, err = openGorm(db.SQL); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// Close gives all pooled connections back. Connections made by Connect belong to whoever asked for them.
func (d *DB) Close() {
	_ = d.SQL.Close() // only the wrapper: it reports nothing that the pools do not
	d.Path.Close()
	d.Jobs.Close()
	d.Console.Close()
}

// Connect opens a dedicated connection outside the pools, for sessions that hold locks, listen or must never queue behind
// somebody else's work. app is shown by pg_stat_activity. The caller keeps a reference and closes it.
func (d *DB) Connect(ctx context.Context, app string) (*pgx.Conn, error) {
	config := d.base.Copy()
	config.RuntimeParams["application_name"] = "leadline " + app
	config.DialFunc = failpoint.Dial(app, config.DialFunc)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the database for %s: %w", app, err)
	}
	teachTypes(conn)
	return conn, nil
}

// prepareConn sets what every connection shares, pooled or not.
func prepareConn(config *pgx.ConnConfig) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
		// A dead peer is noticed within seconds instead of the kernel's hours.
		config.DialFunc = (&net.Dialer{Timeout: config.ConnectTimeout, KeepAlive: 10 * time.Second}).DialContext
	}
	if config.ValidateConnect == nil {
		// After a failover the old primary may still answer: only a server that takes writes will do.
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
}

func openPool(ctx context.Context, base *pgxpool.Config, app string, statement, idleInTx time.Duration, settings ...string) (*pgxpool.Pool, error) {
	config := base.Copy()
	config.MaxConns = poolSize
	config.MinIdleConns = 1
	config.MaxConnLifetime = time.Hour
	config.MaxConnLifetimeJitter = 10 * time.Minute
	config.MaxConnIdleTime = 5 * time.Minute
	config.ConnConfig.RuntimeParams["application_name"] = "leadline " + app
	// By statement rather than as start-up parameters: session poolers refuse parameters they do not know.
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		teachTypes(conn)
		_, err := conn.Exec(ctx, `SELECT set_config('statement_timeout', $1, false), set_config('idle_in_transaction_session_timeout', $2, false)`,
			milliseconds(statement), milliseconds(idleInTx))
		for _, more := range settings {
			if err == nil {
				_, err = conn.Exec(ctx, more)
			}
		}
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the %s pool: %w", app, err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("reach the database (is DATABASE_URL right and PostgreSQL up?): %w", err)
	}
	return pool, nil
}

// hideDSN keeps what a parse error may quote, a password among it, out of messages.
func hideDSN(err error) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		return errors.New("it is no valid connection string")
	}
	return err
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
