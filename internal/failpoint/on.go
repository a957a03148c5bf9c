//go:build failpoint

package failpoint

import (
	"bufio"
	"context"
	"io"
	"net/http/httptrace"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// pipeVariable holds the number of the file that orders come through.
const pipeVariable = "FAILPOINT_PIPE"

// armed is what has been ordered.
type armed struct {
	mu   sync.Mutex
	kill map[Point]int           // passes left, the fatal one included
	held map[Point]chan struct{} // closed when they may go on
	on   map[Point]bool
}

var orders = &armed{kill: map[Point]int{}, held: map[Point]chan struct{}{}, on: map[Point]bool{}}

// A point may be passed before main has done anything, and orders must be in force by then.
func init() {
	fd, err := strconv.Atoi(os.Getenv(pipeVariable)) //nolint:forbidigo // no setting of the product: exists in this build only
	if err != nil {
		return
	}
	syscall.CloseOnExec(fd)
	go orders.read(os.NewFile(uintptr(fd), "failpoints"))
}

func (a *armed) read(from io.Reader) {
	for lines := bufio.NewScanner(from); lines.Scan(); {
		a.order(strings.Fields(lines.Text()))
	}
}

func (a *armed) order(words []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case len(words) == 3 && words[0] == "kill":
		if n, err := strconv.Atoi(words[2]); err == nil && n > 0 {
			a.kill[Point(words[1])] = n
		}
	case len(words) == 2 && words[0] == "hold":
		if a.held[Point(words[1])] == nil {
			a.held[Point(words[1])] = make(chan struct{})
		}
	case len(words) == 2 && words[0] == "on":
		a.on[Point(words[1])] = true
	case len(words) == 1 && words[0] == "clear":
		for _, gate := range a.held {
			close(gate)
		}
		a.kill, a.held, a.on = map[Point]int{}, map[Point]chan struct{}{}, map[Point]bool{}
	}
}

// due counts a pass and tells whether it is the fatal one.
func (a *armed) due(p Point) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	left, ok := a.kill[p]
	if !ok {
		return false
	}
	a.kill[p] = left - 1
	return left <= 1
}

// die ends the process with no chance to tidy up, and does not return: the kernel takes a moment to reach all threads.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// At ends the process when p is armed and has been passed often enough, or waits while p is held.
func At(p Point) {
	if orders.due(p) {
		die()
	}
	orders.mu.Lock()
	gate := orders.held[p]
	orders.mu.Unlock()
	if gate != nil {
		<-gate
	}
}

// On tells whether a wrong behaviour was ordered.
func On(p Point) bool {
	orders.mu.Lock()
	defer orders.mu.Unlock()
	return orders.on[p]
}

// WhenSent passes p once an HTTP request made with the context is on the wire.
func WhenSent(ctx context.Context, p Point) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(info httptrace.WroteRequestInfo) {
		if info.Err == nil {
			At(p)
		}
	}})
}
