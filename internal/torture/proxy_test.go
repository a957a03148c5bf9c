package torture_test

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// wire is the network between the servers and the database. It can be cut, and it can lose the answers to intake's commits.
type wire struct {
	addr   string
	socket string

	lose  atomic.Int64 // every how many-th answer to a commit is lost, its connection with it; 0: none
	sent  atomic.Int64 // commit statements that passed
	lost  atomic.Int64 // answers that were lost
	mu    sync.Mutex
	down  bool
	conns map[net.Conn]bool
}

func newWire(t *testing.T, socket string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: listener.Addr().String(), socket: socket, conns: map[net.Conn]bool{}}
	t.Cleanup(func() { _ = listener.Close(); w.cut() })
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			go w.forward(in)
		}
	}()
	return w
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = true
	for c := range w.conns {
		_ = c.Close()
	}
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = false
}

// track remembers a connection that is to be cut; false while the wire is.
func (w *wire) track(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.down {
		w.conns[c] = true
	}
	return !w.down
}

func (w *wire) forget(c net.Conn) {
	_ = c.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, c)
}

func (w *wire) forward(in net.Conn) {
	defer w.forget(in)
	if !w.track(in) {
		return // before the database is bothered: servers knock many times a second
	}
	out, err := net.Dial("unix", w.socket)
	if err != nil {
		return
	}
	defer w.forget(out)
	if !w.track(out) {
		return
	}
	s := &session{wire: w, in: in, out: out}
	var both sync.WaitGroup
	both.Go(s.requests)
	both.Go(s.answers)
	both.Wait()
}

// session is one connection of a server to the database.
type session struct {
	wire    *wire
	in, out net.Conn
	lose    atomic.Bool // the next answer
}

// requests passes on what the server sends. The first message says who it is; a statement with its arguments begins with a Bind message.
func (s *session) requests() {
	defer func() { _ = s.in.Close(); _ = s.out.Close() }()
	buf := make([]byte, 64<<10)
	intake := false
	for first := true; ; first = false {
		n, err := s.in.Read(buf)
		if err != nil {
			return
		}
		if first {
			intake = bytes.Contains(buf[:n], []byte("leadline-intake"))
		}
		if intake && buf[0] == 'B' {
			sent, every := s.wire.sent.Add(1), s.wire.lose.Load()
			s.lose.Store(every > 0 && sent%every == 0)
		}
		if _, err := s.out.Write(buf[:n]); err != nil {
			return
		}
	}
}

// answers passes on what the database says, unless it is to be lost: then the database has committed, and nobody here learns it.
func (s *session) answers() {
	defer func() { _ = s.in.Close(); _ = s.out.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := s.out.Read(buf)
		if n > 0 && s.lose.Load() {
			s.wire.lost.Add(1)
			return
		}
		if n > 0 {
			if _, err := s.in.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
