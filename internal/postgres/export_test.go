package postgres

import (
	"context"
	"io/fs"
)

// FindIn looks for programs on a described machine: a PATH that is empty, and these folders.
func FindIn(ctx context.Context, osRelease, goos string, wanted int, layouts ...string) error {
	f := finder{
		layouts: layouts, osRelease: osRelease, goos: goos,
		path:   func(string) (string, error) { return "", fs.ErrNotExist },
		usable: func(string) bool { return true },
	}
	_, err := f.find(ctx, wanted)
	return err
}

// Unsafe is the pure part of CheckDurability.
var Unsafe = unsafe

// PID is the process of the server.
func (p *Private) PID() int { return p.at.pid() }

// Socket is the folder of the server's socket.
func (p *Private) Socket() string { return p.at.sockets }

// Home is the folder of the server's files.
func (p *Private) Home() string { return p.at.home }
