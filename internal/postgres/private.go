package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrInUse is wrapped by the error that says that another process runs the server of a data directory.
var ErrInUse = errors.New("the data directory is in use")

// startLimit bounds a start, recovery after a crash included.
const startLimit = 2 * time.Minute

// PrivateOptions describe a private server.
type PrivateOptions struct {
	DataDir  string            // made if missing; the cluster is its folder "postgres" (see locate for the exception)
	BinDir   string            // where initdb and postgres are; empty: look for them
	Settings map[string]string // further PostgreSQL settings, or others than ours
	Log      *slog.Logger      // nil: silent
	Now      func() time.Time  // accepted for uniformity with other Options; the launcher measures nothing
}

// Private is a PostgreSQL server that belongs to this process: reachable only through a socket in a folder that only its owner
// can enter. A goroutine of its own watches the server and starts it again if it dies; Stop ends both.
type Private struct {
	at      place
	as      account
	bin     installation
	options PrivateOptions
	log     *slog.Logger
	lock    *os.File
	adopted bool

	stop    chan struct{} // closed by Stop
	watched chan struct{} // closed when the watcher has ended
	once    sync.Once

	mu     sync.Mutex
	server *process // the one that runs now
}

// StartPrivate starts the private server of a data directory and returns once it answers. A server that a killed process left
// behind is adopted; one that crashed recovers first. One process at a time: a second gets ErrInUse. The caller calls Stop.
func StartPrivate(ctx context.Context, options PrivateOptions) (*Private, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	p, err := newPrivate(ctx, options)
	if err != nil {
		return nil, err
	}
	if err := p.start(ctx); err != nil {
		p.unlock()
		return nil, err
	}
	go p.watch() //nolint:gosec,contextcheck // the server outlives the context of its start; Stop ends it
	return p, nil
}

// newPrivate settles where, as whom and with which programs, and takes the lock.
func newPrivate(ctx context.Context, options PrivateOptions) (*Private, error) {
	p := &Private{options: options, log: options.Log, stop: make(chan struct{}), watched: make(chan struct{})}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if p.as, err = serverAccount(); err != nil {
		return nil, err
	}
	if p.at, err = locate(options.DataDir, p.as); err != nil {
		return nil, err
	}
	mode := os.FileMode(0o700)
	if p.as.switched {
		mode = 0o711 // the server's account passes through to its own folders
	}
	if err := os.MkdirAll(p.at.data, mode); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	major, err := p.at.major()
	if err != nil {
		return nil, err
	}
	if p.bin, err = newFinder(options.BinDir, p.as.mayEnter).find(ctx, major); err != nil {
		return nil, err
	}
	if p.lock, err = takeLock(ctx, p.at); err != nil {
		return nil, err
	}
	return p, nil
}

// start adopts or starts the server and makes sure that our database is in it.
func (p *Private) start(ctx context.Context) error {
	if err := p.at.prepare(p.as); err != nil {
		return err
	}
	if p.server = adopt(ctx, p.at); p.server != nil {
		p.adopted = true
		p.log.Info("found the private PostgreSQL still running and took it over")
		return p.ensureDatabase(ctx)
	}
	if err := p.ensureCluster(ctx); err != nil {
		return err
	}
	server, err := p.launch(ctx)
	if err != nil {
		return err
	}
	p.server = server
	return p.ensureDatabase(ctx)
}

// DSN is the address of the server's database "leadline".
func (p *Private) DSN() string { return p.at.dsn(privateDatabase) }

// Adopted tells whether the server was running already.
func (p *Private) Adopted() bool { return p.adopted }

// Stop shuts the server down in order (open sessions are ended, everything is flushed) and waits for it. When ctx ends first
// it says so and leaves the server alone: the next start adopts it. Further calls do nothing.
func (p *Private) Stop(ctx context.Context) error {
	var err error
	p.once.Do(func() {
		close(p.stop)
		<-p.watched
		p.mu.Lock()
		server := p.server
		p.mu.Unlock()
		if server != nil {
			err = server.shutdown(ctx)
		}
		p.unlock()
	})
	return err
}

// watch starts the server again when it dies unasked.
func (p *Private) watch() {
	defer close(p.watched)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-p.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	pause := 100 * time.Millisecond
	for {
		select {
		case <-p.stop:
			return
		case <-p.server.exited:
		}
		p.log.Error("the private PostgreSQL ended unexpectedly; starting it again", "log", p.at.log())
		server, err := p.launch(ctx)
		if err == nil {
			p.mu.Lock()
			p.server = server
			p.mu.Unlock()
			pause = 100 * time.Millisecond
			continue
		}
		p.log.Error("the private PostgreSQL did not start", "error", err)
		select {
		case <-p.stop:
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// ensureDatabase creates our database in a server that has just answered.
func (p *Private) ensureDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.at.dsn("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the private PostgreSQL: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var found bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, privateDatabase).Scan(&found); err != nil {
		return fmt.Errorf("look for the database: %w", err)
	}
	if found {
		return nil
	}
	if _, err := conn.Exec(ctx, `CREATE DATABASE `+privateDatabase); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	return nil
}

// FindPrivate gives the address of a private server that runs now, started by whichever process: how a command joins a serve.
func FindPrivate(dataDir string) (dsn string, running bool) {
	as, err := serverAccount()
	if err != nil {
		return "", false
	}
	at, err := locate(dataDir, as)
	if err != nil {
		return "", false
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if ping(ctx, at.dsn(privateDatabase)) != nil {
		return "", false
	}
	return at.dsn(privateDatabase), true
}

// takeLock makes this process the only one that starts and stops the server. The operating system frees the lock when the
// process ends, however it ends. It waits a moment, because a command may just be finishing.
func takeLock(ctx context.Context, at place) (*os.File, error) {
	file, err := os.OpenFile(at.lock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the data directory: %w", err)
	}
	for range 20 {
		if err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return file, noteHolder(file)
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	holder := make([]byte, 20)
	n, _ := file.ReadAt(holder, 0) // only decorates the message
	_ = file.Close()
	return nil, fmt.Errorf("%w: another leadline (process %s) serves %s; stop it, or choose another LEADLINE_DATA_DIR", ErrInUse, holder[:n], at.data)
}

func noteHolder(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return fmt.Errorf("write the lock of the data directory: %w", err)
	}
	if _, err := file.WriteAt(fmt.Appendf(nil, "%d", os.Getpid()), 0); err != nil {
		return fmt.Errorf("write the lock of the data directory: %w", err)
	}
	return nil
}

// unlock leaves the file in place: removing it would let two processes hold two locks of one name.
func (p *Private) unlock() { _ = p.lock.Close() }
