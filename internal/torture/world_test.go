package torture_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres"
)

// patience is how long a condition may take before a test gives up on it. Generous: CI shares two cores with everything else.
const patience = 2 * time.Minute

// playbook offers every lead to a pool: whoever is there, nobody needs to be. Visitors who try again through an outage send more often
// than people fill in forms, so that rule is off: a held lead is kept too, but nobody is offered it.
const playbook = `
version: 1
forms:
  - {slug: demo, name: Demo request, intent: high, dedupe_window: 60m, limits: {per_person: none}, consent: {text_version: v3}}
teams:
  - {slug: dach, name: DACH, timezone: Europe/Berlin}
reps:
  - {email: mia@example.com, name: Mia, team: dach, timezone: Europe/Berlin, hours: "Mon-Sun 00:00-24:00"}
pools:
  - {slug: open, strategy: pull, members: [{rep: mia@example.com}]}
rules:
  - {name: Everything, band: default, when: {}, then: {pool: open}}
connections:
  - {slug: crm, kind: webhook, base_url: "SANDBOX/webhook", secret: "env:WEBHOOK_SECRET"}
`

const webhookSecret = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="

// world is two servers on one database, and a CRM. The database belongs to the test, so that servers and database die independently.
type world struct {
	t        *testing.T
	dir      string
	home     string // the database's
	database *postgres.Private
	wire     *wire // between servers and database; nil: none
	asked    *pgx.Conn
	sandbox  string
	env      []string
	servers  []*server
}

// server is one of the installation's processes, over all its lives.
type server struct {
	w    *world
	name string
	addr string
	url  string
	life *process
	node int64 // of this life
}

// process is a started program.
type process struct {
	cmd    *exec.Cmd
	stdout *lines
	stderr *lines
	orders *os.File // arms failpoints; nil: none
	done   chan struct{}
	ended  time.Time // valid once done is closed
}

// lines collects what a process prints.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// newWorld starts a database, a CRM that takes its time, and n servers. With wired they reach the database through a wire.
func newWorld(t *testing.T, n int, wired bool) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	for d := w.dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil { // the user that PostgreSQL runs as must pass through
			t.Fatal(err)
		}
	}
	var err error
	w.database, err = postgres.StartPrivate(t.Context(), postgres.PrivateOptions{
		DataDir: w.databaseDir(), Now: time.Now, Settings: map[string]string{"max_connections": "300", "shared_buffers": "64MB", "max_wal_size": "512MB"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := w.database.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	address, err := url.Parse(w.database.DSN())
	if err != nil {
		t.Fatal(err)
	}
	dsn := w.database.DSN()
	if wired {
		w.wire = newWire(t, filepath.Join(address.Query().Get("host"), ".s.PGSQL."+address.Query().Get("port")))
		dsn = "postgres://" + address.User.Username() + "@" + w.wire.addr + address.Path + "?sslmode=disable"
	}
	w.env = append(os.Environ(),
		"LEADLINE_OUTBOUND_ALLOW=127.0.0.0/8", "LEADLINE_LOG_LEVEL=info", "WEBHOOK_SECRET="+webhookSecret,
		"LEADLINE_SECRET="+base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)),
		"DATABASE_URL="+dsn)
	w.startSandbox()
	w.command("migrate")
	file := filepath.Join(w.dir, "playbook.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(playbook, "SANDBOX", w.sandbox)), 0o600); err != nil {
		t.Fatal(err)
	}
	w.command("apply", file)
	for i := range n {
		s := &server{w: w, name: string(rune('a' + i)), addr: freeAddr(t)}
		s.url = "http://" + s.addr
		w.servers = append(w.servers, s)
		s.start()
	}
	return w
}

// databaseDir is on disk for figures. Otherwise it is in memory where there is enough: what dies here are processes, not machines.
func (w *world) databaseDir() string {
	w.t.Helper()
	w.home = filepath.Join(w.dir, "database")
	var memory syscall.Statfs_t
	if full() || syscall.Statfs("/dev/shm", &memory) != nil || memory.Bavail*uint64(memory.Bsize) < 2<<30 {
		return w.home
	}
	dir, err := os.MkdirTemp("/dev/shm", "leadline-torture-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w.home = filepath.Join(dir, "database")
	return w.home
}

func (w *world) startSandbox() {
	w.t.Helper()
	box := w.start(nil, "sandbox", "--addr", "127.0.0.1:0", "--webhook-secret", webhookSecret)
	w.eventually("the sandbox to print its address", func() bool {
		_, after, ok := strings.Cut(box.stdout.String(), "http://")
		w.sandbox = "http://" + strings.TrimSpace(after)
		return ok && strings.HasSuffix(after, "\n")
	})
	res, err := http.Post(w.sandbox+"/_control/faults", "application/json", strings.NewReader(`{"vendor":"webhook","latency_ms":20,"jitter_ms":60}`))
	if err != nil {
		w.t.Fatal(err)
	}
	_ = res.Body.Close()
}

// start begins a server's life and waits until it takes leads. One that ends at once, because the database does not answer in time, is
// started again, as a service manager would do.
func (s *server) start() {
	s.w.t.Helper()
	launch := func() {
		s.life = s.w.start([]string{
			"LEADLINE_ADDR=" + s.addr, "LEADLINE_PUBLIC_URL=" + s.url, "LEADLINE_DATA_DIR=" + filepath.Join(s.w.dir, s.name),
		}, "serve")
	}
	launch()
	s.w.eventually("server "+s.name+" to be ready", func() bool {
		if s.life.over() {
			s.w.t.Logf("server %s ended and is started again: %s", s.name, tail(s.life.stderr.String(), 300))
			launch()
		}
		res, err := probe.Get(s.url + "/readyz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	if err := s.w.row(`SELECT max(id) FROM node`, &s.node); err != nil {
		s.w.t.Fatal(err)
	}
}

var probe = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// order arms failpoints of a server's present life. A server that has just died takes no orders, which its waiter notices.
func (s *server) order(what string) { _, _ = s.life.orders.WriteString(what + "\n") }

// start runs leadline in the background; it is ended with the test.
func (w *world) start(settings []string, args ...string) *process {
	w.t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = append(append(append([]string{}, w.env...), settings...), "FAILPOINT_PIPE=3")
	cmd.ExtraFiles = []*os.File{read}
	p := w.run(cmd)
	p.orders = write
	_ = read.Close() // the process has its own
	return p
}

// run starts a command and ends it with the test.
func (w *world) run(cmd *exec.Cmd) *process {
	w.t.Helper()
	p := &process{cmd: cmd, stdout: &lines{}, stderr: &lines{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait()
		p.ended = time.Now()
		close(p.done)
	}()
	w.t.Cleanup(func() {
		p.stop()
		if w.t.Failed() {
			w.t.Logf("%s said:\n%s", strings.Join(cmd.Args, " "), tail(p.stderr.String(), 3000))
		}
	})
	return p
}

func (p *process) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop ends a process as a person would, with a signal, and waits.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	if p.orders != nil {
		_ = p.orders.Close()
	}
}

// command runs leadline to its end.
func (w *world) command(args ...string) {
	w.t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(append([]string{}, w.env...), "LEADLINE_DATA_DIR="+filepath.Join(w.dir, "a"))
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("leadline %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// row asks the database itself, past the wire. It is for the test's own goroutine.
func (w *world) row(sql string, into ...any) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if w.asked == nil || w.asked.IsClosed() {
		if w.asked, err = pgx.Connect(ctx, w.database.DSN()); err != nil {
			w.asked = nil
			return err
		}
	}
	return w.asked.QueryRow(ctx, sql).Scan(into...)
}

// eventually waits for a condition, without guessing how long it takes.
func (w *world) eventually(what string, cond func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !cond(); {
		if time.Now().After(deadline) {
			w.t.Fatalf("gave up waiting for %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func tail(s string, n int) string {
	if len(s) > n {
		return s[len(s)-n:]
	}
	return s
}

// killDatabase ends PostgreSQL and all its children at once, and returns when it happened. The launcher starts it again.
func (w *world) killDatabase() time.Time {
	w.t.Helper()
	pid := w.postmaster()
	_ = syscall.Kill(pid, syscall.SIGSTOP) // so that it starts no more children
	at := time.Now()
	for _, child := range childrenOf(w.t, pid) {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		w.t.Fatalf("kill PostgreSQL: %v", err)
	}
	return at
}

func (w *world) postmaster() int {
	w.t.Helper()
	home := w.home
	if text, err := os.ReadFile(filepath.Join(home, "postgres.location")); err == nil {
		home = strings.TrimSpace(string(text))
	}
	var pid int
	text, err := os.ReadFile(filepath.Join(home, "postgres", "postmaster.pid"))
	if err == nil {
		_, err = fmt.Sscan(string(text), &pid)
	}
	if err != nil {
		w.t.Fatalf("find PostgreSQL: %v", err)
	}
	return pid
}

// childrenOf reads the process table.
func childrenOf(t *testing.T, parent int) []int {
	t.Helper()
	out, err := exec.Command("ps", "-o", "pid=", "--ppid", fmt.Sprint(parent)).Output()
	if err != nil {
		t.Fatalf("list PostgreSQL's processes: %v", err)
	}
	var pids []int
	for _, word := range strings.Fields(string(out)) {
		var pid int
		if _, err := fmt.Sscan(word, &pid); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}
