// Package keyring keeps the keys that protect data, and the credentials of connections under them.
//
// There are two layers. The key-encryption key comes from outside the database (a setting, a file, a command) and wraps data keys,
// nothing else. Data keys live in the table data_key, one current one a purpose: "secret" seals credentials, "payload" wraps the
// key that each raw payload has of its own, "audit" signs the head of the audit chain. Each layer can be rotated while servers run:
// what an older data key protects stays readable under it.
//
// Everything sealed is bound to its purpose, its data key and the caller's associated data, so that a row copied over another does
// not open. A data key is opened once a process, and that is recorded in the audit chain. See docs/secrets.md.
//
// main opens one Ring. playbook gets Secrets.Lookup, intake Envelope, the audit anchors Sign; commands rotate.
package keyring

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"leadline/internal/postgres"
)

// Purpose says what a data key is for. Values are stored.
type Purpose string

// The purposes.
const (
	Secret  Purpose = "secret"  // credentials of connections
	Payload Purpose = "payload" // what visitors sent
	Audit   Purpose = "audit"   // signatures of the audit chain's head
)

// Purposes are all of them, in the order in which they are shown.
var Purposes = []Purpose{Secret, Payload, Audit}

// refreshEvery bounds how long a process goes on wrapping payloads under a data key that was retired elsewhere.
const refreshEvery = 30 * time.Second

// Ring holds the data keys that this process has opened. Safe for use by many goroutines.
//
// Opening a data key writes to the audit chain on a connection of its own: do not call a Ring inside a transaction that has
// appended to the chain already, unless the key is known to be open.
type Ring struct {
	db     *postgres.DB
	master Master

	opening chan struct{}                  // held while a data key is opened or made
	keys    sync.Map                       // id to *dataKey
	public  sync.Map                       // id to ed25519.PublicKey
	wrapper atomic.Pointer[payloadWrapper] // under which payloads are sealed now
}

// Open makes a Ring. It asks nobody anything: data keys are opened when they are first needed.
func Open(_ context.Context, db *postgres.DB, master Master) (*Ring, error) {
	if master.current == nil {
		return nil, errors.New("open the keyring: there is no key-encryption key")
	}
	return &Ring{db: db, master: master, opening: make(chan struct{}, 1)}, nil
}

// Ready opens the current data key of every purpose, making those that are missing, so that nobody has to wait for it later and
// a wrong key-encryption key is found out before the doors open. It is a fault that names the setting then.
func (r *Ring) Ready(ctx context.Context) error {
	for _, purpose := range Purposes {
		if _, err := r.current(ctx, purpose); err != nil {
			return err
		}
	}
	_, err := r.payloadWrapper(ctx)
	return err
}

// Run takes payload keys that were rotated elsewhere into use, within a minute, until the context ends. When the database or the
// new key cannot be reached the one in use stays, which is as good, and it asks again.
func (r *Ring) Run(ctx context.Context) error {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			_ = r.Refresh(ctx)
		}
	}
}

// Refresh takes a payload key that was rotated elsewhere into use. Nothing happens when none was used here yet.
func (r *Ring) Refresh(ctx context.Context) error {
	w := r.wrapper.Load()
	if w == nil {
		return nil
	}
	id, err := r.currentID(ctx, r.db.Console, Payload)
	if err != nil || id == w.keyID {
		return err
	}
	k, err := r.current(ctx, Payload)
	if err != nil {
		return err
	}
	_, err = r.renewWrapper(w, k)
	return err
}

// Format shows the fingerprint of the key-encryption key and nothing else.
func (r *Ring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// String shows the fingerprint of the key-encryption key.
func (r *Ring) String() string { return "keyring " + r.master.String() }

// LogValue shows the fingerprint of the key-encryption key.
func (r *Ring) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Seal encrypts a value under the current data key of a purpose, made now if there is none. What aad says is not stored; Open
// must be given the same. Values up to a few kilobytes; at most some 2^32 of them a data key.
func (r *Ring) Seal(ctx context.Context, purpose Purpose, plain, aad []byte) (keyID int64, sealed []byte, err error) {
	k, err := r.current(ctx, purpose)
	if err != nil {
		return 0, nil, err
	}
	return k.id, k.seal(plain, aad), nil
}

// Open decrypts what Seal encrypted. ErrDamaged when it was changed, belongs to other associated data, or to another key.
func (r *Ring) Open(ctx context.Context, keyID int64, sealed, aad []byte) ([]byte, error) {
	k, err := r.key(ctx, keyID)
	if err != nil {
		return nil, err
	}
	return k.open(sealed, aad)
}

// Sign signs a message with the current signing key, made now if there is none. Messages begin with what they are, so that no
// signature can be passed off as that of something else.
func (r *Ring) Sign(ctx context.Context, message []byte) (keyID int64, signature []byte, err error) {
	k, err := r.current(ctx, Audit)
	if err != nil {
		return 0, nil, err
	}
	return k.id, ed25519.Sign(k.private, message), nil
}

// PublicKey gives the key that verifies signatures by this signing key, retired ones included. It needs no key-encryption key.
func (r *Ring) PublicKey(ctx context.Context, keyID int64) (ed25519.PublicKey, error) {
	if known, ok := r.public.Load(keyID); ok {
		return known.(ed25519.PublicKey), nil //nolint:forcetypeassert // only these are stored
	}
	key, err := publicKey(ctx, r.db.Console, keyID)
	if err != nil {
		return nil, err
	}
	r.public.Store(keyID, key)
	return key, nil
}
