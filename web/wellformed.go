package web

import (
	"bytes"
	"strconv"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// Two programs that read one request differently (a proxy and this server) can be made to see different requests in the same bytes.
// Fiber's reader is lenient where the standard is strict: it takes lines that end in a bare line feed, folded lines, a
// Transfer-Encoding beside a Content-Length, several Hosts and spaces in the target. Whatever is not written exactly as RFC 9112
// says is refused here, before any handler sees it, and the connection is closed, so that nothing that follows is read at all.

// wellFormed looks at a request of HTTP/1.1 as it came over the wire. Any error means: refuse and close. It also says when the connection
// must not be used for another request.
func wellFormed(ctx *fasthttp.RequestCtx) (last bool, err error) {
	conn, ok := ctx.Conn().(metered)
	if !ok {
		return false, nil // HTTP/2 or HTTP/3: framed by whoever read it
	}
	seen, header := conn.meter(), &ctx.Request.Header
	raw := header.RawHeaders()
	f, ok := readFraming(raw)
	target := header.RequestURI()
	if !ok || seen.bad || !validTarget(header.Method(), target, f.host) || !validVersion(header.Protocol(), f) {
		return true, fiber.ErrBadRequest
	}
	if f.chunked {
		// How chunks were counted cannot be checked here, so a request in chunks is the last on its connection. Browsers send none.
		return true, nil
	}
	const around = len("  HTTP/1.1\r\n")
	if len(raw) == 0 {
		raw = []byte("\r\n")
	}
	want := len(header.Method()) + len(target) + around + len(raw) + f.length
	if seen.bytes != want {
		// More has come than this request: somebody sends ahead. That is answered, and the rest read on another connection. It can never
		// be less, unless the two readings differ.
		if seen.bytes < want {
			return true, fiber.ErrBadRequest
		}
		return true, nil
	}
	seen.next()
	return false, nil
}

// framing is what decides where a request ends and whom it is for.
type framing struct {
	host    []byte
	hosts   int
	length  int
	lengths int
	chunked bool
}

// readFraming reads the header lines strictly, of which the meter has seen that they are lines, and Fiber's reader that they hold no
// characters that some take for the end of one. false: they are not written as the standard says.
func readFraming(raw []byte) (f framing, ok bool) {
	for len(raw) > 0 {
		end := bytes.IndexByte(raw, '\n')
		if end < 1 {
			return f, false
		}
		line := raw[:end-1]
		raw = raw[end+1:]
		if len(line) == 0 {
			return f, len(raw) == 0
		}
		colon := bytes.IndexByte(line, ':')
		switch colon { // the length of the name rules most out
		case len(fiber.HeaderHost), len(fiber.HeaderContentLength), len(fiber.HeaderTransferEncoding):
			if !f.take(line[:colon], bytes.Trim(line[colon+1:], " \t")) {
				return f, false
			}
		case -1:
			return f, false
		}
	}
	return f, true
}

// take looks at one header.
func (f *framing) take(name, value []byte) bool {
	switch len(name) {
	case len(fiber.HeaderHost):
		if bytes.EqualFold(name, []byte(fiber.HeaderHost)) {
			f.hosts++
			f.host = value
			return f.hosts == 1 && validHost(value)
		}
	case len(fiber.HeaderContentLength):
		if bytes.EqualFold(name, []byte(fiber.HeaderContentLength)) {
			f.lengths++
			n, err := strconv.ParseUint(string(value), 10, 31)
			f.length = int(n)
			return err == nil && f.lengths == 1 && !f.chunked
		}
	case len(fiber.HeaderTransferEncoding):
		if bytes.EqualFold(name, []byte(fiber.HeaderTransferEncoding)) {
			again := f.chunked
			f.chunked = true
			return !again && f.lengths == 0 && bytes.EqualFold(value, []byte("chunked"))
		}
	}
	return true
}

// validVersion allows HTTP/1.1 with exactly one Host, and HTTP/1.0 as far as it goes.
func validVersion(protocol []byte, f framing) bool {
	switch string(protocol) {
	case "HTTP/1.1":
		return f.hosts == 1
	case "HTTP/1.0":
		return !f.chunked
	}
	return false
}

// validTarget allows a path, * for OPTIONS, and the whole address that a proxy may send, provided that it names the host that Host names.
func validTarget(method, target, host []byte) bool {
	query := false
	for i, b := range target {
		switch {
		case b <= ' ' || b == 0x7f || b == '#':
			return false
		case b == '?':
			query = true
		case b == '%' && !query && !isEscape(target[i:]): // a path that others refuse; in a query they all take it as it stands
			return false
		}
	}
	switch {
	case len(target) == 0:
		return false
	case target[0] == '/':
		return true
	case string(target) == "*":
		return string(method) == fiber.MethodOptions
	}
	for _, scheme := range []string{"http://", "https://"} {
		if len(target) > len(scheme) && bytes.EqualFold(target[:len(scheme)], []byte(scheme)) {
			rest := target[len(scheme):]
			if end := bytes.IndexAny(rest, "/?"); end >= 0 {
				rest = rest[:end]
			}
			return len(rest) > 0 && bytes.EqualFold(rest, host)
		}
	}
	return false
}

// isEscape tells whether text begins with a percent sign and two hexadecimal digits.
func isEscape(text []byte) bool {
	hex := func(b byte) bool { return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F' }
	return len(text) >= 3 && hex(text[1]) && hex(text[2])
}

// validHost allows what can stand in a host and port; an @ or a slash there is read differently by different programs.
func validHost(host []byte) bool {
	for _, b := range host {
		letter := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
		if !letter && bytes.IndexByte([]byte("-._:[]%~"), b) < 0 {
			return false
		}
	}
	return true
}
