package web

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// quicServer answers HTTP/3 on a UDP socket. It owns the socket.
type quicServer struct {
	socket      net.PacketConn
	connections *connections
	config      *tls.Config
	server      *http3.Server
	transport   *quic.Transport

	mu      sync.Mutex
	stopped bool
	running chan struct{} // closed when serve has ended

	requests atomic.Int64 // in flight
	answered atomic.Int64 // when one last ended, Unix nanoseconds
	now      func() time.Time
}

// stall is how long a QUIC connection may be without bringing one whole request. http3 stops its own clock when a stream opens, however
// slowly its headers come.
const stall = idleTimeout + workTimeout + writeTimeout

// quiet takes what protocol libraries say about peers' mistakes: of no use to an operator, and written by strangers.
var quiet = log.New(io.Discard, "", 0)

func newQUIC(socket net.PacketConn, config *tls.Config, handler http.Handler, connections *connections) *quicServer {
	q := &quicServer{socket: socket, connections: connections, config: config, running: make(chan struct{}), now: connections.now}
	q.server = &http3.Server{
		Handler: q.watch(handler), MaxHeaderBytes: 2 * maxHeaders, IdleTimeout: idleTimeout, Logger: slog.New(slog.DiscardHandler),
		ConnContext: watched,
	}
	q.transport = &quic.Transport{
		Conn: socket,
		// A flood from made-up addresses: from here on newcomers answer from theirs first, which costs them a round trip.
		VerifySourceAddress: func(net.Addr) bool { return connections.crowded() },
	}
	return q
}

// serve answers until shutdown; it calls ready when it begins to.
func (q *quicServer) serve(ready func()) error {
	defer close(q.running)
	q.mu.Lock()
	if q.stopped {
		q.mu.Unlock()
		return nil
	}
	listener, err := q.transport.ListenEarly(http3.ConfigureTLSConfig(q.config), &quic.Config{
		HandshakeIdleTimeout: handshakeTimeout, MaxIdleTimeout: idleTimeout,
		MaxIncomingStreams: maxStreams, MaxIncomingUniStreams: 8, // control and two for compressed headers, with some room
		InitialStreamReceiveWindow: 2 * maxBody, MaxStreamReceiveWindow: 2 * maxBody,
		InitialConnectionReceiveWindow: 8 * maxBody, MaxConnectionReceiveWindow: 8 * maxBody,
		Allow0RTT: true, // what may come that early is decided in early.go
	})
	q.mu.Unlock()
	if err != nil {
		return err
	}
	ready()
	err = q.server.ServeListener(&quicListener{listener, q.connections})
	_ = listener.Close()
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, quic.ErrServerClosed) {
		return nil
	}
	return err
}

// shutdown refuses new connections, tells clients to go (GOAWAY) and waits until requests in flight are answered, or until ctx ends.
// Clients that stay without a request are not waited for.
func (q *quicServer) shutdown(ctx context.Context) {
	q.mu.Lock()
	started := !q.stopped
	q.stopped = true
	q.mu.Unlock()
	if !started {
		return
	}
	q.answered.Store(q.now().UnixNano())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for ctx.Err() == nil && !q.quiet() {
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
		cancel()
	}()
	_ = q.server.Shutdown(ctx) // closes what is left when ctx ends
	_ = q.server.Close()
	<-q.running
	q.end()
}

// quiet tells whether all requests were answered long enough ago for the answers to have arrived.
func (q *quicServer) quiet() bool {
	return q.requests.Load() == 0 && q.now().Sub(time.Unix(0, q.answered.Load())) > 500*time.Millisecond
}

// close ends everything at once.
func (q *quicServer) close() {
	q.mu.Lock()
	q.stopped = true
	q.mu.Unlock()
	_ = q.server.Close()
	q.end()
}

func (q *quicServer) end() {
	_ = q.transport.Close()
	_ = q.socket.Close()
}

// quicListener counts connections in and out.
type quicListener struct {
	*quic.EarlyListener
	connections *connections
}

// Accept takes the next connection for which there is room.
func (l *quicListener) Accept(ctx context.Context) (*quic.Conn, error) {
	for {
		conn, err := l.EarlyListener.Accept(ctx)
		if err != nil {
			return nil, err
		}
		if leave, ok := l.connections.enter(conn.RemoteAddr()); ok {
			context.AfterFunc(conn.Context(), leave) //nolint:contextcheck // it ends with the connection, not with accepting
			return conn, nil
		}
		_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad), "")
	}
}

// watchKey finds the clock of a connection in the context of its requests.
type watchKey struct{}

// watched starts the clock that ends a connection which brings no whole request.
func watched(ctx context.Context, conn *quic.Conn) context.Context {
	clock := time.AfterFunc(stall, func() { _ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "") })
	context.AfterFunc(conn.Context(), func() { clock.Stop() })
	return context.WithValue(ctx, watchKey{}, clock)
}

// watch counts requests in flight and starts the clock of their connection over.
func (q *quicServer) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q.requests.Add(1)
		defer func() {
			q.answered.Store(q.now().UnixNano())
			q.requests.Add(-1)
		}()
		if clock, ok := r.Context().Value(watchKey{}).(*time.Timer); ok {
			clock.Reset(stall)
		}
		next.ServeHTTP(w, r)
	})
}
