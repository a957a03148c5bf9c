package web_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

// far is a network between a client and a server, in which each packet takes a while. It keeps what clients send before they have
// heard anything: what somebody on the way could record and send again.
type far struct {
	conn   *net.UDPConn
	server *net.UDPAddr
	delay  time.Duration

	mu      sync.Mutex
	peers   map[string]*net.UDPConn // towards the server, by the client's address
	heard   map[string]bool
	flights map[string][][]byte
}

func newFar(t *testing.T, server string) *far {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	f := &far{conn: conn, server: to, delay: 60 * time.Millisecond, peers: map[string]*net.UDPConn{}, heard: map[string]bool{}, flights: map[string][][]byte{}}
	t.Cleanup(f.close)
	go f.run()
	return f
}

func (f *far) close() {
	_ = f.conn.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, peer := range f.peers {
		_ = peer.Close()
	}
}

func (f *far) run() {
	buf := make([]byte, 65536)
	for {
		n, from, err := f.conn.ReadFromUDP(buf)
		if err != nil {
			return
		}
		packet := bytes.Clone(buf[:n])
		f.mu.Lock()
		peer := f.peers[from.String()]
		if peer == nil {
			if peer, err = net.DialUDP("udp", nil, f.server); err != nil {
				f.mu.Unlock()
				return
			}
			f.peers[from.String()] = peer
			go f.back(peer, from)
		}
		if !f.heard[from.String()] {
			f.flights[from.String()] = append(f.flights[from.String()], packet)
		}
		f.mu.Unlock()
		time.AfterFunc(f.delay, func() { _, _ = peer.Write(packet) })
	}
}

func (f *far) back(peer *net.UDPConn, to *net.UDPAddr) {
	buf := make([]byte, 65536)
	for {
		n, err := peer.Read(buf)
		if err != nil {
			return
		}
		packet := bytes.Clone(buf[:n])
		f.mu.Lock()
		f.heard[to.String()] = true
		f.mu.Unlock()
		time.AfterFunc(f.delay, func() { _, _ = f.conn.WriteToUDP(packet, to) })
	}
}

// replay sends a recorded first flight again, from an address of its own.
func (f *far) replay(t *testing.T, client string) {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, f.server)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, packet := range f.flights[client] {
		_, _ = conn.Write(packet)
	}
	t.Cleanup(func() { _ = conn.Close() })
}

// tickets says when a session's ticket has come.
type tickets struct {
	tls.ClientSessionCache
	came chan struct{}
}

func (k *tickets) Put(key string, state *tls.ClientSessionState) {
	k.ClientSessionCache.Put(key, state)
	if state != nil {
		select {
		case k.came <- struct{}{}:
		default:
		}
	}
}

// returning is a client that was here before.
type returning struct {
	t    *testing.T
	far  *far
	conf *tls.Config
}

func newReturning(t *testing.T, server string, trust *tls.Config) *returning {
	t.Helper()
	cache := &tickets{tls.NewLRUClientSessionCache(8), make(chan struct{}, 1)}
	r := &returning{t: t, far: newFar(t, server), conf: trust}
	r.conf.NextProtos, r.conf.ClientSessionCache, r.conf.ServerName = []string{"h3"}, cache, "localhost"
	conn, err := quic.DialAddrEarly(t.Context(), r.far.conn.LocalAddr().String(), r.conf, &quic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	<-conn.HandshakeComplete()
	<-cache.came
	_ = conn.CloseWithError(0x100, "")
	return r
}

// sent is the answer to an early request.
type sent struct {
	status string
	body   string
	early  bool   // the server took it before the handshake had ended
	from   string // the client's address
}

// early sends a request in early data, frame by frame: clients of HTTP libraries do so for GET only.
func (r *returning) early(method, path, body string, headers ...string) sent {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		r.t.Fatal(err)
	}
	transport := &quic.Transport{Conn: socket}
	defer func() { _ = transport.Close(); _ = socket.Close() }()
	conn, err := transport.DialEarly(ctx, r.far.conn.LocalAddr(), r.conf, &quic.Config{})
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = conn.CloseWithError(0x100, "") }()
	control, err := conn.OpenUniStream()
	if err != nil {
		r.t.Fatal(err)
	}
	_, _ = control.Write([]byte{0x00, 0x04, 0x00}) // a control stream with empty settings
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	var block bytes.Buffer
	encoder := qpack.NewEncoder(&block)
	pairs := append([]string{":method", method, ":scheme", "https", ":authority", "localhost", ":path", path}, headers...)
	for i := 0; i < len(pairs); i += 2 {
		if err := encoder.WriteField(qpack.HeaderField{Name: strings.ToLower(pairs[i]), Value: pairs[i+1]}); err != nil {
			r.t.Fatal(err)
		}
	}
	frames := quicvarint.Append([]byte{0x01}, uint64(block.Len()))
	frames = append(frames, block.Bytes()...)
	if body != "" {
		frames = append(quicvarint.Append(append(frames, 0x00), uint64(len(body))), body...)
	}
	if _, err := stream.Write(frames); err != nil {
		r.t.Fatal(err)
	}
	_ = stream.Close()
	_ = stream.SetReadDeadline(time.Now().Add(15 * time.Second))
	text, err := io.ReadAll(stream)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	out := sent{early: conn.ConnectionState().Used0RTT, from: socket.LocalAddr().String()}
	for len(text) > 0 {
		kind, n, err := quicvarint.Parse(text)
		if err != nil {
			r.t.Fatal(err)
		}
		size, m, err := quicvarint.Parse(text[n:])
		if err != nil {
			r.t.Fatal(err)
		}
		frame := text[n+m : n+m+int(size)]
		text = text[n+m+int(size):]
		switch kind {
		case 0x00:
			out.body += string(frame)
		case 0x01:
			decode := qpack.NewDecoder().Decode(frame)
			for {
				field, err := decode()
				if err != nil {
					break
				}
				if field.Name == ":status" {
					out.status = field.Value
				}
			}
		}
	}
	return out
}

func TestEarlyData_IsTakenOnlyWhereARepeatDoesNoHarm(t *testing.T) {
	ok := func(c *fiber.Ctx) error { return c.SendString("done") }
	d := openDoor(t, map[string]fiber.Handler{submit: ok, "POST /signin": ok, "GET /signin": ok, "PATCH /v1/forms/:slug/leads/:id": ok, "GET /leadline.js": ok})
	client := newReturning(t, d.tls, d.trust())
	for _, c := range []struct {
		name, method, path string
		headers            []string
		status             string
	}{
		{"a form under a key", "POST", leads, []string{"idempotency-key", "k-1"}, "200"},
		{"a form without a key", "POST", leads, nil, "425"},
		{"a form under an empty key", "POST", leads, []string{"idempotency-key", ""}, "425"},
		{"signing in, whatever it says", "POST", "/signin", []string{"idempotency-key", "k-1", "sec-fetch-site", "same-origin"}, "425"},
		{"a correction", "PATCH", leads + "/x", []string{"idempotency-key", "k-1"}, "425"},
		{"reading", "GET", "/leadline.js", nil, "200"},
		{"asking", "HEAD", "/leadline.js", nil, "200"},
		{"reading as somebody", "GET", "/signin", []string{"cookie", "__Host-leadline=x"}, "425"},
	} {
		body := ""
		if c.method == "POST" || c.method == "PATCH" {
			body = "a=1"
		}
		got := client.early(c.method, c.path, body, c.headers...)
		if !got.early || got.status != c.status {
			t.Errorf("%s: answered %s, early %v: %s", c.name, got.status, got.early, got.body)
		}
		if c.status == "425" && !strings.Contains(got.body, "urn:leadline:problem:too_early") {
			t.Errorf("%s: %s", c.name, got.body)
		}
		// A proxy that took early data and says so gets the same answers over every protocol.
		for over, proxy := range d.protocols() {
			headers := []string{"Early-Data", "1"}
			for i := 0; i < len(c.headers); i += 2 {
				headers = append(headers, http.CanonicalHeaderKey(c.headers[i]), c.headers[i+1])
			}
			if got := d.do(proxy, c.method, c.path, strings.NewReader(body), headers...); got.Status[:3] != c.status {
				t.Errorf("%s, by a proxy over %s: answered %s", c.name, over, got.Status)
			}
		}
	}
	for over, again := range d.protocols() {
		if got := d.do(again, http.MethodPost, leads, strings.NewReader("a=1")); got.StatusCode != http.StatusOK {
			t.Errorf("after the handshake over %s: %d", over, got.StatusCode)
		}
	}
}

func TestEarlyData_AReplayMakesNoSecondLead(t *testing.T) {
	d := &door{t: t, log: &locked{}}
	s, secure := setupTLS(t, d)
	client := newReturning(t, secure, d.trust())
	body := "email=early%40acme.example&product=platform"
	first := client.early(http.MethodPost, leads, body, "content-type", typeForm, "idempotency-key", "early-early-early-early")
	if first.status != "201" || !first.early {
		t.Fatalf("answered %s, early %v: %s", first.status, first.early, first.body)
	}
	// The very packets once more. The server forgets the closed connection after some seconds and takes them for a new one then.
	again := func() bool {
		return strings.Contains(s.do(http.MethodGet, "/metrics", "").body, `leadline_intake_total{form="demo",outcome="duplicate"}`)
	}
	for deadline := time.Now().Add(40 * time.Second); !again(); <-time.After(500 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the replay never arrived")
		}
		client.far.replay(t, first.from)
	}
	var n int
	if err := s.db.Console.QueryRow(t.Context(), "SELECT count(*) FROM lead").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d leads, %v", n, err)
	}
}
