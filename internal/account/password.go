package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"leadline/internal/fault"
)

// The cost of one password check: 19 MiB and about 25 ms. Stored with each hash, so that it can be raised later.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonThreads = 1
	argonKey     = 32
)

// nobody is checked when there is no password to check against, so that unknown addresses cost the same time.
var nobody = encode(make([]byte, 16), make([]byte, argonKey))

// hashing bounds how many checks run at once: each takes 19 MiB, and a crowd at the door must not starve the leads.
var hashing = make(chan struct{}, 2)

// checkPassword tells whether a password has a length that may be.
func checkPassword(password string, least int) error {
	if n := utf8.RuneCountInString(password); n < least || len(password) > maxPassword {
		return fault.New(fault.Invalid, "A password needs at least %d characters. A few words you remember are better than signs you do not.", least)
	}
	return nil
}

func hashPassword(ctx context.Context, password string) (string, error) {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	key, err := derive(ctx, password, salt)
	if err != nil {
		return "", err
	}
	return encode(salt, key), nil
}

// verifyPassword takes the same time for every hash, including the empty one, which no password fits.
func verifyPassword(ctx context.Context, password, hash string) (bool, error) {
	known := hash != ""
	if !known {
		hash = nobody
	}
	salt, want, err := decode(hash)
	if err != nil {
		return false, err
	}
	got, err := derive(ctx, password, salt)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1 && known, nil
}

func derive(ctx context.Context, password string, salt []byte) ([]byte, error) {
	select {
	case hashing <- struct{}{}:
		defer func() { <-hashing }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to check a password: %w", ctx.Err())
	}
	return argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey), nil
}

func encode(salt, key []byte) string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads, b64(salt), b64(key))
}

func decode(hash string) (salt, key []byte, err error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", argonMemory, argonTime, argonThreads) {
		return nil, nil, fmt.Errorf("a stored password hash is of a kind this version does not know")
	}
	if salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return nil, nil, fmt.Errorf("read a password's salt: %w", err)
	}
	if key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil {
		return nil, nil, fmt.Errorf("read a password's key: %w", err)
	}
	return salt, key, nil
}
