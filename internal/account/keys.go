package account

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"

	"github.com/google/uuid"
)

// keys are what a store makes values with that it can make again.
type keys struct {
	csrf  []byte
	renew []byte
}

// newKeys derives the keys from the installation's secret.
func newKeys(secret []byte) keys {
	return keys{csrf: mac(secret, "leadline csrf 1"), renew: mac(secret, "leadline session 1")}
}

// ownKeys are good for one process: its forms and sessions do not outlive it, nor does another process understand them.
func ownKeys() keys {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	return newKeys(secret[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// next is the token that follows a session's token. It is derived, so that requests that cross each other while the token changes
// all bring the browser the same one, and an answer that gets lost can be given again.
func (k keys) next(token string) string {
	return base64.RawURLEncoding.EncodeToString(mac(k.renew, token))
}

// CSRFToken is what forms of a session carry to prove that they are ours. It stays the same while the session lasts.
func (s *Store) CSRFToken(session uuid.UUID) string {
	return base64.RawURLEncoding.EncodeToString(mac(s.keys.csrf, "csrf|"+session.String()))
}

// CSRFValid tells whether a form's token belongs to a session, in a time that tells nothing. The zero session has none.
func (s *Store) CSRFValid(session uuid.UUID, given string) bool {
	return session != uuid.Nil && subtle.ConstantTimeCompare([]byte(given), []byte(s.CSRFToken(session))) == 1
}
