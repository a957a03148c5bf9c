package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/google/uuid"
)

// segment is a file that this process appends to, locked as long as it does.
type segment struct {
	file *os.File
	size int64 // guarded by the Spool's lock

	syncing sync.Mutex
	synced  int64 // up to where the file is on the disk
	failed  error // of a sync: the kernel may have dropped what it could not write, and a second sync would not say so
}

// createSegment makes a file, locks it and makes its name durable.
func createSegment(dir string, node int64) (*segment, error) {
	id, err := uuid.NewV7() // names sort by time
	if err != nil {
		return nil, fmt.Errorf("name a segment of the spool: %w", err)
	}
	name := filepath.Join(dir, fmt.Sprintf("%s-%d%s", id, node, suffix))
	file, err := os.OpenFile(filepath.Clean(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin a segment of the spool: %w", err)
	}
	seg := &segment{file: file}
	if err = lock(file); err == nil {
		err = seg.write([]byte(magic))
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		_ = file.Close()
		_ = os.Remove(name)
		return nil, fmt.Errorf("begin a segment of the spool: %w", err)
	}
	return seg, nil
}

func (s *segment) write(frame []byte) error {
	if _, err := s.file.Write(frame); err != nil {
		return fmt.Errorf("write to the spool: %w", err)
	}
	s.size += int64(len(frame))
	return nil
}

// sync makes everything up to end durable. Who comes while another sync runs waits for it, and mostly finds that the next one, made for
// all who wait, covers it too.
func (s *segment) sync(end int64) error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	if s.synced < end {
		s.flush()
	}
	return s.failed
}

// flush syncs the file. Its caller holds syncing.
func (s *segment) flush() {
	if s.failed != nil {
		return
	}
	info, err := s.file.Stat()
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		s.failed = fmt.Errorf("sync the spool: %w", err)
		return
	}
	s.synced = info.Size()
}

// release closes the file once nobody syncs it any more, and with it gives up its lock.
func (s *segment) release() {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.flush() // for those who wrote and wait
	_ = s.file.Close()
}

// lock takes a file for this process, or fails at once when another has it.
func lock(file *os.File) error { return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// syncDir makes names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}
