package account

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// tokenPrefix marks API tokens, so that people and scanners recognise one that leaked.
const tokenPrefix = "ll_"

// newSecret makes a value with 256 random bits and the hash that is stored in its place.
func newSecret(prefix string) (value string, hash []byte) {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // never fails
	value = prefix + base64.RawURLEncoding.EncodeToString(bits[:])
	return value, hashSecret(value)
}

// hashSecret needs no salt and no slowness: the value is random and long, unlike a password.
func hashSecret(value string) []byte {
	sum := sha256.Sum256([]byte(value))
	return sum[:]
}

// plausible spares the database values that were never ours.
func plausible(value, prefix string) bool {
	return len(value) == len(prefix)+43 && value[:len(prefix)] == prefix
}
