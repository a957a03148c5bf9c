package keyring

import (
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"leadline/internal/config"
	"leadline/internal/fault"
)

// Master is the key-encryption keys: the current one, which wraps, and those that may still unwrap. It does not print them.
type Master struct {
	current *kek
	known   []*kek
}

// kek is one key-encryption key.
type kek struct {
	fingerprint string
	aead        cipher.AEAD
}

// ReadMaster reads the files and runs the commands that the settings name. secret is the installation's; without a source for
// the key-encryption key it is derived from that. The derived one can always unwrap, so that moving to LEADLINE_KEK needs no
// LEADLINE_KEK_PREVIOUS. Errors say which setting to look at and never repeat what was read.
func ReadMaster(ctx context.Context, secret []byte, source, previous config.KeySource) (Master, error) {
	derived, err := hkdf.Key(sha256.New, secret, nil, "leadline kek 1", config.KeySize)
	if err != nil {
		return Master{}, fmt.Errorf("derive the key-encryption key: %w", err)
	}
	m := Master{current: newKEK(derived)}
	m.known = []*kek{m.current}
	if source.Given() {
		key, err := readKey(ctx, source)
		if err != nil {
			return Master{}, fmt.Errorf("LEADLINE_KEK: %w", err)
		}
		m.current = newKEK(key)
		m.known = append(m.known, m.current)
	}
	if previous.Given() {
		key, err := readKey(ctx, previous)
		if err != nil {
			return Master{}, fmt.Errorf("LEADLINE_KEK_PREVIOUS: %w", err)
		}
		m.known = append(m.known, newKEK(key))
	}
	return m, nil
}

func newKEK(key []byte) *kek {
	sum := sha256.Sum256(slices.Concat([]byte("leadline kek fingerprint 1"), key))
	return &kek{fingerprint: hex.EncodeToString(sum[:8]), aead: newGCM(key)}
}

// Fingerprint names the current key-encryption key without telling anything about it.
func (m Master) Fingerprint() string {
	if m.current == nil {
		return "none"
	}
	return m.current.fingerprint
}

// String shows the fingerprint.
func (m Master) String() string { return m.Fingerprint() }

// Format shows the fingerprint, whatever the verb.
func (m Master) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, m.Fingerprint()) }

// LogValue shows the fingerprint.
func (m Master) LogValue() slog.Value { return slog.StringValue(m.Fingerprint()) }

// wrap encrypts a data key under the current key-encryption key. So few are ever wrapped that random nonces cannot meet.
func (m Master) wrap(purpose Purpose, id int64, key []byte) (fingerprint string, wrapped []byte) {
	nonce := make([]byte, nonceSize, nonceSize+len(key)+tagSize)
	_, _ = rand.Read(nonce) // never fails
	return m.current.fingerprint, m.current.aead.Seal(nonce, nonce, key, bind("leadline data key 1 "+string(purpose), id, nil))
}

// unwrap decrypts a data key under whichever key-encryption key wrapped it.
func (m Master) unwrap(row keyRow) ([]byte, error) {
	wrappedBy := strings.TrimPrefix(row.kek, lostMark) // a key that was found again opens what was given up
	for _, k := range m.known {
		if k.fingerprint != wrappedBy {
			continue
		}
		key, err := openWith(k.aead, row.wrapped, bind("leadline data key 1 "+string(row.purpose), row.id, nil))
		if err != nil || len(key) != config.KeySize {
			return nil, fmt.Errorf("open data key %d: %w", row.id, ErrDamaged)
		}
		return key, nil
	}
	return nil, &fault.Error{
		Kind: fault.Unavailable, Code: CodeUnknownKEK, RetryAfter: time.Minute,
		Message: fmt.Sprintf("The data keys are protected by the key-encryption key %s, but this process was given %s. "+
			"Set LEADLINE_KEK to the key they were made with, or LEADLINE_KEK_PREVIOUS to it while it is being replaced; "+
			"if LEADLINE_KEK was never set, LEADLINE_SECRET must be the one they were made with.", row.kek, m.Fingerprint()),
	}
}

// knows tells whether this process has the key-encryption key with this fingerprint.
func (m Master) knows(fingerprint string) bool {
	return slices.ContainsFunc(m.known, func(k *kek) bool { return k.fingerprint == fingerprint })
}

// CodeUnknownKEK is the code of the fault that a data key gives whose key-encryption key is not there.
const CodeUnknownKEK = "unknown_kek"
