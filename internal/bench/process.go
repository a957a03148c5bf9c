package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// roleWord as first argument makes this program one of its own children.
const roleWord = "role"

// readyWord begins the line by which a child says where it listens.
const readyWord = "ready "

// startLimit bounds how long a child may take to get ready, stopLimit to end.
const (
	startLimit = time.Minute
	stopLimit  = 40 * time.Second
)

// process is a child that serves.
type process struct {
	name string
	cmd  *exec.Cmd
	addr string
	errs *tail
	done chan struct{}
}

// child starts this program in a role and waits until it says where it listens.
func (b *bench) child(ctx context.Context, role string, args ...string) (*process, error) {
	return b.start(ctx, role, exec.Command(b.self, append([]string{roleWord, role}, args...)...)) //nolint:gosec,noctx // ourselves; stop ends it
}

func (b *bench) start(ctx context.Context, name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, cmd: cmd, errs: &tail{}, done: make(chan struct{})}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	cmd.Stderr = p.errs
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	ready := make(chan string, 1)
	go func() {
		defer close(p.done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if addr, ok := strings.CutPrefix(lines.Text(), readyWord); ok {
				ready <- addr
			}
		}
		_ = cmd.Wait() // what matters was said before
	}()
	select {
	case p.addr = <-ready:
		return p, nil
	case <-p.done:
		return nil, fmt.Errorf("%s ended while starting: %s", name, p.errs)
	case <-ctx.Done():
	case <-time.After(startLimit):
	}
	p.stop()
	return nil, errors.Join(fmt.Errorf("%s did not get ready: %s", name, p.errs), ctx.Err())
}

func (p *process) url() string { return "http://" + p.addr }
func (p *process) pid() int    { return p.cmd.Process.Pid }

// stop ends a process in order; one that does not end is killed. Further calls do nothing.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails when it has ended already
	select {
	case <-p.done:
	case <-time.After(stopLimit):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// ask runs a child that does one thing: it reads a question and prints an answer, both as JSON.
func (b *bench) ask(ctx context.Context, role string, question, answer any) error {
	in, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("ask %s: %w", role, err)
	}
	cmd := exec.CommandContext(ctx, b.self, roleWord, role) //nolint:gosec // ourselves
	errs := &tail{}
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), errs
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", role, err, errs)
	}
	if err := json.Unmarshal(out, answer); err != nil {
		return fmt.Errorf("read the answer of %s: %w", role, err)
	}
	return nil
}

// play is a child's life.
func play(ctx context.Context, role string, args []string) error {
	roles := map[string]func(context.Context, []string) error{
		"capture": playCapture, "noop": playNoop, "naive": playNaive, "crm": playCRM, "load": playLoad,
	}
	f, ok := roles[role]
	if !ok {
		return fmt.Errorf("there is no role %q", role)
	}
	return f(ctx, args)
}

// ready tells the parent where a child listens.
func ready(addr string) { _, _ = io.WriteString(os.Stdout, readyWord+addr+"\n") }

// tail keeps the end of what a process said.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - 4000; over > 0 {
		t.text = t.text[over:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
