package intake_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
)

// How a connection is cut.
const (
	cutBefore = iota // the server never hears
	cutDuring        // the server hears, and nobody waits for what it does
	cutAfter         // the server has done it and its answer is thrown away
	cutKinds
)

// cutter stands between the product and PostgreSQL and cuts connections where it hurts most: after the server has got what decides
// and before anybody hears of it. It understands just enough of the protocol to know where messages end.
type cutter struct {
	dsn    string // leads to the server through the cutter
	server *pgconn.Config
	cuts   [cutKinds]atomic.Int64

	mu     sync.Mutex
	choose func() (kind int, cut bool) // asked for each statement of a writer, and for each commit of others; nil: none
}

func newCutter(t testing.TB) *cutter {
	t.Helper()
	config, err := pgx.ParseConfig(pgtest.NewDSN(t))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{server: &config.Config}
	through := url.URL{
		Scheme: "postgres", User: url.UserPassword(config.User, config.Password), Host: l.Addr().String(), Path: config.Database, RawQuery: "sslmode=disable",
	}
	c.dsn = through.String()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { c.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return c
}

// newCutBench is newBench behind a cutter, which lets everything pass until it is told to cut.
func newCutBench(t testing.TB) (*bench, *cutter) {
	t.Helper()
	c := newCutter(t)
	db, err := postgres.Open(t.Context(), c.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return newBenchOn(t, db), c
}

func (c *cutter) set(choose func() (kind int, cut bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.choose = choose
}

// atRandom cuts one in so many.
func (c *cutter) atRandom(seed uint64, oneIn int) {
	rng := rand.New(rand.NewPCG(seed, 0))
	c.set(func() (int, bool) { return rng.IntN(cutKinds), rng.IntN(oneIn) == 0 })
}

func (c *cutter) total() (n int64) {
	for i := range c.cuts {
		n += c.cuts[i].Load()
	}
	return n
}

func (c *cutter) decide() (kind int, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.choose == nil {
		return 0, false
	}
	if kind, cut = c.choose(); cut {
		c.cuts[kind].Add(1)
	}
	return kind, cut
}

// serve is one connection, until either side or the cutter ends it.
func (c *cutter) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	network, address := pgconn.NetworkAddress(c.server.Host, c.server.Port)
	server, err := net.Dial(network, address)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	hello, err := readMessage(client, false)
	if err != nil {
		return
	}
	writer := bytes.Contains(hello, []byte("leadline-intake"))
	if _, err := server.Write(hello); err != nil {
		return
	}
	var (
		swallow atomic.Bool
		back    sync.WaitGroup
	)
	defer back.Wait()
	defer func() {
		if !swallow.Load() {
			_, _ = client.Close(), server.Close()
		}
	}()
	back.Go(func() {
		defer func() { _, _ = client.Close(), server.Close() }()
		for {
			m, err := readMessage(server, true)
			if err != nil || swallow.Load() && m[0] == 'Z' { // ready for the next: this one is done
				return
			}
			if !swallow.Load() {
				if _, err := client.Write(m); err != nil {
					return
				}
			}
		}
	})
	ready, execute := false, false
	for asked := []byte(nil); ; {
		m, err := readMessage(client, true)
		if err != nil {
			return
		}
		asked = append(asked, m...)
		if m[0] == 'P' || m[0] == 'B' || m[0] == 'D' || m[0] == 'E' {
			execute = execute || m[0] == 'E'
			continue // nothing happens before a Sync
		}
		ready = ready || writer && m[0] == 'Q' // a writer's settings are the last it sends before it works
		commit := m[0] == 'Q' && bytes.HasPrefix(bytes.ToLower(m[5:]), []byte("commit"))
		if ready && execute && m[0] == 'S' || commit {
			if kind, cut := c.decide(); cut {
				if kind == cutBefore {
					return
				}
				swallow.Store(kind == cutAfter)
				_, _ = server.Write(asked)
				return
			}
		}
		if _, err := server.Write(asked); err != nil {
			return
		}
		asked, execute = asked[:0], false
	}
}

// readMessage reads one message: a letter (not in the first of a client), its length, and the rest.
func readMessage(r io.Reader, typed bool) ([]byte, error) {
	head := make([]byte, 5)
	if !typed {
		head = head[:4]
	}
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(head[len(head)-4:]))
	if n < 4 || n > 1<<26 {
		return nil, io.ErrUnexpectedEOF
	}
	m := append(make([]byte, 0, len(head)+n-4), head...)
	m = m[:len(head)+n-4]
	_, err := io.ReadFull(r, m[len(head):])
	return m, err
}
