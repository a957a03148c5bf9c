package outbound_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"leadline/internal/outbound"
)

// errStopped ends connections that the guard let through and that a test has no use for: nothing leaves this machine.
var errStopped = errors.New("stopped by the test")

// neighbourhood is what must not be reached: servers on this machine's own addresses, all with one port, which count who came.
type neighbourhood struct {
	port     string
	accepted atomic.Int64
}

type counted struct {
	net.Listener
	accepted *atomic.Int64
}

func (l counted) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return conn, err
}

// listen serves on 127.0.0.1 and, where the machine has them, on 127.0.0.2 and ::1.
func listen(t *testing.T, handler http.Handler) *neighbourhood {
	t.Helper()
	n := &neighbourhood{}
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "::1"} {
		port := n.port
		if port == "" {
			port = "0"
		}
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err != nil {
			if host == "127.0.0.1" {
				t.Fatal(err)
			}
			continue
		}
		n.port = strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
		server := httptest.NewUnstartedServer(handler)
		_ = server.Listener.Close()
		server.Listener = counted{listener, &n.accepted}
		server.Start()
		t.Cleanup(server.Close)
	}
	return n
}

// watched is a client whose every connection is known.
type watched struct {
	*outbound.Client
	mu     sync.Mutex
	passed []netip.Addr
}

// watch lets connections to this machine happen and stops all others after they were noted.
func watch(t *testing.T, o outbound.Options, dns names) *watched {
	t.Helper()
	w := &watched{Client: outbound.New(o)}
	w.Watch(dns.resolver(), func(target netip.AddrPort) error {
		w.mu.Lock()
		w.passed = append(w.passed, target.Addr())
		w.mu.Unlock()
		if !target.Addr().IsLoopback() {
			return errStopped
		}
		return nil
	})
	t.Cleanup(w.CloseIdle)
	return w
}

// taken are the addresses that the guard let through since the last call.
func (w *watched) taken() []netip.Addr {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.passed
	w.passed = nil
	return all
}

// try makes one request one way and gives its error; an answer counts as none.
func try(t *testing.T, do func(*http.Request) (*http.Response, error), url string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return errors.Join(outbound.ErrURL, err)
	}
	resp, err := do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func addrs(texts ...string) []netip.Addr {
	all := make([]netip.Addr, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParseAddr(text)
	}
	return all
}
