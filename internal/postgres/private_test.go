package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres"
)

// roleVariable makes this test binary play the app that is killed.
const roleVariable = "LEADLINE_TEST_PRIVATE_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(roleVariable); dir != "" {
		os.Exit(playApp(dir))
	}
	os.Exit(m.Run())
}

// playApp starts a private server, says so, and waits to be killed.
func playApp(dir string) int {
	private, err := postgres.StartPrivate(context.Background(), postgres.PrivateOptions{DataDir: dir, Now: time.Now})
	if err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	fmt.Println("ready", private.PID())
	select {}
}

func start(t *testing.T, dir string) *postgres.Private {
	t.Helper()
	private, err := postgres.StartPrivate(t.Context(), postgres.PrivateOptions{DataDir: dir, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, private) })
	return private
}

func stop(t *testing.T, private *postgres.Private) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	if err := private.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func query(t *testing.T, dsn, statement string) (answer string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := conn.QueryRow(t.Context(), statement).Scan(&answer); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatal(err)
	}
	return answer
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for !condition() {
		select {
		case <-limit:
			t.Fatal("waited in vain until", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestPrivate_KeepsItsDataAcrossAStopAndIsFoundOnlyWhileItRuns(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	first := start(t, dir)
	query(t, first.DSN(), `CREATE TABLE kept AS SELECT 'yes' AS answer`)
	if dsn, running := postgres.FindPrivate(dir); !running || dsn != first.DSN() {
		t.Error("a running server was not found:", dsn)
	}
	_, err := postgres.StartPrivate(t.Context(), postgres.PrivateOptions{DataDir: dir, Now: time.Now})
	if !errors.Is(err, postgres.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Error("a second start on one data directory must be refused and name the first process:", err)
	}
	stop(t, first)
	if _, running := postgres.FindPrivate(dir); running {
		t.Error("a stopped server was found")
	}
	if second := start(t, dir); second.Adopted() || query(t, second.DSN(), `SELECT answer FROM kept`) != "yes" {
		t.Error("the data is gone")
	}
}

func TestPrivate_IsReachableThroughItsSocketAlone(t *testing.T) {
	t.Parallel()
	private := start(t, dataDir(t))
	if got := query(t, private.DSN(), `SELECT current_setting('listen_addresses') || '|' || current_setting('fsync') || current_setting('synchronous_commit')`); got != "|onon" {
		t.Error("listens or is not durable:", got)
	}
	if info, err := os.Stat(private.Socket()); err != nil || info.Mode().Perm() != 0o700 {
		t.Error("others can enter the socket's folder:", info, err)
	}
}

func TestPrivate_IsAdoptedAfterTheAppWasKilled(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	app := exec.CommandContext(t.Context(), os.Args[0])
	app.Env = append(os.Environ(), roleVariable+"="+dir)
	out, err := app.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "ready ") {
		t.Fatal("the app said", lines.Text())
	}
	if err := app.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = app.Wait() // killed, as intended

	private := start(t, dir)
	if !private.Adopted() || "ready "+fmt.Sprint(private.PID()) != lines.Text() {
		t.Errorf("adopted: %v, process %d, the app had %s", private.Adopted(), private.PID(), lines.Text())
	}
	stop(t, private)
	if _, running := postgres.FindPrivate(dir); running {
		t.Error("an adopted server must stop with its new owner")
	}
}

func TestPrivate_ComesBackByItselfAfterACrash(t *testing.T) {
	t.Parallel()
	private := start(t, dataDir(t))
	query(t, private.DSN(), `CREATE TABLE kept AS SELECT 'yes' AS answer`)
	crashed := private.PID()
	if err := syscall.Kill(crashed, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the server is back", func() bool {
		conn, err := pgx.Connect(t.Context(), private.DSN())
		if err != nil {
			return false
		}
		_ = conn.Close(t.Context())
		return private.PID() != crashed
	})
	if query(t, private.DSN(), `SELECT answer FROM kept`) != "yes" {
		t.Error("committed data is gone")
	}
}

func TestPrivate_WorksInAFolderThatTheServersAccountCannotEnter(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root hands the server to another account; an ordinary user is covered by the other tests")
	}
	closed := filepath.Join(dataDir(t), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(closed, "leadline")
	first := start(t, dir)
	if home := first.Home(); home != dir {
		t.Cleanup(func() { _ = os.RemoveAll(home) })
	}
	stop(t, first)
	if err := os.Chmod(closed, 0o755); err != nil {
		t.Fatal(err)
	}
	if second := start(t, dir); second.Home() != first.Home() {
		t.Error("a changed permission must not move the data from", first.Home(), "to", second.Home())
	}
}

func TestPrivate_HasAShortSocketNameInADeepFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(dataDir(t), strings.Repeat("deep/", 20))
	private := start(t, dir)
	t.Cleanup(func() { _ = os.RemoveAll(private.Socket()) })
	if query(t, private.DSN(), `SELECT 'yes'`) != "yes" || len(private.Socket()) > 90 {
		t.Error("socket in", private.Socket())
	}
}

// dataDir is a folder that any account can enter; testing's own are closed to others.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "leadline-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
