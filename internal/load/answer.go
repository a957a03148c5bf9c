package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"strconv"
)

// maxAnswer bounds what is read of one answer's body.
const maxAnswer = 1 << 20

// answer is what a server said. It is read anew into the same memory: on a machine that the generator shares with the server,
// net/http's reader would cost a tenth of what the server needs to store a lead.
type answer struct {
	status int
	last   bool // the server closes the connection after it
	body   []byte
}

var errNoHTTP = errors.New("the answer is not HTTP/1.1")

// read takes one answer off a connection. The result is valid until the next read.
func (a *answer) read(in *bufio.Reader) (*answer, error) {
	for {
		length, chunked, err := a.head(in)
		if err != nil {
			return nil, err
		}
		if a.status/100 == 1 {
			continue // only announces the answer
		}
		return a, a.content(in, length, chunked)
	}
}

// head reads the status and the headers that matter. length is -1 when the server does not say it.
func (a *answer) head(in *bufio.Reader) (length int, chunked bool, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, false, err
	}
	proto, rest, _ := bytes.Cut(line, []byte{' '})
	if len(rest) < 3 || !bytes.HasPrefix(proto, []byte("HTTP/1.")) {
		return 0, false, errNoHTTP
	}
	if a.status, err = strconv.Atoi(string(rest[:3])); err != nil {
		return 0, false, errNoHTTP
	}
	a.last, length = bytes.HasSuffix(proto, []byte(".0")), -1
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return 0, false, err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			return length, chunked, nil
		}
		name, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 || length > maxAnswer {
				return 0, false, errNoHTTP
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		case bytes.EqualFold(name, []byte("Connection")):
			a.last = bytes.EqualFold(value, []byte("close"))
		}
	}
}

func (a *answer) content(in *bufio.Reader, length int, chunked bool) error {
	var err error
	switch {
	case chunked:
		if a.body, err = io.ReadAll(io.LimitReader(httputil.NewChunkedReader(in), maxAnswer)); err == nil {
			_, err = in.Discard(len("\r\n")) // no server that we know sends trailers
		}
	case a.status == 204 || a.status == 304:
		a.body = a.body[:0]
	case length < 0:
		a.last = true
		a.body, err = io.ReadAll(io.LimitReader(in, maxAnswer))
	default:
		if cap(a.body) < length {
			a.body = make([]byte, length)
		}
		a.body = a.body[:length]
		_, err = io.ReadFull(in, a.body)
	}
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}
