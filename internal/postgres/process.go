package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// logLimit is the size from which the server's log is put aside at the next start; one old log is kept.
const logLimit = 10 << 20

// settings of the private server. Nothing here weakens durability. Its log keeps only what concerns the server itself: a
// statement that fails would print a visitor's data.
var settings = map[string]string{
	"listen_addresses":        "",
	"unix_socket_permissions": "0700",
	"max_connections":         "120",
	"shared_buffers":          "128MB",
	"max_wal_size":            "2GB",
	"min_wal_size":            "128MB",
	"checkpoint_timeout":      "15min",
	"random_page_cost":        "1.1",
	"timezone":                "UTC",
	"log_timezone":            "UTC",
	"logging_collector":       "off",
	"log_destination":         "stderr",
	"log_min_messages":        "log",
	"log_min_error_statement": "panic",
	"log_error_verbosity":     "terse",
	"log_line_prefix":         "%m [%p] ",
	"cluster_name":            "leadline",
	"restart_after_crash":     "on",
}

// process is a running server: our child, or an orphan that was adopted.
type process struct {
	pid    int
	exited chan struct{} // closed when it is gone
}

// adopt returns the server that already answers at a place, or nil. Its end is noticed by looking, because only a parent can
// wait for a process; the goroutine ends with the server.
func adopt(ctx context.Context, at place) *process {
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	pid := at.pid()
	if pid == 0 || ping(short, at.dsn("postgres")) != nil {
		return nil
	}
	s := &process{pid: pid, exited: make(chan struct{})}
	go func() {
		defer close(s.exited)
		// The file goes when the server has finished, even where nobody collects an orphan's exit status.
		for alive(pid) && at.pid() == pid {
			time.Sleep(100 * time.Millisecond)
		}
	}()
	return s
}

// alive tells whether a process exists, whoever owns it.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// ping proves that a server takes connections.
func ping(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// ensureCluster makes the database files under another name and renames them when they are complete, so that a crash in the
// middle leaves nothing that looks like a database.
func (p *Private) ensureCluster(ctx context.Context) error {
	stale, _ := filepath.Glob(filepath.Join(p.at.home, "postgres.new-*")) // the only error is a bad pattern
	for _, dir := range stale {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove a half-made database: %w", err)
		}
	}
	if exists(filepath.Join(p.at.cluster(), "PG_VERSION")) {
		return nil
	}
	dir := fmt.Sprintf("%s.new-%d", p.at.cluster(), os.Getpid())
	if err := p.as.own(dir); err != nil {
		return fmt.Errorf("make the database folder: %w", err)
	}
	initdb := exec.CommandContext(ctx, filepath.Join(p.bin.dir, "initdb"), "-D", dir, "-U", privateUser, "-A", "trust", "-E", "UTF8", "--locale=C", "--data-checksums") //nolint:gosec // arguments are ours
	initdb.SysProcAttr = p.as.attributes()
	initdb.Dir = "/"
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("create the private database: %w: %s", err, bytes.TrimSpace(out))
	}
	if err := os.Rename(dir, p.at.cluster()); err != nil {
		return fmt.Errorf("put the private database in place: %w", err)
	}
	return nil
}

// launch starts the server and waits until it answers. A start is tried again for some seconds, because what a crash left
// behind (a server still shutting down, children that hold its memory) goes away by itself.
func (p *Private) launch(ctx context.Context) (*process, error) {
	for attempt := 0; ; attempt++ {
		server, err := p.launchOnce(ctx)
		if err == nil {
			return server, nil
		}
		if found := adopt(ctx, p.at); found != nil {
			return found, nil
		}
		if attempt == 50 {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (p *Private) launchOnce(ctx context.Context) (*process, error) {
	output, err := p.openLog()
	if err != nil {
		return nil, err
	}
	defer func() { _ = output.Close() }() // the server has its own copy
	begin, err := output.Seek(0, 2)
	if err != nil {
		return nil, fmt.Errorf("open the private PostgreSQL's log: %w", err)
	}
	// Not CommandContext: the server outlives the context of its start.
	cmd := exec.Command(filepath.Join(p.bin.dir, "postgres"), p.arguments()...) //nolint:gosec,noctx // arguments are ours
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", output, output
	// Pdeathsig is not used: it fires when the thread that forked ends, not the process.
	cmd.SysProcAttr = p.as.attributes()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the private PostgreSQL: %w", err)
	}
	s := &process{pid: cmd.Process.Pid, exited: make(chan struct{})}
	go func() {
		defer close(s.exited)
		_ = cmd.Wait() // how it ended is in its log
	}()
	if err := s.ready(ctx, p.at.dsn("postgres")); err != nil {
		return nil, fmt.Errorf("%w; its log says: %s", err, p.logSince(begin))
	}
	return s, nil
}

// ready waits until the server takes connections. A real connection is the only reliable sign.
func (s *process) ready(ctx context.Context, dsn string) error {
	for {
		if ping(ctx, dsn) == nil {
			return nil
		}
		select {
		case <-s.exited:
			return errors.New("the private PostgreSQL ended while starting")
		case <-ctx.Done():
			_ = s.shutdown(context.WithoutCancel(ctx)) // the caller learns why from the context
			return fmt.Errorf("the private PostgreSQL did not get ready: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// shutdown ends the server in order: SIGINT is PostgreSQL's "fast" way.
func (s *process) shutdown(ctx context.Context) error {
	select {
	case <-s.exited: // its number may belong to somebody else by now
		return nil
	default:
	}
	if err := syscall.Kill(s.pid, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop the private PostgreSQL: %w", err)
	}
	select {
	case <-s.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the private PostgreSQL is still shutting down (process %d): %w", s.pid, ctx.Err())
	}
}

func (p *Private) arguments() []string {
	merged := map[string]string{"unix_socket_directories": p.at.sockets}
	for _, from := range []map[string]string{settings, p.options.Settings} {
		for key, value := range from {
			merged[key] = value
		}
	}
	keys := make([]string, 0, len(merged))
	for key := range merged {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	arguments := []string{"-D", p.at.cluster()}
	for _, key := range keys {
		arguments = append(arguments, "-c", key+"="+merged[key])
	}
	return arguments
}

func (p *Private) openLog() (*os.File, error) {
	if info, err := os.Stat(p.at.log()); err == nil && info.Size() > logLimit {
		if err := os.Rename(p.at.log(), p.at.log()+".1"); err != nil {
			return nil, fmt.Errorf("put the old PostgreSQL log aside: %w", err)
		}
	}
	file, err := os.OpenFile(p.at.log(), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the private PostgreSQL's log: %w", err)
	}
	return file, nil
}

// logSince gives what the server wrote since a position, on one line.
func (p *Private) logSince(begin int64) string {
	text, err := os.ReadFile(p.at.log())
	if err != nil || int64(len(text)) <= begin {
		return "nothing (" + p.at.log() + ")"
	}
	text = text[begin:]
	if len(text) > 1000 {
		text = text[len(text)-1000:]
	}
	return strings.Join(strings.Fields(string(text)), " ")
}
