package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres"
	"leadline/migrations"
)

const (
	prefix       = "leadline_test_"     // of the tests' databases
	templates    = "leadline_template_" // of the templates, followed by the schema's checksum
	templateLock = 0x4C4E << 48         // advisory lock: one process builds the template
	memoryNeeded = 2 << 30              // bytes that must be free in memory for the cluster to live there
)

// server is where the tests' databases are.
type server struct {
	admin    string // address of a database in which others can be created
	template string // name of the migrated template
}

// shared finds or starts the server, once for this process.
var shared = sync.OnceValues(func() (*server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	s := &server{admin: os.Getenv("TEST_DATABASE_URL")}
	if s.admin == "" {
		var err error
		if s.admin, err = joinPrivate(ctx); err != nil {
			return nil, err
		}
	} else if u, err := url.Parse(s.admin); err != nil || u.Scheme == "" {
		return nil, errors.New("TEST_DATABASE_URL must be a URL such as postgres://user@host/database")
	}
	return s, s.ensureTemplate(ctx)
})

// inUse is held open for the life of the process: its shared lock tells the keeper that somebody still needs the server.
var inUse atomic.Pointer[os.File]

// joinPrivate gives the address of the tests' private server. The first process starts it; when that one ends the server goes
// on without it, and later processes find it by its socket.
func joinPrivate(ctx context.Context) (string, error) {
	dir := serverDir()
	if err := os.MkdirAll(dir, 0o711); err != nil { //nolint:gosec // for root, the server's account must pass through
		return "", fmt.Errorf("make the folder of the test server: %w", err)
	}
	users, err := flock(filepath.Join(dir, "users.lock"), syscall.LOCK_SH)
	if err != nil {
		return "", err
	}
	inUse.Store(users)
	start, err := flock(filepath.Join(dir, "start.lock"), syscall.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer func() { _ = start.Close() }()
	if dsn, running := postgres.FindPrivate(dir); running { //nolint:contextcheck // it limits itself
		return dsn, nil
	}
	private, err := postgres.StartPrivate(ctx, postgres.PrivateOptions{DataDir: dir, Now: time.Now, Settings: map[string]string{
		"max_connections": "400", "max_wal_size": "256MB", "min_wal_size": "32MB",
	}})
	if err != nil {
		return "", err
	}
	if err := keep(dir); err != nil {
		return "", err
	}
	return private.DSN(), sweep(ctx, private.DSN())
}

// serverDir prefers memory: the settings stay those of the product, but a flush costs nothing.
func serverDir() string {
	base := os.TempDir()
	var disk syscall.Statfs_t
	if syscall.Statfs("/dev/shm", &disk) == nil && disk.Bavail*uint64(disk.Bsize) > memoryNeeded { //nolint:gosec // a block size is positive
		base = "/dev/shm"
	}
	return filepath.Join(base, fmt.Sprintf("leadline-test-%d", os.Getuid()))
}

func flock(name string, how int) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // a name of ours
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
	}
}

// keeper waits until no test process is left, then stops the server in order. Whoever comes meanwhile waits for the lock.
const keeper = `pid=$(head -n 1 "$1/postgres/postmaster.pid") && kill -INT "$pid" && while [ -e "$1/postgres/postmaster.pid" ]; do sleep 0.05; done`

// keep starts the keeper, which outlives this process. Where there is no flock(1) the server stays up for the next run.
func keep(dir string) error {
	program, err := exec.LookPath("flock")
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	cmd := exec.Command(program, "-x", filepath.Join(dir, "users.lock"), "sh", "-c", keeper, "sh", dir) //nolint:gosec,noctx // arguments are ours
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the keeper of the test server: %w", err)
	}
	return cmd.Process.Release()
}

// sweep drops what killed tests left behind, and templates of other schemas. Nobody uses them: the server has just started.
func sweep(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connect to sweep: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	wanted, err := templateName()
	if err != nil {
		return err
	}
	rows, err := conn.Query(ctx, `SELECT datname FROM pg_database WHERE (starts_with(datname, $1) OR starts_with(datname, $2)) AND datname <> $3`,
		prefix, templates, wanted)
	if err != nil {
		return fmt.Errorf("list old databases: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list old databases: %w", err)
	}
	for _, name := range names {
		if _, err := conn.Exec(ctx, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err != nil {
			return fmt.Errorf("drop %s: %w", name, err)
		}
	}
	return nil
}

func templateName() (string, error) {
	checksum, err := migrations.Checksum()
	if err != nil {
		return "", err
	}
	return templates + checksum[:12], nil
}

// ensureTemplate builds the migrated template unless it is there. It gets its name last: a half-built one is never cloned.
func (s *server) ensureTemplate(ctx context.Context) error {
	var err error
	if s.template, err = templateName(); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, s.admin)
	if err != nil {
		return fmt.Errorf("connect to the test server: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(templateLock)); err != nil {
		return fmt.Errorf("wait for the template: %w", err)
	}
	var there bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, s.template).Scan(&there); err != nil || there {
		return err
	}
	building := s.template + "_new"
	for _, statement := range []string{`DROP DATABASE IF EXISTS ` + building + ` WITH (FORCE)`, `CREATE DATABASE ` + building + ` TEMPLATE template0`} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("begin the template: %w", err)
		}
	}
	if err := s.migrate(ctx, building); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `ALTER DATABASE `+building+` RENAME TO `+s.template); err != nil {
		return fmt.Errorf("finish the template: %w", err)
	}
	return nil
}

func (s *server) migrate(ctx context.Context, database string) error {
	db, err := postgres.Open(ctx, s.address(database))
	if err != nil {
		return err
	}
	defer db.Close()
	return migrations.Up(ctx, db.Jobs)
}
