package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"leadline/internal/outbound"
)

// destination is one place outside the database that anchors go to. What it got last is always read from a file: of a file
// destination its own end, of a webhook a note beside the data. Nothing has to be remembered over a restart.
type destination struct {
	name string // for people: a path, or a webhook's host; the rest of a URL may be a credential
	file string // where the last line is read
	url  string // empty: file is the destination
	http *outbound.Client
}

// parseDestination reads file:/path or an http(s) URL. dir is where notes on webhooks are kept.
func parseDestination(text, dir string, client *outbound.Client) (*destination, error) {
	if path, ok := AnchorFile(text); ok {
		return &destination{name: path, file: path}, nil
	}
	u, err := url.Parse(text)
	if err != nil || outbound.CheckURL(u) != nil {
		return nil, errors.New("anchors go to file:/path or to an http(s) address")
	}
	id := sha256.Sum256([]byte(text))
	return &destination{name: u.Host, file: filepath.Join(dir, "audit-sent-"+hex.EncodeToString(id[:6])+".json"), url: text, http: client}, nil
}

// AnchorFile gives the path of a destination that is a file: file:/path or file:///path.
func AnchorFile(destination string) (path string, ok bool) {
	path, ok = strings.CutPrefix(destination, "file:")
	if rest, slashes := strings.CutPrefix(path, "//"); slashes {
		path = rest
	}
	return path, ok && path != ""
}

const tailSize = 64 << 10

// last gives the anchor that the destination got last, or that holds after a mark; the zero record when it got none.
func (d *destination) last() (AnchorRecord, error) {
	f, err := os.Open(d.file)
	if errors.Is(err, fs.ErrNotExist) {
		return AnchorRecord{}, nil
	}
	if err != nil {
		return AnchorRecord{}, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return AnchorRecord{}, err
	}
	tail := make([]byte, min(info.Size(), tailSize))
	if _, err := f.ReadAt(tail, info.Size()-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return AnchorRecord{}, err
	}
	whole := tail
	if d.url == "" { // what has no end was cut off by a crash
		whole = tail[:bytes.LastIndexByte(tail, '\n')+1]
	}
	lines := bytes.Split(bytes.TrimSuffix(whole, []byte("\n")), []byte("\n"))
	for i := len(lines) - 1; i >= 0; i-- {
		if a, _, err := readAnchorLine(lines[i]); err == nil {
			return a, nil
		}
	}
	if begin := []byte(`{"leadline":"` + anchorKind + `"`); len(whole) == 0 && (bytes.HasPrefix(begin, tail) || bytes.HasPrefix(tail, begin)) {
		return AnchorRecord{}, nil // the very first line was cut off
	}
	return AnchorRecord{}, fmt.Errorf("%s holds something else than anchors; nothing was written to it", d.file)
}

// put hands lines over, in order, and returns how many arrived.
func (d *destination) put(ctx context.Context, seqs []int64, lines [][]byte) (int, error) {
	if d.url == "" {
		if err := appendLines(d.file, lines); err != nil {
			return 0, err
		}
		return len(lines), nil
	}
	for i, line := range lines {
		if err := d.post(ctx, seqs[i], line); err != nil {
			return i, err
		}
		if err := replaceFile(d.file, line); err != nil {
			return i, err
		}
	}
	return len(lines), nil
}

// appendLines adds lines to a file and returns once they are on the disk.
func appendLines(path string, lines [][]byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // in the data directory others have folders
		return err
	}
	f, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text := append(bytes.Join(lines, []byte("\n")), '\n')
	if info, err := f.Stat(); err != nil {
		return err
	} else if info.Size() > 0 {
		end := make([]byte, 1)
		if _, err := f.ReadAt(end, info.Size()-1); err != nil {
			return err
		}
		if end[0] != '\n' { // a write that a crash cut off: its line is written again
			text = append([]byte("\n"), text...)
		}
	} else if err := syncDir(filepath.Dir(path)); err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.Sync()
}

// replaceFile writes a small file so that it is either the old or the new one, whatever happens.
func replaceFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // in the data directory others have folders
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func syncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

const postLimit = 10 * time.Second

// post sends one line. The key lets a receiver drop what it has already: each process of an installation sends.
func (d *destination) post(ctx context.Context, seq int64, line []byte) error {
	ctx, cancel := context.WithTimeout(ctx, postLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(line))
	if err != nil {
		return errors.New("the address is not valid")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", "audit-head-"+strconv.FormatInt(seq, 10)+"-"+shortHash(line))
	resp, err := d.http.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body) // so that the connection can be used again
	_ = resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("%s answered %d", d.name, resp.StatusCode)
	}
	return nil
}

func shortHash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:4])
}
