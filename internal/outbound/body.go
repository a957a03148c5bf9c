package outbound

import (
	"context"
	"errors"
	"io"
)

// ErrTooLarge is what reading a body gives beyond Options.MaxBody. What came before it was handed out and is good.
var ErrTooLarge = errors.New("the answer is larger than the limit")

// body counts what the transport has decompressed already, so that a small answer cannot unfold into a large one.
type body struct {
	from io.ReadCloser
	left int64 // below zero: there was more
	stop context.CancelFunc
}

func (b *body) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > b.left+1 { // one more, to tell the end from too much
		p = p[:b.left+1]
	}
	n, err := b.from.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, ErrTooLarge
	}
	return n, err
}

func (b *body) Close() error {
	defer b.stop()
	return b.from.Close()
}
