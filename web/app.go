// Package web assembles the web server: what every request passes through, and the table of all routes.
//
// In order: correlation id, log line and deadline, security headers, a net under panics, then whether there is room for requests of
// this class, the route's own guard (who may) and its handler. routes.go says what answers where, matrix.txt who may and with which leads; nothing is reachable without a line in both.
// main makes one Server and owns it.
package web

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"leadline/handlers"
	"leadline/internal/account"
	"leadline/internal/telemetry"
	"leadline/static"
)

// Limits of every request (contract section 8).
const (
	maxBody      = 32 * 1024
	maxHeaders   = 8 * 1024
	readTimeout  = 5 * time.Second
	writeTimeout = 10 * time.Second
	idleTimeout  = 30 * time.Second
	workTimeout  = 8 * time.Second // what a handler may take, so that its answer still fits into writeTimeout
)

// Deps is what the server is made of.
type Deps struct {
	PublicURL      *url.URL       // how browsers reach us
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
	Connections    int            // open at once, all together; 0: 20,000
	PerAddress     int            // open at once from one address; 0: no limit
	Challenge      http.Handler   // answers those who check that a domain is ours, on the listener without TLS; nil: nobody does
	Log            *slog.Logger
	Now            func() time.Time
	Metrics        *telemetry.Metrics
	Accounts       *account.Store
	Behind         func() time.Duration // how far behind intake is, so that less important requests make room; nil: never
	Handlers       handlers.Deps
}

// Server is the web server. Serve and Shutdown may be called in any order and from different goroutines.
type Server struct {
	app         *fiber.App
	shared      *server
	handler     fasthttp.RequestHandler // Fiber's
	connections *connections
	altSvc      atomic.Pointer[string] // that there is HTTP/3, once there is

	mu       sync.Mutex
	listener net.Listener
	edge     *edge // nil: no TLS port
	stopped  bool
}

// New assembles the server. It fails when the routes and the matrix of who may use them do not fit together.
func New(d Deps) (*Server, error) { return assemble(d, matrixText, nil) }

// assemble is New with a matrix. wrap, unless nil, may change handlers: tests show with it that the prober finds what is wrong.
func assemble(d Deps, text string, wrap func(route) fiber.Handler) (*Server, error) {
	s := &server{Deps: d, public: d.PublicURL.String(), secure: d.PublicURL.Scheme == "https"}
	var err error
	if s.matrix, err = parseMatrix(text); err != nil {
		return nil, err
	}
	table := s.routes()
	if err := s.matrix.join(table); err != nil {
		return nil, err
	}
	app := fiber.New(fiber.Config{
		Immutable:      true, // strings of a request outlive it: a submission waits for its batch
		BodyLimit:      maxBody,
		ReadBufferSize: maxHeaders,
		ReadTimeout:    readTimeout,
		WriteTimeout:   writeTimeout,
		IdleTimeout:    idleTimeout,
		// Bodies stay as they came: signatures are checked over them, and they are kept as evidence. And the reader would stop at the last
		// boundary of a form, and take what stands behind it for another request.
		DisablePreParseMultipartForm: true,
		DisableStartupMessage:        true,
		CaseSensitive:                true,
		ErrorHandler:                 s.fail,
	})
	app.Use(s.request, s.headers, s.caught, refuseEncoded)
	behind := d.Behind
	if behind == nil {
		behind = func() time.Duration { return 0 }
	}
	door := &admission{lag: newLag(d.Now, behind), shed: d.Metrics.Shed}
	for _, r := range table {
		if wrap != nil {
			r.handler = wrap(r)
		}
		l := s.matrix.named[r.method+" "+r.path]
		chain := []fiber.Handler{door.admit(classOf(r.method, r.path)), s.guard(l.access()), s.grant(l), r.handler}
		if r.method == fiber.MethodGet {
			app.Get(r.path, chain...) // HEAD too
			continue
		}
		app.Add(r.method, r.path, chain...)
	}
	out := &Server{app: app, shared: s, handler: app.Handler(), connections: newConnections(d, s.trusted)}
	app.Server().Handler = out.answer
	app.Server().CloseOnShutdown = true
	return out, nil
}

// server is what middleware and guards share.
type server struct {
	Deps
	public string
	secure bool
	matrix *matrix

	turnedAway sparing // lines about requests answered with 503
}

// Serve answers requests on a listener until Shutdown, then returns nil. It closes the listener.
func (s *Server) Serve(l net.Listener) error {
	if err := static.Load(); err != nil {
		_ = l.Close()
		return err
	}
	s.mu.Lock()
	s.listener = l
	stopped := s.stopped
	s.mu.Unlock()
	if stopped {
		return l.Close()
	}
	err := s.app.Listener(&plainListener{Listener: l, connections: s.connections})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !s.stopped {
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	}
	return nil
}

// Shutdown refuses new requests and waits for those in flight until ctx ends. Open console sockets are not its business: whoever
// owns them closes them first.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	l, e := s.listener, s.edge
	s.mu.Unlock()
	s.altSvc.Store(nil)
	var others sync.WaitGroup
	if e != nil {
		others.Go(func() { e.shutdown(ctx) })
	}
	err := s.app.ShutdownWithContext(ctx)
	others.Wait()
	if l != nil {
		_ = l.Close() // the framework knows it only once it has begun to accept
	}
	if err != nil {
		return fmt.Errorf("stop the web server: %w", err)
	}
	return nil
}

// fail is where every error that a handler returns, and everything the server refuses by itself, becomes an answer.
func (s *server) fail(c *fiber.Ctx, err error) error {
	if handlers.CorrelationOf(c) == "" { // refused before any middleware ran: too large, too slow, no HTTP
		handlers.SetCorrelation(c, newCorrelation())
		s.setHeaders(c)
	}
	return handlers.Fail(c, err)
}

func newCorrelation() string { return uuid.Must(uuid.NewV7()).String() }
