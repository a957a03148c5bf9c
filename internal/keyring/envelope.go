package keyring

import (
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync/atomic"

	"leadline/internal/config"
)

// Envelope is something encrypted under a key of its own. Without Wrapped, Sealed can never be read again, whoever has the data
// keys: deleting that is deleting the content.
type Envelope struct {
	KeyID   int64
	Wrapped []byte // the salt of the wrapping key, a nonce, the envelope's own key sealed: 92 bytes
	Sealed  []byte
}

const (
	saltSize    = 32
	wrappedSize = saltSize + nonceSize + config.KeySize + tagSize

	// wrapperUses bounds how many envelopes share a wrapping key.
	wrapperUses = 1 << 24
)

// payloadWrapper wraps the envelopes' keys of one process for a while.
//
// Random nonces of 96 bits bound what one AES-GCM key may safely do (2^32 times), and no process knows how often others used the
// payload data key. So that key wraps nothing: each process derives a wrapping key from it with a random salt of 256 bits, takes
// a new salt after 2^24 envelopes, and stores the salt with each. No two processes share a wrapping key; under one, the odds that
// two random nonces meet are below 2^-48 (nonces are random and not counted, so that a copy of a virtual machine does not repeat
// them); and the data key may be used without bound, so that only policy decides when it is rotated.
type payloadWrapper struct {
	keyID int64
	salt  [saltSize]byte
	aead  cipher.AEAD
	uses  atomic.Int64
}

func newPayloadWrapper(k *dataKey) (*payloadWrapper, error) {
	w := &payloadWrapper{keyID: k.id}
	_, _ = rand.Read(w.salt[:]) // never fails
	var err error
	w.aead, err = wrappingKey(k, w.salt[:])
	return w, err
}

func wrappingKey(k *dataKey, salt []byte) (cipher.AEAD, error) {
	if k.purpose != Payload {
		return nil, fmt.Errorf("data key %d is not for payloads: %w", k.id, ErrDamaged)
	}
	key, err := hkdf.Key(sha256.New, k.root, salt, "leadline payload wrapping 1", config.KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive a wrapping key: %w", err)
	}
	return newGCM(key), nil
}

// wrapping and content bind the two parts of an envelope to what it belongs to.
func wrapping(keyID int64, aad []byte) []byte { return bind("leadline payload key 1", keyID, aad) }
func content(keyID int64, aad []byte) []byte  { return bind("leadline payload 1", keyID, aad) }

// onlyNonce is the nonce of an envelope's content: its key encrypts nothing else.
var onlyNonce [nonceSize]byte

// Envelope encrypts plain under a fresh key and wraps that under the current payload key, made now if there is none. After the
// first call (or Ready) it touches neither the database nor a lock: some microseconds, from any number of goroutines.
func (r *Ring) Envelope(ctx context.Context, plain, aad []byte) (Envelope, error) {
	w := r.wrapper.Load()
	if w == nil || w.uses.Add(1) > wrapperUses {
		var err error
		if w, err = r.payloadWrapper(ctx); err != nil {
			return Envelope{}, err
		}
	}
	return w.envelope(plain, aad), nil
}

func (w *payloadWrapper) envelope(plain, aad []byte) Envelope {
	var fresh [config.KeySize + nonceSize]byte
	_, _ = rand.Read(fresh[:]) // never fails
	key, nonce := fresh[:config.KeySize], fresh[config.KeySize:]

	wrapped := append(append(make([]byte, 0, wrappedSize), w.salt[:]...), nonce...)
	wrapped = w.aead.Seal(wrapped, nonce, key, wrapping(w.keyID, aad))
	sealed := newGCM(key).Seal(make([]byte, 0, len(plain)+tagSize), onlyNonce[:], plain, content(w.keyID, aad)) //nolint:gosec // the key is used this once
	return Envelope{KeyID: w.keyID, Wrapped: wrapped, Sealed: sealed}
}

// OpenEnvelope decrypts an envelope. ErrDamaged when a part of it was changed, or belongs to another envelope or other
// associated data.
func (r *Ring) OpenEnvelope(ctx context.Context, e Envelope, aad []byte) ([]byte, error) {
	if len(e.Wrapped) != wrappedSize {
		return nil, ErrDamaged
	}
	k, err := r.key(ctx, e.KeyID)
	if err != nil {
		return nil, err
	}
	aead, err := wrappingKey(k, e.Wrapped[:saltSize])
	if err != nil {
		return nil, err
	}
	key, err := openWith(aead, e.Wrapped[saltSize:], wrapping(e.KeyID, aad))
	if err != nil {
		return nil, err
	}
	plain, err := newGCM(key).Open(nil, onlyNonce[:], e.Sealed, content(e.KeyID, aad))
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}

// payloadWrapper gives a wrapper that has uses left: the present one, a new one under the same data key, or the first.
func (r *Ring) payloadWrapper(ctx context.Context) (*payloadWrapper, error) {
	w := r.wrapper.Load()
	switch {
	case w == nil:
		k, err := r.current(ctx, Payload)
		if err != nil {
			return nil, err
		}
		return r.renewWrapper(nil, k)
	case w.uses.Load() >= wrapperUses:
		k, err := r.key(ctx, w.keyID) // open already
		if err != nil {
			return nil, err
		}
		return r.renewWrapper(w, k)
	}
	return w, nil
}

// renewWrapper puts a new wrapper in place of the given one; when another goroutine was quicker, its wrapper is as good.
func (r *Ring) renewWrapper(old *payloadWrapper, k *dataKey) (*payloadWrapper, error) {
	w, err := newPayloadWrapper(k)
	if err != nil {
		return nil, err
	}
	if !r.wrapper.CompareAndSwap(old, w) {
		return r.wrapper.Load(), nil
	}
	return w, nil
}
