package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// handshakeTimeout bounds a TLS handshake, and drainTimeout what requests in flight get when the server stops.
const (
	handshakeTimeout = 5 * time.Second
	drainTimeout     = 10 * time.Second
	maxStreams       = 64 // requests at once on one connection
)

// Edge is the port for TLS: one number, TCP for HTTP/1.1 and HTTP/2, UDP for HTTP/3. The listeners are open already, so that a port
// that is taken is found out before anything starts.
type Edge struct {
	TCP          net.Listener
	UDP          net.PacketConn
	Certificates func(*tls.Config) // says where certificates come from
}

// edge is the running part of an Edge. The TLS port speaks TLS 1.3 only, and the protocol that client and server agreed on says who
// answers: HTTP/1.1 goes to Fiber's own server, sockets of consoles included, HTTP/2 and HTTP/3 reach it over the bridge.
type edge struct {
	tcp         net.Listener
	config      *tls.Config
	connections *connections
	one, two    *handoff
	h2          *http.Server
	h3          *quicServer
	greeting    sync.WaitGroup // handshakes under way
}

// ServeTLS answers requests on the TLS port until Shutdown, then returns nil. It closes the listeners.
func (s *Server) ServeTLS(e Edge) error {
	config := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}}
	e.Certificates(config)
	b := &bridge{handle: s.answer, refuse: s.refuse, now: s.shared.Now}
	running := &edge{
		tcp: e.TCP, config: config, connections: s.connections, one: newHandoff(e.TCP.Addr()), two: newHandoff(e.TCP.Addr()),
		h2: newHTTP2(b), h3: newQUIC(e.UDP, config, b, s.connections),
	}
	s.mu.Lock()
	stopped := s.stopped
	if !stopped {
		s.edge = running
	}
	s.mu.Unlock()
	if stopped {
		return errors.Join(e.TCP.Close(), e.UDP.Close())
	}
	ended := make(chan error, 4)
	go func() { ended <- s.app.Server().Serve(running.one) }()
	go func() { ended <- running.h2.Serve(running.two) }()
	go func() { ended <- running.h3.serve(func() { s.offerHTTP3(e.TCP) }) }()
	go func() {
		running.accept()
		ended <- nil
	}()
	var failed error
	for range 4 {
		err := <-ended
		s.mu.Lock()
		stopped := s.stopped
		s.mu.Unlock()
		if stopped || err == nil || failed != nil {
			continue
		}
		failed = fmt.Errorf("serve TLS on %s: %w", e.TCP.Addr(), err)
		running.close()
	}
	return failed
}

// offerHTTP3 begins to tell clients of HTTP/1.1 and HTTP/2 that there is HTTP/3, at the port that the public address names. Not before
// it is there: a client that finds nothing has waited for nothing.
func (s *Server) offerHTTP3(l net.Listener) {
	port := s.shared.PublicURL.Port()
	if port == "" {
		port = "443"
	}
	if s.shared.PublicURL.Scheme != "https" { // local use without a public address
		_, port, _ = net.SplitHostPort(l.Addr().String())
	}
	offer := `h3=":` + port + `"; ma=86400`
	s.altSvc.Store(&offer)
}

// newHTTP2 makes the server for connections whose handshake has agreed on HTTP/2.
func newHTTP2(handler http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	return &http.Server{
		Handler: handler, Protocols: protocols,
		ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: workTimeout + writeTimeout, IdleTimeout: idleTimeout,
		// The bridge refuses from 8 KiB on, in the words of the contract; what is far beyond is refused before it is kept.
		MaxHeaderBytes: 2 * maxHeaders,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerStream: 2 * maxBody, MaxReceiveBufferPerConnection: 8 * maxBody,
			MaxDecoderHeaderTableSize: 4096, WriteByteTimeout: writeTimeout,
			SendPingTimeout: idleTimeout / 2, PingTimeout: idleTimeout / 2,
		},
		ErrorLog: quiet,
	}
}

// accept takes connections until the port is closed and hands each, once its handshake is done, to whoever speaks its protocol.
func (e *edge) accept() {
	defer e.one.close()
	defer e.two.close()
	for {
		conn, err := e.connections.accept(e.tcp)
		if err != nil {
			e.greeting.Wait()
			return // closed
		}
		e.greeting.Go(func() { e.greet(conn) })
	}
}

func (e *edge) greet(raw net.Conn) {
	conn := tls.Server(raw, e.config)
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return
	}
	switch conn.ConnectionState().NegotiatedProtocol {
	case "h2":
		e.two.give(conn) // the server looks whether it is a tls.Conn: no wrapping
	case "http/1.1", "":
		e.one.give(&tlsConn{Conn: conn})
	default: // a challenge for a certificate: the handshake was the answer
		_ = conn.Close()
	}
}

// shutdown refuses new connections, tells clients to come no more on those they have (GOAWAY, Connection: close) and waits for requests
// in flight. What Fiber's server answers is waited for by whoever shuts that down.
func (e *edge) shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	_ = e.tcp.Close()
	third := make(chan struct{})
	go func() {
		defer close(third)
		e.h3.shutdown(ctx)
	}()
	if err := e.h2.Shutdown(ctx); err != nil {
		_ = e.h2.Close() // who has not finished by now is not waited for
	}
	<-third
}

func (e *edge) close() {
	_ = e.tcp.Close()
	_ = e.h2.Close()
	e.h3.close()
	e.one.close()
}

// answer is where requests of all protocols come in.
func (s *Server) answer(ctx *fasthttp.RequestCtx) {
	last, err := wellFormed(ctx)
	if last {
		ctx.SetConnectionClose()
	}
	if offer := s.altSvc.Load(); offer != nil && ctx.IsTLS() {
		if over, bridged := ctx.Conn().(*bridgedConn); !bridged || over.http2 {
			ctx.Response.Header.Set("Alt-Svc", *offer)
		}
	}
	switch {
	case err != nil:
	case !slices.Contains(s.app.Config().RequestMethods, string(ctx.Request.Header.Method())):
		err = fiber.ErrMethodNotAllowed
	case earlyRefused(ctx):
		err = fiber.ErrTooEarly
	default:
		s.handler(ctx)
		return
	}
	s.refuse(ctx, err)
}

// refuse answers what never gets to a route.
func (s *Server) refuse(ctx *fasthttp.RequestCtx, err error) {
	c := s.app.AcquireCtx(ctx)
	defer s.app.ReleaseCtx(c)
	_ = s.shared.fail(c, err) // what it writes cannot fail: it goes to memory
}

// handoff is a listener whose connections come from another one.
type handoff struct {
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}
	close func()
}

func newHandoff(addr net.Addr) *handoff {
	h := &handoff{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
	h.close = sync.OnceFunc(func() { close(h.done) })
	return h
}

// give passes a connection on; it is closed when nobody takes any more.
func (h *handoff) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.done:
		_ = c.Close()
	}
}

// Accept takes the next connection.
func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close ends it.
func (h *handoff) Close() error {
	h.close()
	return nil
}

// Addr is where the connections come from.
func (h *handoff) Addr() net.Addr { return h.addr }
