package erasure

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"
)

// entry is one erasure on the list. Of the person it holds hashes alone.
type entry struct {
	ID       uuid.UUID   `json:"id"`
	At       time.Time   `json:"at"`
	Subjects [][]byte    `json:"subjects"`
	Leads    []uuid.UUID `json:"leads"`
}

// line is an entry as it stands in the file: with a sum over it, so that damage is told from data.
type line struct {
	entry
	Sum string `json:"sum"`
}

// list is the file outside the database: one JSON object a line, only ever appended to. Whoever writes holds the lock of erasures.
type list struct{ path string }

func (e entry) sum() string {
	text, _ := json.Marshal(e) // ids, times and bytes: always possible
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// append writes entries and returns once they are on disk. A line that a crash cut off is cut away first.
func (l *list) append(entries ...entry) error {
	var text bytes.Buffer
	for _, e := range entries {
		encoded, err := json.Marshal(line{e, e.sum()})
		if err != nil {
			return fmt.Errorf("write the erasure list: %w", err)
		}
		text.Write(append(encoded, '\n'))
	}
	_, whole, err := l.read()
	if err != nil {
		return err
	}
	if err := l.write(text.Bytes(), whole); err != nil {
		return fmt.Errorf("write the erasure list (LEADLINE_ERASURE_LIST): %w", err)
	}
	return nil
}

func (l *list) write(text []byte, whole int64) (err error) {
	dir := filepath.Dir(l.path)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // it may be the data directory, which the PostgreSQL user must enter
		return err
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(whole); err != nil {
		return err
	}
	if _, err := f.WriteAt(text, whole); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new file's name as durable as its content.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// read gives the entries, each once with all the leads that any line names for it, and the length of the part that is whole. A last
// line without its end is what a crash leaves behind: its erasure was not begun. Any other damage is an error.
func (l *list) read() (entries []entry, whole int64, err error) {
	text, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the erasure list (LEADLINE_ERASURE_LIST): %w", err)
	}
	at := map[uuid.UUID]int{}
	for n := 1; len(text) > 0; n++ {
		row, rest, ended := bytes.Cut(text, []byte("\n"))
		var parsed line
		if json.Unmarshal(row, &parsed) != nil || parsed.ID == uuid.Nil || parsed.sum() != parsed.Sum || !ended {
			if !ended { // what a crash leaves behind
				return entries, whole, nil
			}
			return nil, 0, fmt.Errorf("%w: line %d of %s is not as it was written. Restore the file from a copy; "+
				"without it, people who asked to be erased could come back with a restored backup", errDamaged, n, l.path)
		}
		if i, known := at[parsed.ID]; known {
			entries[i].Leads = union(entries[i].Leads, parsed.Leads)
		} else {
			at[parsed.ID] = len(entries)
			entries = append(entries, parsed.entry)
		}
		whole += int64(len(row)) + 1
		text = rest
	}
	return entries, whole, nil
}

// Listed reads the list for whoever verifies the record: the function it gives tells whether an erasure is on it. Nil when there is no
// list here to compare with.
func Listed(path string) (func(id uuid.UUID) bool, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing to compare with
	}
	entries, _, err := (&list{path: path}).read()
	if err != nil {
		return nil, err
	}
	ids := make(map[uuid.UUID]bool, len(entries))
	for _, e := range entries {
		ids[e.ID] = true
	}
	return func(id uuid.UUID) bool { return ids[id] }, nil
}

func union(a, b []uuid.UUID) []uuid.UUID {
	for _, id := range b {
		if !slices.Contains(a, id) {
			a = append(a, id)
		}
	}
	return a
}
