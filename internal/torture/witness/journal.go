package witness

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Class is what an attempt came to, as a client can know it.
type Class string

// The classes of answers.
const (
	OK      Class = "ok"      // 2xx: it is stored
	Refused Class = "refused" // 4xx: it is not
	Unknown Class = "unknown" // everything else: it may be
)

// Line is one entry of the books. An attempt has two: without a Class before it, with one after it. An attempt without the second is
// unknown.
type Line struct {
	At        time.Time `json:"at"`
	Try       int64     `json:"try"`  // number of the attempt
	Fill      int       `json:"fill"` // number of the form fill, which is also that of the person
	Kind      Kind      `json:"kind"`
	Step      Step      `json:"step"`
	Key       string    `json:"key,omitempty"`
	Email     string    `json:"email,omitempty"`
	Phone     string    `json:"phone,omitempty"`
	Digest    string    `json:"digest,omitempty"`
	Target    string    `json:"target,omitempty"`
	Class     Class     `json:"class,omitempty"`
	Status    int       `json:"status,omitempty"`
	Said      string    `json:"said,omitempty"` // code of a refusal, or why there was no answer
	ID        string    `json:"id,omitempty"`   // lead_id of an answer
	Duplicate bool      `json:"duplicate,omitempty"`
}

// journal appends lines to a file; an append has happened when the file has been flushed. Appends that wait for the same flush share it.
type journal struct {
	mu      sync.Mutex
	file    *os.File
	waiting []byte
	flushed chan struct{} // closed when those in waiting are on disk; nil while nobody waits
	busy    bool
}

func newJournal(name string) (*journal, error) {
	file, err := os.OpenFile(filepath.Clean(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the books: %w", err)
	}
	return &journal{file: file}, nil
}

// add returns once the line is on disk.
func (j *journal) add(l Line) error {
	text, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("write a line: %w", err)
	}
	j.mu.Lock()
	j.waiting = append(append(j.waiting, text...), '\n')
	if j.flushed == nil {
		j.flushed = make(chan struct{})
	}
	mine := j.flushed
	if !j.busy {
		j.busy = true
		go j.flush()
	}
	j.mu.Unlock()
	<-mine
	return nil
}

// flush writes until nobody waits.
func (j *journal) flush() {
	for {
		j.mu.Lock()
		text, done := j.waiting, j.flushed
		j.waiting, j.flushed = nil, nil
		if done == nil {
			j.busy = false
			j.mu.Unlock()
			return
		}
		j.mu.Unlock()
		_, err := j.file.Write(text)
		if err == nil {
			err = j.file.Sync()
		}
		if err != nil {
			panic(fmt.Sprintf("the witness cannot keep its books: %v", err)) // whatever it said from here on would be worthless
		}
		close(done)
	}
}

// ReadJournal gives the lines of a file in their order.
func ReadJournal(name string) ([]Line, error) {
	file, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, fmt.Errorf("open the books: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	var lines []Line
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		var l Line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("read line %d of the books: %w", len(lines)+1, err)
		}
		lines = append(lines, l)
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("read the books: %w", err)
	}
	return lines, nil
}
