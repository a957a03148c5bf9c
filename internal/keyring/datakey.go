package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"leadline/internal/config"
)

const (
	nonceSize = 12
	tagSize   = 16
)

// ErrDamaged says that something sealed does not open: it was changed, or belongs somewhere else.
var ErrDamaged = errors.New("it was changed, or belongs to something else")

// dataKey is an opened data key. What it is used for gets keys derived from it, never the key itself.
type dataKey struct {
	id      int64
	purpose Purpose
	aead    cipher.AEAD        // of seal and open
	root    []byte             // of payload: what wrapping keys are derived from
	private ed25519.PrivateKey // of audit
}

func newDataKey(row keyRow, key []byte) (*dataKey, error) {
	sealing, err := hkdf.Key(sha256.New, key, nil, "leadline seal 1", config.KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive the sealing key of data key %d: %w", row.id, err)
	}
	k := &dataKey{id: row.id, purpose: row.purpose, aead: newGCM(sealing), root: key}
	if row.purpose == Audit {
		k.private = ed25519.NewKeyFromSeed(key)
		if !k.private.Public().(ed25519.PublicKey).Equal(ed25519.PublicKey(row.public)) { //nolint:forcetypeassert // Ed25519's always is
			return nil, fmt.Errorf("open data key %d: its public half belongs to another key: %w", row.id, ErrDamaged)
		}
	}
	return k, nil
}

// seal encrypts under a random nonce, which stands in front.
func (k *dataKey) seal(plain, aad []byte) []byte {
	nonce := make([]byte, nonceSize, nonceSize+len(plain)+tagSize)
	_, _ = rand.Read(nonce) // never fails
	return k.aead.Seal(nonce, nonce, plain, k.bind(aad))
}

func (k *dataKey) open(sealed, aad []byte) ([]byte, error) {
	return openWith(k.aead, sealed, k.bind(aad))
}

func (k *dataKey) bind(aad []byte) []byte {
	return bind("leadline sealed 1 "+string(k.purpose), k.id, aad)
}

// bind makes the associated data of everything that is encrypted here. The first part comes from a few that none of which begins
// another, the second has a fixed length, so no two bindings look the same.
func bind(what string, id int64, aad []byte) []byte {
	b := make([]byte, 0, len(what)+1+8+len(aad))
	b = append(append(b, what...), 0)
	b = binary.BigEndian.AppendUint64(b, uint64(id)) //nolint:gosec // only told apart
	return append(b, aad...)
}

// openWith decrypts what has its nonce in front.
func openWith(aead cipher.AEAD, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < nonceSize+tagSize {
		return nil, ErrDamaged
	}
	plain, err := aead.Open(nil, sealed[:nonceSize], sealed[nonceSize:], aad)
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}

// newGCM makes AES-256-GCM from a key of 32 bytes.
func newGCM(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("keyring: a key of the wrong length: " + err.Error()) // every source of keys checks it
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("keyring: " + err.Error()) // AES has the block size that GCM wants
	}
	return aead
}
