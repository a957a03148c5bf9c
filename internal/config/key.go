package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
)

// KeySize is how long each key is, in bytes.
const KeySize = 32

// Key is key material. It does not print itself.
type Key []byte

// Format hides the key from every verb, %x included.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

// LogValue hides the key from logs.
func (Key) LogValue() slog.Value { return slog.StringValue("[secret]") }

// MarshalText hides the key from JSON and whatever else asks for text.
func (Key) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// KeySource says where a key is to be had: exactly one of its fields is set, or none, when the setting was not given. config
// neither reads the file nor runs the command. It does not print itself: a command's arguments may hold a credential.
type KeySource struct {
	Key     Key      // given in the setting itself
	File    string   // absolute path of a file that holds it
	Command []string // program, by absolute path, and arguments; prints it
}

// Given tells whether there is a source at all.
func (s KeySource) Given() bool { return s.Key != nil || s.File != "" || len(s.Command) > 0 }

// Format shows only what kind of source it is.
func (s KeySource) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.kind()) }

// LogValue shows only what kind of source it is.
func (s KeySource) LogValue() slog.Value { return slog.StringValue(s.kind()) }

// MarshalText shows only what kind of source it is.
func (s KeySource) MarshalText() ([]byte, error) { return []byte(s.kind()), nil }

func (s KeySource) kind() string {
	switch {
	case s.Key != nil:
		return "[secret]"
	case s.File != "":
		return "[file]"
	case len(s.Command) > 0:
		return "[command]"
	}
	return ""
}

// parseKeySource never repeats the text: it may be the key, or nearly.
func parseKeySource(text string) (KeySource, error) {
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		if !filepath.IsAbs(path) {
			return KeySource{}, errors.New("give the file's absolute path, like file:/etc/leadline/kek")
		}
		return KeySource{File: filepath.Clean(path)}, nil
	}
	if line, ok := strings.CutPrefix(text, "command:"); ok {
		command := strings.Fields(line)
		if len(command) == 0 || !filepath.IsAbs(command[0]) {
			return KeySource{}, errors.New("give the program's absolute path, like command:/usr/local/bin/leadline-kek; no shell runs it, spaces separate its arguments")
		}
		return KeySource{Command: command}, nil
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != KeySize {
		return KeySource{}, errors.New("give 32 bytes in base64, like the output of: openssl rand -base64 32; or file:/path; or command:/path arguments")
	}
	return KeySource{Key: key}, nil
}
