package web

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// Row is a line of the matrix as tests see it.
type Row struct {
	Method, Path, Kind, Scope string
	Roles                     []string // who may, of people
	Cells                     map[string]string
	Masks                     bool // a token sees contact details masked
}

// Table gives the matrix.
func Table() []Row {
	m, err := parseMatrix(matrixText)
	if err != nil {
		panic(err)
	}
	var rows []Row
	for _, l := range m.lines {
		a := l.access()
		row := Row{Method: l.method, Path: l.path, Kind: string(a.kind), Scope: a.scope, Roles: a.roles, Cells: map[string]string{}, Masks: l.token.sight > sightHidden}
		for role, c := range l.roles {
			if c.may {
				row.Cells[role] = [...]string{"yes", "own", "team", "all"}[c.reach] + [...]string{"", "/m", "/r"}[c.sight]
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// Text is the matrix as it is written.
func Text() string { return matrixText }

// Parse reads a matrix.
func Parse(text string) error {
	_, err := parseMatrix(text)
	return err
}

// NewWith assembles a server with another matrix, and with handlers that replace gives for routes like "GET /live".
func NewWith(d Deps, text string, replace map[string]fiber.Handler) (*Server, error) {
	return assemble(d, text, func(r route) fiber.Handler {
		if h := replace[r.method+" "+r.path]; h != nil {
			return h
		}
		return r.handler
	})
}

// LagEvery is how long what was found about the load is good for.
const LagEvery = lagEvery

// ReadByFiber reads raw bytes as the server's listener without TLS does, and gives what its handlers would see of each request, up to
// the first that is refused or closes the connection.
func ReadByFiber(raw []byte) (requests []string) {
	server := fasthttp.Server{
		ReadBufferSize: maxHeaders, MaxRequestBodySize: maxBody, DisablePreParseMultipartForm: true, Logger: silent{}, NoDefaultServerHeader: true,
		Handler: func(ctx *fasthttp.RequestCtx) {
			last, err := wellFormed(ctx)
			if last {
				ctx.SetConnectionClose()
			}
			if err == nil {
				h := &ctx.Request.Header
				requests = append(requests, fmt.Sprintf("%s %s host=%q body=%q", h.Method(), h.RequestURI(), h.Host(), ctx.Request.Body()))
			}
		},
	}
	_ = server.ServeConn(&plainConn{Conn: &canned{Reader: bytes.NewReader(raw)}})
	return requests
}

// canned is a connection over which the peer has said everything already.
type canned struct {
	*bytes.Reader
}

func (*canned) Write(p []byte) (int, error)      { return len(p), nil }
func (*canned) WriteTo(io.Writer) (int64, error) { return 0, nil }
func (*canned) Close() error                     { return nil }
func (*canned) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*canned) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*canned) SetDeadline(time.Time) error      { return nil }
func (*canned) SetReadDeadline(time.Time) error  { return nil }
func (*canned) SetWriteDeadline(time.Time) error { return nil }

// StrictRead is what reading a request strictly costs on top: the header lines, and the first line as it comes in.
func StrictRead(first, headers []byte) bool {
	var m meter
	m.note(first)
	f, ok := readFraming(headers)
	return ok && !m.bad && validTarget([]byte("POST"), []byte("/v1/forms/demo/leads"), f.host) && validVersion([]byte("HTTP/1.1"), f)
}
