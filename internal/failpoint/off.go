//go:build !failpoint

package failpoint

import (
	"context"
	"net"
)

// At does nothing in this build.
func At(Point) {}

// On is false in this build.
func On(Point) bool { return false }

// Dial is dial itself in this build.
func Dial(_ string, dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return dial
}

// Listener is l itself in this build.
func Listener(l net.Listener) net.Listener { return l }

// WhenSent is ctx itself in this build.
func WhenSent(ctx context.Context, _ Point) context.Context { return ctx }
