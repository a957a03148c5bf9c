//go:build failpoint

package failpoint

import (
	"bytes"
	"context"
	"net"
)

// intakeWriter is how intake names its connections to the database.
const intakeWriter = "leadline-intake"

// Dial makes the connections of intake's writers pass Sending and Sent; those of others stay as they are.
func Dial(app string, dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	if app != intakeWriter {
		return dial
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &statements{conn}, nil
	}
}

// statements is a database connection on which one write carries one statement with its arguments: it begins with a Bind message.
type statements struct{ net.Conn }

func (c *statements) Write(b []byte) (int, error) {
	if len(b) == 0 || b[0] != 'B' {
		return c.Conn.Write(b)
	}
	if orders.due(Sending) {
		_, _ = c.Conn.Write(b[:len(b)/2])
		die()
	}
	n, err := c.Conn.Write(b)
	if err == nil {
		At(Sent)
	}
	return n, err
}

// Listener makes connections pass Answered once a visitor has been told that a lead is stored.
func Listener(l net.Listener) net.Listener { return &answering{l} }

type answering struct{ net.Listener }

func (l *answering) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &answers{conn}, nil
}

type answers struct{ net.Conn }

func (c *answers) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err == nil && bytes.HasPrefix(b, []byte("HTTP/1.1 201 ")) {
		At(Answered)
	}
	return n, err
}
