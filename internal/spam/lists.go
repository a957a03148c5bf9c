package spam

import (
	"bufio"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// reloadEvery is how long a changed list may take to count.
const reloadEvery = 5 * time.Second

// mostEntries bounds the memory of all lists together; what is beyond is named in the log.
const mostEntries = 1_000_000

// lists are the reputation lists of the operator: files deny*.txt and allow*.txt in a directory, one address, network or e-mail domain a
// line, # begins a comment. Allowing wins over denying.
type lists struct {
	dir  string
	log  *slog.Logger
	now  atomic.Pointer[reputation]
	seen string // how the files looked when they were read; used by one goroutine
}

func newLists(dir string, log *slog.Logger) *lists {
	l := &lists{dir: dir, log: log}
	l.now.Store(&reputation{})
	return l
}

func (l *lists) current() *reputation { return l.now.Load() }

// load reads the files again when one of them has changed. On an error what was read before stays.
func (l *lists) load() error {
	if l.dir == "" {
		return nil
	}
	names, look, err := l.files()
	if err != nil || look == l.seen {
		return err
	}
	fresh := &reputation{}
	for _, name := range names {
		into := &fresh.denied
		if strings.HasPrefix(filepath.Base(name), "allow") {
			into = &fresh.allowed
		}
		if err := l.read(name, into, mostEntries-fresh.denied.entries-fresh.allowed.entries); err != nil {
			return err
		}
	}
	l.now.Store(fresh)
	l.seen = look
	l.log.Info("reputation lists read", "files", len(names), "denied", fresh.denied.entries, "allowed", fresh.allowed.entries)
	return nil
}

// files finds the lists, and says how they look: names, sizes, times.
func (l *lists) files() (names []string, look string, err error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, "", fmt.Errorf("read the reputation directory: %w", err)
	}
	var b strings.Builder
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".txt") || !strings.HasPrefix(name, "deny") && !strings.HasPrefix(name, "allow") {
			continue
		}
		info, err := os.Stat(filepath.Join(l.dir, name)) // through links, as configuration managers make them
		if err != nil {
			return nil, "", fmt.Errorf("read the reputation directory: %w", err)
		}
		fmt.Fprintf(&b, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		names = append(names, filepath.Join(l.dir, name))
	}
	return names, b.String(), nil
}

// read adds one file. A line that cannot be understood is named by its number and skipped: one typo must not open the door.
func (l *lists) read(name string, into *list, room int) error {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return fmt.Errorf("read a reputation list: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	scanner := bufio.NewScanner(f)
	for number := 1; scanner.Scan(); number++ {
		text, _, _ := strings.Cut(scanner.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		switch {
		case room <= 0:
			l.log.Warn("a reputation list is too long; the rest of it is left out", "file", filepath.Base(name), "line", number, "entries_at_most", mostEntries)
			return nil
		case into.add(text):
			room--
		default:
			l.log.Warn("a line of a reputation list is no address, network or domain; it is left out", "file", filepath.Base(name), "line", number)
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("read a reputation list: %w", err)
	}
	return nil
}

// reputation is what the lists say. Immutable once stored.
type reputation struct{ allowed, denied list }

func (r *reputation) allows(a netip.Addr, domain string) bool { return r.allowed.has(a, domain) }
func (r *reputation) denies(a netip.Addr, domain string) bool { return r.denied.has(a, domain) }

// list is a set of networks and domains.
type list struct {
	entries  int
	networks map[netip.Prefix]bool
	lengths  []int // of the prefixes that occur; IPv6 ones are negative
	domains  map[string]bool
}

func (l *list) add(text string) bool {
	if prefix, ok := parseNetwork(text); ok {
		if l.networks == nil {
			l.networks = map[netip.Prefix]bool{}
		}
		l.networks[prefix] = true
		if length := signed(prefix.Addr(), prefix.Bits()); !slices.Contains(l.lengths, length) {
			l.lengths = append(l.lengths, length)
		}
		l.entries++
		return true
	}
	domain := strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(text, "@"), "*."))
	if !strings.Contains(domain, ".") || strings.ContainsAny(domain, " /:@\t") || strings.Trim(domain, ".") != domain {
		return false
	}
	if l.domains == nil {
		l.domains = map[string]bool{}
	}
	l.domains[domain] = true
	l.entries++
	return true
}

func parseNetwork(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err == nil
}

func signed(a netip.Addr, bits int) int {
	if a.Is6() {
		return -bits - 1
	}
	return bits
}

// has looks an address up under each length that occurs, and a domain with all that it belongs to.
func (l *list) has(a netip.Addr, domain string) bool {
	if l.entries == 0 {
		return false
	}
	for _, length := range l.lengths {
		bits := length
		if a.Is6() {
			bits = -length - 1
		}
		if p, err := a.Prefix(bits); err == nil && a.IsValid() && l.networks[p] {
			return true
		}
	}
	for domain != "" {
		if l.domains[domain] {
			return true
		}
		_, rest, _ := strings.Cut(domain, ".")
		domain = rest
	}
	return false
}
