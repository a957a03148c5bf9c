package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Names of the private server's database and its only user. Nobody but the owner of the socket folder can reach them.
const (
	privateDatabase = "leadline"
	privateUser     = "leadline"
)

// socketPathLimit is what the smallest common sockaddr_un holds, less the terminating zero.
const socketPathLimit = 103

// place is where one private server keeps its things.
type place struct {
	data    string // the data directory that was asked for, absolute
	home    string // holds the cluster and the log; the same unless the server's account cannot enter data
	sockets string // holds the socket; short enough for a socket's name
}

func (p place) cluster() string { return filepath.Join(p.home, "postgres") }
func (p place) log() string     { return filepath.Join(p.home, "postgres.log") }
func (p place) lock() string    { return filepath.Join(p.data, "leadline.lock") }
func (p place) pointer() string { return filepath.Join(p.data, "postgres.location") }
func (p place) pidFile() string { return filepath.Join(p.cluster(), "postmaster.pid") }

// dsn addresses a database of this server.
func (p place) dsn(database string) string {
	query := url.Values{"host": {p.sockets}, "port": {"5432"}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", User: url.User(privateUser), Host: "", Path: "/" + database, RawQuery: query.Encode()}).String()
}

// locate works out where the server of a data directory is, without making anything.
//
// Started by root, the server runs as another account, which cannot enter a data directory such as /root/.local/share. Then
// the cluster lives under /var/lib, and a small text file in the data directory says so. That file decides from then on: a
// permission that is changed later must not make the data seem lost.
func locate(dataDir string, a account) (place, error) {
	data, err := filepath.Abs(dataDir)
	if err != nil {
		return place{}, fmt.Errorf("find the data directory: %w", err)
	}
	p := place{data: data, home: data}
	text, err := os.ReadFile(p.pointer())
	switch {
	case err == nil && strings.TrimSpace(string(text)) != "":
		p.home = strings.TrimSpace(string(text))
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return place{}, fmt.Errorf("read where the database is: %w", err)
	case a.switched && !a.mayEnter(nearest(data)) && !exists(filepath.Join(data, "postgres", "PG_VERSION")):
		p.home = "/var/lib/leadline-" + shortHash(data)
	}
	p.sockets = filepath.Join(p.home, "run")
	if len(filepath.Join(p.sockets, ".s.PGSQL.5432")) > socketPathLimit {
		p.sockets = filepath.Join(os.TempDir(), "leadline-"+shortHash(p.home))
	}
	return p, nil
}

// nearest gives dir, or the first folder above it that exists.
func nearest(dir string) string {
	for !exists(dir) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
	}
	return dir
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:4])
}

// prepare makes the folders. The lock is held.
func (p place) prepare(a account) error {
	if p.home != p.data {
		if err := os.MkdirAll(p.home, 0o755); err != nil { //nolint:gosec // the server's account must pass through
			return fmt.Errorf("make %s: %w", p.home, err)
		}
		if err := os.WriteFile(p.pointer(), []byte(p.home+"\n"), 0o600); err != nil {
			return fmt.Errorf("note where the database is: %w", err)
		}
	}
	if !a.mayEnter(p.home) {
		return fmt.Errorf("the user that runs PostgreSQL (id %d) cannot enter %s; make it and the folders above it passable (chmod o+x)", a.uid, p.home)
	}
	if err := a.own(p.sockets); err != nil {
		return fmt.Errorf("make the socket folder: %w", err)
	}
	return nil
}

// major is the version that made the cluster, 0 when there is none yet.
func (p place) major() (int, error) {
	text, err := os.ReadFile(filepath.Join(p.cluster(), "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the version of the database in %s: %w", p.cluster(), err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("read the version of the database in %s: %w", p.cluster(), err)
	}
	return major, nil
}

// pid reads the process id of the server that owns the cluster; 0 when there is none.
func (p place) pid() int {
	text, err := os.ReadFile(p.pidFile())
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return 0
	}
	return pid
}
