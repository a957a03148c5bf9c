package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

// outcome is what became of one lead.
type outcome struct {
	took   time.Duration // from the moment it was due
	kind   string        // "" when stored; otherwise what went wrong, such as "status 503" or "timeout"
	leadID string
}

// conn sends one lead after the other over a connection that it keeps open. Not safe for concurrent use.
type conn struct {
	o      Options
	target *url.URL
	head   string // the request up to the variable headers
	net    net.Conn
	in     *bufio.Reader
	used   bool // has answered before: it may have been closed by the server meanwhile
	buf    []byte
	answer answer
}

// newConn makes the i-th connection of a run; it is opened by the first lead.
func newConn(o Options, i int) *conn {
	all := o.targets()
	target, path := endpoint(all[i%len(all)], o.Form)
	return &conn{o: o, target: target, head: fmt.Sprintf(
		"POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: leadline-load\r\nAccept: application/json\r\nContent-Type: application/json\r\n", path, target.Host)}
}

// send posts one lead and reads the answer. A kept connection that the server closed in the meantime is replaced once; sending
// the lead again is safe because of its key.
func (c *conn) send(body []byte, key string, due time.Time) outcome {
	deadline := c.o.Now().Add(c.o.Timeout)
	res, err := c.exchange(body, key, deadline)
	if err != nil && c.used && !timedOut(err) {
		c.close()
		res, err = c.exchange(body, key, deadline)
	}
	res.took = c.o.Now().Sub(due)
	if err != nil {
		c.close()
		res.kind = kindOf(err)
	}
	return res
}

var errConnect = errors.New("connect")

func kindOf(err error) string {
	switch {
	case errors.Is(err, errConnect):
		return "no connection"
	case timedOut(err):
		return "timeout"
	default:
		return "cut without an answer"
	}
}

func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

func (c *conn) exchange(body []byte, key string, deadline time.Time) (outcome, error) {
	if c.net == nil {
		if err := c.dial(deadline); err != nil {
			return outcome{}, fmt.Errorf("%w: %w", errConnect, err)
		}
	}
	if err := c.net.SetDeadline(deadline); err != nil {
		return outcome{}, err
	}
	c.buf = append(append(c.buf[:0], c.head...), "Idempotency-Key: "...)
	c.buf = append(append(c.buf, key...), "\r\nContent-Length: "...)
	c.buf = append(strconv.AppendInt(c.buf, int64(len(body)), 10), "\r\n\r\n"...)
	c.buf = append(c.buf, body...)
	if _, err := c.net.Write(c.buf); err != nil {
		return outcome{}, err
	}
	res, err := c.answer.read(c.in)
	if err != nil {
		return outcome{}, err
	}
	c.used = true
	if res.last {
		c.close()
	}
	if res.status != http.StatusCreated && res.status != http.StatusOK {
		return outcome{kind: fmt.Sprintf("status %d", res.status)}, nil
	}
	if c.o.Acked == nil {
		return outcome{}, nil
	}
	var stored struct {
		LeadID string `json:"lead_id"`
	}
	if err := json.Unmarshal(res.body, &stored); err != nil || stored.LeadID == "" {
		return outcome{kind: "answer without a lead_id"}, nil //nolint:nilerr // reported by its kind
	}
	return outcome{leadID: stored.LeadID}, nil
}

func (c *conn) dial(deadline time.Time) error {
	host := c.target.Host
	if c.target.Port() == "" {
		host = net.JoinHostPort(c.target.Hostname(), map[string]string{"http": "80", "https": "443"}[c.target.Scheme])
	}
	// No caller's context: a run that is cancelled still waits for the answers it is owed, bounded by the deadline.
	ctx, cancel := context.WithTimeout(context.Background(), max(deadline.Sub(c.o.Now()), time.Millisecond))
	defer cancel()
	var err error
	if c.target.Scheme == "https" {
		c.net, err = (&tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", host)
	} else {
		c.net, err = (&net.Dialer{}).DialContext(ctx, "tcp", host)
	}
	if err != nil {
		c.net = nil
		return err
	}
	c.in, c.used = bufio.NewReader(c.net), false
	return nil
}

func (c *conn) close() {
	if c.net != nil {
		_ = c.net.Close() // nothing is sent that a failed close could lose
		c.net = nil
	}
}
