package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"leadline/handlers"
	"leadline/internal/fault"
)

// request gives each request its correlation id, a deadline and the visitor's address, and writes its line in the log: the
// route's pattern, never the path or the query, which may hold tokens.
func (s *server) request(c *fiber.Ctx) error {
	started := s.Now()
	// Programs and forms may bring theirs. People's browsers do not, and what they do may be kept for years: the id is then ours.
	id := c.Get("X-Correlation-ID")
	if !strings.HasPrefix(c.Path(), "/v1/") || !handlers.ValidCorrelation(id) {
		id = newCorrelation()
	}
	handlers.SetCorrelation(c, id)
	if len(s.TrustedProxies) > 0 {
		handlers.SetAddress(c, s.address(c))
	}
	ctx, cancel := context.WithTimeout(c.UserContext(), workTimeout)
	defer cancel()
	c.SetUserContext(ctx)

	if err := c.Next(); err != nil {
		if err := s.fail(c, err); err != nil { // answered here, so that the line shows the status sent
			return fmt.Errorf("answer an error: %w", err)
		}
	}
	s.line(c, float64(s.Now().Sub(started).Microseconds())/1000)
	return nil
}

func (s *server) line(c *fiber.Ctx, ms float64) {
	level, status := slog.LevelDebug, c.Response().StatusCode()
	failure := handlers.FailureOf(c)
	turnedAway := fault.Is(failure, fault.Unavailable)
	switch {
	case status >= 500 && !turnedAway:
		level = slog.LevelError
	case failure != nil:
		level = slog.LevelWarn
	}
	if !s.Log.Enabled(c.UserContext(), level) {
		return
	}
	unsaid := int64(0)
	if turnedAway {
		var due bool
		if unsaid, due = s.turnedAway.due(s.Now()); !due {
			return
		}
	}
	attrs := []slog.Attr{
		slog.String("method", c.Method()), slog.String("route", c.Route().Path), slog.Int("status", status),
		slog.Float64("step_ms", ms), slog.String("correlation_id", handlers.CorrelationOf(c)),
	}
	if failure != nil {
		attrs = append(attrs, slog.String("error", failure.Error()))
	}
	if unsaid > 0 {
		attrs = append(attrs, slog.Int64("unsaid", unsaid))
	}
	s.Log.LogAttrs(c.UserContext(), level, "request", attrs...)
}

// sparing lets a line through now and then where there may be very many: a server that has too much to do must not spend itself on
// saying so. The metrics count them all.
type sparing struct {
	next   atomic.Int64 // Unix nanoseconds
	unsaid atomic.Int64
}

// sparingEvery is the least time between two lines.
const sparingEvery = time.Second

// due tells whether a line may be written now, and how many were not since the last one.
func (s *sparing) due(now time.Time) (unsaid int64, due bool) {
	at, next := now.UnixNano(), s.next.Load()
	if at < next || !s.next.CompareAndSwap(next, at+int64(sparingEvery)) {
		s.unsaid.Add(1)
		return 0, false
	}
	return s.unsaid.Swap(0), true
}

// caught turns a panic into an ordinary error; the visitor never sees where it came from.
func (s *server) caught(c *fiber.Ctx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.Log.Error("panic in a handler", "panic", fmt.Sprint(p), "stack", string(debug.Stack()), "correlation_id", handlers.CorrelationOf(c))
			err = fmt.Errorf("panic in a handler: %v", p)
		}
	}()
	return c.Next()
}

// address is the visitor's: from the right of X-Forwarded-For the first that is no trusted proxy. What stands left of it was
// written by whoever sent the request and is not believed.
func (s *server) address(c *fiber.Ctx) string {
	peer, ok := netip.AddrFromSlice(c.Context().RemoteIP())
	if !ok || !s.trusted(peer.Unmap()) {
		return c.Context().RemoteIP().String()
	}
	hops := strings.Split(c.Get(fiber.HeaderXForwardedFor), ",")
	address := peer.Unmap()
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		if address = hop.Unmap(); !s.trusted(address) {
			break
		}
	}
	return address.String()
}

func (s *server) trusted(address netip.Addr) bool {
	for _, p := range s.TrustedProxies {
		if p.Contains(address) {
			return true
		}
	}
	return false
}
