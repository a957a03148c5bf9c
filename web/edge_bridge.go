package web

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// bridge hands requests of HTTP/2 and HTTP/3 to the Fiber app, which speaks HTTP/1.1 only. Fiber has an adaptor of its own, which neither
// limits a body, nor keeps headers that come in several lines, nor knows of TLS.
//
// A visitor who leaves does not cancel what was sent: pages are closed the moment a form is posted, and the lead counts all the
// same, as it does over HTTP/1.1. What bounds the work is the deadline that every request gets.
type bridge struct {
	handle func(*fasthttp.RequestCtx)
	refuse func(*fasthttp.RequestCtx, error)
	now    func() time.Time
}

// ServeHTTP answers one request.
func (b *bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	limits := http.NewResponseController(w)
	_ = limits.SetReadDeadline(b.now().Add(readTimeout)) // both kinds of server know deadlines

	var ctx fasthttp.RequestCtx
	ctx.Init2(&bridgedConn{remote: addressOf(r.RemoteAddr), state: r.TLS, http2: r.ProtoMajor == 2}, silent{}, false)
	err := translate(&ctx.Request, r)
	if err == nil {
		err = readBody(&ctx.Request, r)
	}
	if errors.Is(err, errGone) {
		panic(http.ErrAbortHandler) // nobody is there to read an answer
	}
	if err != nil {
		b.refuse(&ctx, err)
	} else {
		b.handle(&ctx)
	}
	if ctx.Hijacked() { // would be answered with 101 and silence
		ctx.Response.Reset()
		b.refuse(&ctx, fiber.ErrUpgradeRequired)
	}
	_ = limits.SetWriteDeadline(b.now().Add(writeTimeout))
	answer(w, r, &ctx.Response)
}

// errGone means that the sender ended the request before it was complete.
var errGone = errors.New("the request was not sent to its end")

// translate gives Fiber's request what stands in front of the body.
func translate(to *fasthttp.Request, r *http.Request) error {
	if r.Method == http.MethodConnect || r.Header.Get("Upgrade") != "" {
		return fiber.ErrUpgradeRequired // consoles' sockets are for HTTP/1.1, and browsers open them there by themselves
	}
	size := len(r.Method) + len(r.RequestURI) + len(r.Host)
	for name, values := range r.Header {
		for _, value := range values {
			size += len(name) + len(value) + len(": \r\n")
		}
	}
	if size > maxHeaders {
		return fiber.ErrRequestHeaderFieldsTooLarge
	}
	if !validTarget([]byte(r.Method), []byte(r.RequestURI), []byte(r.Host)) || r.Host == "" || !validHost([]byte(r.Host)) {
		return fiber.ErrBadRequest
	}
	to.Header.SetMethod(r.Method)
	to.SetRequestURI(r.RequestURI)
	for name, values := range r.Header {
		switch name {
		case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Te", "Trailer", "Expect", "Host", "Content-Length":
			continue // of the connection, or set below
		case "Cookie":
			to.Header.Set(name, strings.Join(values, "; ")) // HTTP/2 sends cookies one by one
		default:
			to.Header.Set(name, strings.Join(values, ", "))
		}
	}
	to.Header.SetHost(r.Host)
	return nil
}

// readBody reads the body as far as the limit.
func readBody(to *fasthttp.Request, r *http.Request) error {
	if r.ContentLength > maxBody {
		return fiber.ErrRequestEntityTooLarge // not one byte of it is read
	}
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	var late net.Error
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &late) && late.Timeout():
		return fiber.ErrRequestTimeout
	case err != nil:
		return errGone
	case len(body) > maxBody:
		return fiber.ErrRequestEntityTooLarge
	}
	to.SetBodyRaw(body)
	to.Header.SetContentLength(len(body))
	return nil
}

// answer sends what Fiber made of the request.
func answer(w http.ResponseWriter, r *http.Request, from *fasthttp.Response) {
	header := w.Header()
	from.Header.VisitAll(func(name, value []byte) {
		switch string(name) {
		case "Connection", "Keep-Alive", "Transfer-Encoding", "Content-Length", "Upgrade", "Date":
			return // of the connection, or set by the server
		}
		header.Add(string(name), string(value))
	})
	status := from.StatusCode()
	if status < 200 || status == http.StatusNoContent || status == http.StatusNotModified {
		header.Del("Content-Type")
		w.WriteHeader(status)
		return
	}
	if !from.IsBodyStream() {
		header.Set("Content-Length", strconv.Itoa(len(from.Body())))
	}
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	if err := from.BodyWriteTo(w); err != nil {
		panic(http.ErrAbortHandler) // so that half an answer does not look like a whole one
	}
}

// bridgedConn tells Fiber who sent a request and that it came over TLS. Nothing is read from it or written to it.
type bridgedConn struct {
	remote net.Addr
	state  *tls.ConnectionState
	http2  bool
}

// early tells whether the request came before the handshake was complete, when whoever recorded it could send it again.
func (c *bridgedConn) early() bool { return c.state != nil && !c.state.HandshakeComplete }

func addressOf(text string) net.Addr {
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return &net.TCPAddr{IP: net.IPv4zero}
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(at.Addr().Unmap(), at.Port()))
}

func (c *bridgedConn) Read([]byte) (int, error)             { return 0, io.EOF }
func (c *bridgedConn) Write([]byte) (int, error)            { return 0, net.ErrClosed }
func (c *bridgedConn) Close() error                         { return nil }
func (c *bridgedConn) LocalAddr() net.Addr                  { return &net.TCPAddr{} }
func (c *bridgedConn) RemoteAddr() net.Addr                 { return c.remote }
func (c *bridgedConn) SetDeadline(time.Time) error          { return nil }
func (c *bridgedConn) SetReadDeadline(time.Time) error      { return nil }
func (c *bridgedConn) SetWriteDeadline(time.Time) error     { return nil }
func (c *bridgedConn) Handshake() error                     { return nil }
func (c *bridgedConn) ConnectionState() tls.ConnectionState { return *c.state }

// silent is Fiber's own log, which we do not keep: it quotes requests.
type silent struct{}

func (silent) Printf(string, ...any) {}
