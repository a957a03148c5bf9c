package web

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// maxConnections is how many connections are open at once, whatever they speak: far above what one process can serve, far below
// what its memory or the system's limit of files could bear.
const maxConnections = 20_000

// acceptPause lets the system recover where a connection could not be taken.
const acceptPause = 100 * time.Millisecond

// connections counts who is connected, so that neither all together nor one address can take everything. It covers TCP and QUIC,
// sockets of consoles included.
type connections struct {
	most       int // all together
	perAddress int // of one network; 0: no limit, since a whole office may share an address
	trusted    func(netip.Addr) bool
	now        func() time.Time
	log        *slog.Logger

	mu     sync.Mutex
	open   int
	from   map[netip.Prefix]int // only kept when perAddress is set
	warned time.Time
}

func newConnections(d Deps, trusted func(netip.Addr) bool) *connections {
	c := &connections{most: maxConnections, perAddress: d.PerAddress, trusted: trusted, now: d.Now, log: d.Log, from: map[netip.Prefix]int{}}
	if d.Connections > 0 {
		c.most = d.Connections
	}
	// Go raises the soft limit of open files to the hard one when a process starts. A quarter is left for the database, CRMs and files.
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil && files.Cur/4*3 < uint64(c.most) { //nolint:gosec // most is a positive setting
		c.most = int(files.Cur / 4 * 3) //nolint:gosec // smaller than an int
	}
	return c
}

// enter counts a connection in, or says that there is no room. leave must be called once for each that got in.
func (c *connections) enter(peer net.Addr) (leave func(), ok bool) {
	network := c.network(peer)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open >= c.most || network.IsValid() && c.from[network] >= c.perAddress {
		if now := c.now(); now.Sub(c.warned) > time.Minute {
			c.warned = now
			c.log.Warn("connections were refused: too many are open", "open", c.open, "limit", c.most, "per_address", c.perAddress)
		}
		return nil, false
	}
	c.open++
	if network.IsValid() {
		c.from[network]++
	}
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.open--
		if !network.IsValid() {
			return
		}
		if c.from[network]--; c.from[network] == 0 {
			delete(c.from, network)
		}
	}), true
}

// crowded tells whether so many are connected that newcomers should first show that their address is theirs.
func (c *connections) crowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open > c.most/4
}

// network is what counts as one address: a /64 of IPv6 is one household. Not valid: not counted.
func (c *connections) network(peer net.Addr) netip.Prefix {
	if c.perAddress == 0 {
		return netip.Prefix{}
	}
	at, err := netip.ParseAddrPort(peer.String())
	if err != nil {
		return netip.Prefix{}
	}
	address := at.Addr().Unmap().WithZone("")
	if c.trusted(address) { // a proxy brings everybody
		return netip.Prefix{}
	}
	bits := 32
	if address.Is6() {
		bits = 64
	}
	network, _ := address.Prefix(bits) // the length fits the kind
	return network
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	leave func()
}

// Close closes the connection and makes room for another.
func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}

// accept takes the next connection for which there is room.
func (c *connections) accept(l net.Listener) (net.Conn, error) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		if err != nil { // out of files, or a peer who left at once: neither is a reason to stop serving
			c.log.Warn("a connection could not be taken", "error", err)
			<-time.After(acceptPause)
			continue
		}
		if leave, ok := c.enter(conn.RemoteAddr()); ok {
			return &counted{Conn: conn, leave: leave}, nil
		}
		_ = conn.Close()
	}
}

// plainListener is the listener without TLS as Fiber sees it.
type plainListener struct {
	net.Listener
	connections *connections
}

// Accept gives the next connection.
func (l *plainListener) Accept() (net.Conn, error) {
	conn, err := l.connections.accept(l.Listener)
	if err != nil {
		return nil, err
	}
	return &plainConn{Conn: conn}, nil
}

// plainConn and tlsConn are what Fiber reads HTTP/1.1 from. They are two types because Fiber takes whatever has the methods of a TLS
// connection for one.
type plainConn struct {
	net.Conn
	seen meter
}

type tlsConn struct {
	*tls.Conn
	seen meter
}

// metered is either of them.
type metered interface{ meter() *meter }

func (c *plainConn) meter() *meter { return &c.seen }
func (c *tlsConn) meter() *meter   { return &c.seen }

// Read reads and takes note.
func (c *plainConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.seen.note(p[:n])
	return n, err
}

// Read reads and takes note.
func (c *tlsConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.seen.note(p[:n])
	return n, err
}

// meter keeps what Fiber's reader does not hand on: how many bytes came for the present request, and whether its lines are lines as the
// standard has them. That reader joins folded lines in place, so that only here they are seen as they were sent. One goroutine at a
// time reads a connection and then answers, so it needs no lock.
type meter struct {
	bytes int
	lines int  // that have ended
	line  int  // bytes of the one that has not
	last  byte // before what is noted next
	ended bool // the empty line has come: what follows is no header
	bad   bool // a line ended in a bare line feed or began with a space, or an empty one came first
}

func (m *meter) note(p []byte) {
	m.bytes += len(p)
	for len(p) > 0 && !m.ended && !m.bad {
		folded := m.line == 0 && (p[0] == ' ' || p[0] == '\t')
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			m.line += len(p)
			m.last, m.bad = p[len(p)-1], folded
			return
		}
		if end > 0 {
			m.last = p[end-1]
		}
		m.line += end
		m.ended = m.line == 1 && m.last == '\r'
		m.bad = folded || m.line == 0 || m.last != '\r' || m.ended && m.lines == 0
		m.lines, m.line, m.last = m.lines+1, 0, '\n'
		p = p[end+1:]
	}
}

// next starts over for the next request on the connection.
func (m *meter) next() { *m = meter{} }
