package sandbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
)

// savedLine is one line of the state file: the newest state of one thing that a vendor holds.
type savedLine struct {
	Record  *Record  `json:"record,omitempty"`
	Message *Message `json:"message,omitempty"`
	Mail    *Mail    `json:"mail,omitempty"`
	Cleared string   `json:"cleared,omitempty"` // the vendor that was told to forget everything
}

// stateFile keeps what the vendors hold across restarts, as lines appended when something changes. A line reaches the operating
// system before the vendor answers, so a killed process loses nothing; a machine that loses power may. A nil stateFile keeps nothing.
type stateFile struct {
	path string
	log  *slog.Logger
	mu   sync.Mutex
	file *os.File
}

// openState reads the file into the vendors, writes it anew without superseded lines, and appends from then on.
func openState(path string, s *Server) (*stateFile, error) {
	f := &stateFile{path: path, log: s.log}
	if err := f.read(s); err != nil {
		return nil, fmt.Errorf("read what the sandbox held: %w", err)
	}
	if err := f.rewrite(s); err != nil {
		return nil, err
	}
	s.webhook.saved, s.slack.saved, s.mailbox.saved = f.append, f.append, f.append
	return f, nil
}

// read stops at the first line that is not whole: a kill may have cut the last one short.
func (f *stateFile) read(s *Server) error {
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the first start
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var l savedLine
		if json.Unmarshal(line, &l) != nil {
			return nil // the end of what is whole
		}
		l.restoreTo(s)
	}
}

func (l savedLine) restoreTo(s *Server) {
	switch {
	case l.Record != nil:
		s.webhook.restore(l.Record)
	case l.Message != nil:
		s.slack.restore(l.Message)
	case l.Cleared == vendorWebhook:
		s.webhook.clear()
	case l.Mail != nil:
		s.mailbox.restore(l.Mail)
	case l.Cleared == vendorSlack:
		s.slack.clear()
	case l.Cleared == vendorSMTP:
		s.mailbox.clear()
	}
}

// rewrite replaces the file by what the vendors hold now. Only openState calls it, before anybody else knows the file.
func (f *stateFile) rewrite(s *Server) error {
	next, err := os.OpenFile(f.path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("keep what the sandbox holds: %w", err)
	}
	err = writeLines(next, s)
	if err == nil {
		err = os.Rename(next.Name(), f.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep what the sandbox holds: %w", err), next.Close())
	}
	f.file = next
	return nil
}

func writeLines(to io.Writer, s *Server) error {
	out := bufio.NewWriter(to)
	enc := json.NewEncoder(out)
	for _, rec := range s.webhook.list() {
		if err := enc.Encode(savedLine{Record: &rec}); err != nil {
			return err
		}
	}
	for _, m := range s.slack.list() {
		if err := enc.Encode(savedLine{Message: &m}); err != nil {
			return err
		}
	}
	for _, m := range s.mailbox.list() {
		if err := enc.Encode(savedLine{Mail: &m}); err != nil {
			return err
		}
	}
	return out.Flush()
}

// append is called with the vendor's lock held, so that lines of one thing are in order. A disk that fails is reported once;
// the sandbox goes on in memory.
func (f *stateFile) append(l savedLine) {
	line, err := json.Marshal(l)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return
	}
	if err == nil {
		_, err = f.file.Write(append(line, '\n'))
	}
	if err != nil {
		err = errors.Join(err, f.closeLocked())
		f.log.Error("the sandbox can no longer keep what it holds", "error", err)
	}
}

func (f *stateFile) close() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closeLocked()
}

func (f *stateFile) closeLocked() error {
	if f.file == nil {
		return nil
	}
	file := f.file
	f.file = nil
	return file.Close()
}
