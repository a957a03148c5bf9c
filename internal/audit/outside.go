package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Outside is what a record outside the database says.
type Outside struct {
	Name    string // what findings call it
	Missing bool   // there is no such file
	Anchors []AnchorRecord
	// Restored are the marks in it. Anchors that a mark took back are not in Anchors any more.
	Restored []Restored
	Problems []string // lines that cannot be read or contradict each other
}

// last gives the newest anchor, or the zero record.
func (o Outside) last() AnchorRecord {
	if len(o.Anchors) == 0 {
		return AnchorRecord{}
	}
	return o.Anchors[len(o.Anchors)-1]
}

const maxProblems = 20

func (o *Outside) problem(format string, args ...any) {
	if len(o.Problems) < maxProblems {
		o.Problems = append(o.Problems, fmt.Sprintf(format, args...))
	}
}

// ReadAnchors reads a file of anchors, or only its last bytes when tail is more than 0. A file that is not there is no error but Missing. Two processes may have written the same
// line twice, and a write may have been cut off by a crash and repeated: neither is a problem.
func ReadAnchors(path string, tail int64) (Outside, error) {
	f, err := os.Open(filepath.Clean(path))
	if errors.Is(err, fs.ErrNotExist) {
		return Outside{Name: path, Missing: true}, nil
	}
	if err != nil {
		return Outside{}, fmt.Errorf("read the anchors: %w", err)
	}
	defer func() { _ = f.Close() }()
	o := Outside{Name: path}
	from := bufio.NewReaderSize(f, maxLine)
	if err := skipToTail(f, from, tail); err != nil {
		return o, fmt.Errorf("read the anchors in %s: %w", path, err)
	}
	if err := o.read(from); err != nil {
		return o, fmt.Errorf("read the anchors in %s: %w", path, err)
	}
	return o, nil
}

// maxLine is more than any line of ours needs.
const maxLine = 64 << 10

// skipToTail goes to the first whole line among the last bytes.
func skipToTail(f *os.File, r *bufio.Reader, tail int64) error {
	info, err := f.Stat()
	if err != nil || tail <= 0 || info.Size() <= tail {
		return err
	}
	if _, err := f.Seek(-tail-1, io.SeekEnd); err != nil { // the byte before tells whether a line begins there
		return err
	}
	_, err = r.ReadSlice('\n')
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (o *Outside) read(r *bufio.Reader) error {
	var torn []byte // a line that could not be read: fine if the next one begins with it
	for n := 1; ; n++ {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, io.EOF) { // what has no end yet is being written, or was cut off by a crash
			if torn != nil {
				o.problem("line %d is not readable", n-1)
			}
			return nil
		}
		if err != nil {
			return err
		}
		line = line[:len(line)-1]
		if torn != nil && !bytes.HasPrefix(line, torn) {
			o.problem("line %d is not readable", n-1)
		}
		torn = nil
		a, mark, err := readAnchorLine(line)
		switch {
		case err != nil:
			torn = slices.Clone(line)
		case mark != nil:
			o.takeBack(*mark)
		default:
			o.add(n, a)
		}
	}
}

// takeBack drops the anchors of rows that the database has lost.
func (o *Outside) takeBack(mark Restored) {
	o.Restored = append(o.Restored, mark)
	keep, _ := o.find(mark.To + 1)
	o.Anchors = o.Anchors[:keep]
}

func (o *Outside) add(line int, a AnchorRecord) {
	at, known := o.find(a.Seq)
	switch {
	case known && o.Anchors[at].same(a):
	case known:
		o.problem("line %d anchors row %d again, with other words", line, a.Seq)
	case at < len(o.Anchors):
		o.problem("line %d anchors row %d after row %d", line, a.Seq, o.last().Seq)
	default:
		o.Anchors = append(o.Anchors, a)
	}
}

func (o *Outside) find(seq int64) (int, bool) {
	return slices.BinarySearchFunc(o.Anchors, seq, func(a AnchorRecord, seq int64) int { return int(min(max(a.Seq-seq, -1), 1)) })
}
