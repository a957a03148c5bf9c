// Package machine knows the programs that may post leads for others (partners, advertising platforms, back ends): their keys, and how
// they sign what they send. It is pure: no clock, no database, no network.
//
// playbook makes Clients out of the configuration; handlers asks Identify who signed a request.
package machine

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"leadline/internal/lead"
	"leadline/internal/privacy"
)

// How many bytes a key has (Standard Webhooks). New ones get keyMade.
const (
	keyLeast = 24
	keyMost  = 64
	keyMade  = 32
)

const keyPrefix = "whsec_"

// Limits of the configuration. They bound the work that a request with a wrong signature makes: one HMAC for each key.
const (
	MaxKeys    = 2  // of a client: the present one and, while it is being exchanged, the next
	MaxClients = 16 // that may post to one form
)

// Client is a machine client as the live configuration describes it. Values are shared between goroutines: never change one.
type Client struct {
	Slug  string
	Forms []string
	Limit lead.Rate // zero: none
	Keys  []Key     // those that can be used; none: nothing is taken from this client
	// Wrong says of each key that cannot be used why, as sentences for whoever runs the server.
	Wrong []string
}

// Posts tells whether the client may post to a form.
func (c *Client) Posts(form string) bool { return slices.Contains(c.Forms, form) }

// Equal tells whether two clients are the same, keys and faults included.
func (c Client) Equal(other Client) bool {
	return c.Slug == other.Slug && slices.Equal(c.Forms, other.Forms) && c.Limit == other.Limit && slices.Equal(c.Keys, other.Keys) &&
		slices.Equal(c.Wrong, other.Wrong)
}

// Key is a key's bytes, ready to sign with. It cannot print itself.
type Key struct{ bytes privacy.Secret }

// Format hides the key from every verb: fmt would not ask a field that it cannot see.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.bytes.String()) }

// LogValue hides the key from logs.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.bytes.String()) }

// ParseKey reads whsec_ and 24 to 64 bytes in base64. The error repeats nothing of what was given.
func ParseKey(text privacy.Secret) (Key, error) {
	encoded, ok := strings.CutPrefix(text.Plain(), keyPrefix)
	if !ok {
		return Key{}, fmt.Errorf("it does not begin with %s", keyPrefix)
	}
	bytes, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		bytes, err = base64.RawStdEncoding.Strict().DecodeString(encoded)
	}
	switch {
	case err != nil:
		return Key{}, fmt.Errorf("what follows %s is not base64", keyPrefix)
	case len(bytes) < keyLeast || len(bytes) > keyMost:
		return Key{}, fmt.Errorf("it has %d bytes after %s, not %d to %d", len(bytes), keyPrefix, keyLeast, keyMost)
	}
	return Key{privacy.Secret(bytes)}, nil
}

// NewKey makes a random key, as it is stored and given to a partner.
func NewKey() privacy.Secret {
	var random [keyMade]byte
	_, _ = rand.Read(random[:]) // never fails: the program ends when the system has no randomness
	return privacy.Secret(keyPrefix + base64.StdEncoding.EncodeToString(random[:]))
}
