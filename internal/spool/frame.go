package spool

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"leadline/internal/keyring"
)

// magic begins each segment.
const magic = "leadline spool 1\n"

// A frame is its body's length and checksum, then the body: id (16 bytes), moment (8, Unix nanoseconds), key (8), the length of the
// wrapped key (2), the wrapped key, and what is sealed. Numbers are big-endian.
const (
	headSize  = 8
	fixedBody = 16 + 8 + 8 + 2
	maxBody   = 1 << 20 // a submission has at most 32 KiB; anything longer is damage
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged says that a segment holds bytes that no crash explains: somebody should look.
var errDamaged = errors.New("a segment of the spool is damaged")

// record is one frame taken apart.
type record struct {
	id       uuid.UUID
	at       time.Time
	envelope keyring.Envelope
	size     int64
}

func encode(id uuid.UUID, at time.Time, e keyring.Envelope) []byte {
	body := make([]byte, 0, fixedBody+len(e.Wrapped)+len(e.Sealed))
	body = append(body, id[:]...)
	body = binary.BigEndian.AppendUint64(body, uint64(at.UnixNano()))
	body = binary.BigEndian.AppendUint64(body, uint64(e.KeyID))        //nolint:gosec // read back the same way
	body = binary.BigEndian.AppendUint16(body, uint16(len(e.Wrapped))) //nolint:gosec // 92 bytes
	body = append(append(body, e.Wrapped...), e.Sealed...)
	frame := make([]byte, 0, headSize+len(body))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(body))) //nolint:gosec // far below
	frame = binary.BigEndian.AppendUint32(frame, crc32.Checksum(body, castagnoli))
	return append(frame, body...)
}

// next reads a frame. io.EOF at the end, also when the last frame is torn: it was being written when its process ended, and nobody was
// told that it is safe. errDamaged for anything else that is no frame.
func next(r *bufio.Reader) (record, error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return record{}, tornOr(err)
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n < fixedBody || n > maxBody {
		return record{}, errDamaged
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return record{}, tornOr(err)
	}
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		return record{}, errDamaged
	}
	wrapped := int(binary.BigEndian.Uint16(body[32:34]))
	if fixedBody+wrapped > len(body) {
		return record{}, errDamaged
	}
	return record{
		id: uuid.UUID(body[:16]),
		at: time.Unix(0, int64(binary.BigEndian.Uint64(body[16:24]))), //nolint:gosec // written the same way
		envelope: keyring.Envelope{
			KeyID:   int64(binary.BigEndian.Uint64(body[24:32])), //nolint:gosec // written the same way
			Wrapped: body[fixedBody : fixedBody+wrapped], Sealed: body[fixedBody+wrapped:],
		},
		size: headSize + int64(n),
	}, nil
}

func tornOr(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// begin reads a segment's first line. An empty segment has none: its process ended before it was written.
func begin(r *bufio.Reader) error {
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r, head); err != nil {
		return tornOr(err)
	}
	if string(head) != magic {
		return errDamaged
	}
	return nil
}

// survey counts the readable records of a segment.
func survey(name string) (records int, size int64, oldest time.Time, err error) {
	file, err := os.Open(filepath.Clean(name))
	if err != nil {
		return 0, 0, time.Time{}, fmt.Errorf("look into a segment of the spool: %w", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return 0, 0, time.Time{}, fmt.Errorf("look into a segment of the spool: %w", err)
	}
	r := bufio.NewReader(file)
	for err = begin(r); err == nil; {
		var rec record
		if rec, err = next(r); err == nil {
			if records++; records == 1 {
				oldest = rec.at
			}
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, errDamaged) {
		err = nil // draining says what is wrong with it
	}
	return records, info.Size(), oldest, err
}
