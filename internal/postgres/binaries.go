package postgres

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"sort"
	"strconv"
	"strings"
)

// oldestMajor is the first version with everything that the schema and the launcher use.
const oldestMajor = 14

// ErrNoBinaries is wrapped by errors that say that PostgreSQL's programs were not found; their text names the package.
var ErrNoBinaries = errors.New("PostgreSQL was not found on this machine")

// layouts are where packages put PostgreSQL's programs: Debian and Ubuntu, RPM, Homebrew on both processors, Postgres.app.
var layouts = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/usr/lib64/pgsql/bin",
	"/usr/libexec/postgresql*",
	"/usr/local/pgsql/bin",
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// installation is one set of PostgreSQL programs.
type installation struct {
	dir   string
	major int
}

// finder looks for installations. The fields exist so that a test can describe a machine.
type finder struct {
	dir       string   // asked for by name; nothing else is looked at
	layouts   []string // globs
	path      func(name string) (string, error)
	osRelease string
	goos      string
	usable    func(dir string) bool // whether the account that will run the server may enter dir
}

func newFinder(dir string, usable func(string) bool) finder {
	return finder{dir: dir, layouts: layouts, path: exec.LookPath, osRelease: "/etc/os-release", goos: runtime.GOOS, usable: usable}
}

// find gives the newest installation, or the one of the wanted major version when that is not 0.
func (f finder) find(ctx context.Context, wanted int) (installation, error) {
	var found []installation
	for _, dir := range f.candidates(ctx) {
		major, err := majorOf(ctx, dir)
		if err == nil && major >= oldestMajor && f.usable(dir) {
			found = append(found, installation{dir, major})
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].major > found[j].major })
	for _, i := range found {
		if wanted == 0 || i.major == wanted {
			return i, nil
		}
	}
	return installation{}, f.missing(wanted, found)
}

// candidates lists folders that hold both programs, most explicit first, each once.
func (f finder) candidates(ctx context.Context) []string {
	if f.dir != "" {
		return []string{f.dir}
	}
	var dirs []string
	for _, name := range []string{"initdb", "postgres"} {
		if path, err := f.path(name); err == nil {
			if real, err := filepath.EvalSymlinks(path); err == nil {
				dirs = append(dirs, filepath.Dir(real))
			}
		}
	}
	if path, err := f.path("pg_config"); err == nil {
		if out, err := exec.CommandContext(ctx, path, "--bindir").Output(); err == nil { //nolint:gosec // found on PATH, on purpose
			dirs = append(dirs, strings.TrimSpace(string(out)))
		}
	}
	for _, pattern := range f.layouts {
		matches, _ := filepath.Glob(pattern) // the only error is a bad pattern, and these are fixed
		dirs = append(dirs, matches...)
	}
	return complete(dirs)
}

func complete(dirs []string) []string {
	seen := map[string]bool{}
	var kept []string
	for _, dir := range dirs {
		if seen[dir] || !isFile(filepath.Join(dir, "initdb")) || !isFile(filepath.Join(dir, "postgres")) {
			continue
		}
		seen[dir] = true
		kept = append(kept, dir)
	}
	return kept
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

var versionText = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

func majorOf(ctx context.Context, dir string) (int, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output() //nolint:gosec // a folder that was searched for on purpose
	if err != nil {
		return 0, fmt.Errorf("ask %s for its version: %w", dir, err)
	}
	match := versionText.FindSubmatch(out)
	if match == nil {
		return 0, fmt.Errorf("%s printed an unknown version", dir)
	}
	return strconv.Atoi(string(match[1]))
}

// missing says in one sentence what to install.
func (f finder) missing(wanted int, found []installation) error {
	if wanted != 0 && len(found) > 0 {
		return fmt.Errorf("%w in version %d, which made the data folder (version %d is there): %s", ErrNoBinaries, wanted, found[0].major, f.advice(wanted))
	}
	if f.dir != "" {
		return fmt.Errorf("%w: %s does not hold initdb and postgres of version %d or newer that can be run", ErrNoBinaries, f.dir, oldestMajor)
	}
	return fmt.Errorf("%w: %s", ErrNoBinaries, f.advice(wanted))
}

// advice names the package for this system; the packages of a certain major version where the system has such.
func (f finder) advice(wanted int) string {
	suffix, dotted := "", ""
	if wanted != 0 {
		suffix, dotted = fmt.Sprintf("-%d", wanted), strconv.Itoa(wanted)
	}
	command := ""
	if f.goos == "darwin" {
		if dotted == "" {
			dotted = "17"
		}
		command = "brew install postgresql@" + dotted
	}
	for _, id := range systemIDs(f.osRelease) {
		switch id {
		case "debian", "ubuntu":
			command = "sudo apt-get install postgresql" + suffix
		case "fedora", "rhel", "centos":
			command = "sudo dnf install postgresql" + dotted + "-server"
		case "suse", "opensuse":
			command = "sudo zypper install postgresql" + dotted + "-server"
		case "alpine":
			if dotted == "" {
				dotted = "17"
			}
			command = "sudo apk add postgresql" + dotted
		case "arch":
			command = "sudo pacman -S postgresql"
		}
		if command != "" {
			break
		}
	}
	if command == "" {
		return "install the PostgreSQL server with your package manager, or set DATABASE_URL to a server that runs already"
	}
	return "install it with `" + command + "`, or set DATABASE_URL to a server that runs already"
}

// systemIDs reads ID and ID_LIKE, the nearest first.
func systemIDs(name string) []string {
	text, err := os.ReadFile(filepath.Clean(name))
	if err != nil {
		return nil
	}
	values := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok {
			values[key] = strings.Trim(value, `"'`)
		}
	}
	return append(strings.Fields(values["ID"]), strings.Fields(values["ID_LIKE"])...)
}
