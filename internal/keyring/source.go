package keyring

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"leadline/internal/config"
)

const (
	commandLimit = 10 * time.Second
	sourceLimit  = 4 << 10 // bytes that a file or a command may give
)

// mounted are the directories where containers find their secrets. What is mounted there often belongs to root and is readable by
// all in the container, which is nobody else.
var mounted = []string{"/run/secrets/", "/var/run/secrets/"}

// readKey gets a key from where it is kept.
func readKey(ctx context.Context, source config.KeySource) ([]byte, error) {
	switch {
	case source.Key != nil:
		return source.Key, nil
	case source.File != "":
		return readKeyFile(source.File, mounted)
	default:
		return runKeyCommand(ctx, source.Command, commandLimit)
	}
}

// readKeyFile refuses a file that others could read or write, except where secrets are mounted.
func readKeyFile(path string, mounted []string) ([]byte, error) {
	info, err := os.Stat(path) // before it is opened: opening a pipe would wait for its other end
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no ordinary file", path)
	}
	if err != nil {
		return nil, fileTrouble(path, err)
	}
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fileTrouble(path, err)
	}
	defer func() { _ = f.Close() }()
	if info, err = f.Stat(); err != nil {
		return nil, fileTrouble(path, err)
	}
	refused := fs.FileMode(0o077)
	for _, dir := range mounted {
		if strings.HasPrefix(path, dir) {
			refused = 0o022
		}
	}
	if info.Mode().Perm()&refused != 0 {
		return nil, fmt.Errorf("%s may be read or written by others (mode %04o); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	content, err := io.ReadAll(io.LimitReader(f, sourceLimit))
	if err != nil {
		return nil, fileTrouble(path, err)
	}
	if len(content) == config.KeySize {
		return content, nil
	}
	key, ok := decodeKey(content)
	if !ok {
		return nil, fmt.Errorf("%s holds neither 32 bytes in base64 nor 32 bytes as they are", path)
	}
	return key, nil
}

func fileTrouble(path string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("%s cannot be read: %w", path, err)
}

// runKeyCommand runs a program without a shell and takes what it prints. What it says to standard error is dropped: it might
// quote a credential.
func runKeyCommand(ctx context.Context, command []string, limit time.Duration) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out limitedBuffer
	cmd := exec.CommandContext(limited, command[0], command[1:]...) //nolint:gosec // the operator names the program
	cmd.Stdout = &out
	cmd.WaitDelay = time.Second // a child that holds the pipe does not hold us
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case limited.Err() != nil && ctx.Err() == nil:
		return nil, fmt.Errorf("%s did not end within %s", command[0], limit)
	case out.tooMuch:
		return nil, fmt.Errorf("%s prints more than a key", command[0])
	case errors.As(err, &exit):
		return nil, fmt.Errorf("%s failed (%s); run it by hand to see why", command[0], exit.ProcessState)
	case err != nil:
		return nil, fmt.Errorf("%s cannot be run: %w", command[0], bare(err))
	}
	key, ok := decodeKey(out.content.Bytes())
	if !ok {
		return nil, fmt.Errorf("%s does not print 32 bytes in base64", command[0])
	}
	return key, nil
}

// bare takes the program's path off an error of starting it, which names it already.
func bare(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

func decodeKey(text []byte) ([]byte, bool) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	return key, err == nil && len(key) == config.KeySize
}

// limitedBuffer takes sourceLimit bytes and refuses more. The buffer is not embedded: its ReadFrom would go around the limit.
type limitedBuffer struct {
	content bytes.Buffer
	tooMuch bool
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.content.Len()+len(p) > sourceLimit {
		b.tooMuch = true
		return 0, errors.New("too much output")
	}
	return b.content.Write(p)
}
