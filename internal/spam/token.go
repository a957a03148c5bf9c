package spam

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// A token is 8 bytes of time (Unix milliseconds), 8 of chance and the first 16 of HMAC-SHA256 over form, time and chance.
const (
	tokenBody = 16
	tokenLen  = tokenBody + 16
)

const (
	leastDwell = 800 * time.Millisecond
	mostDwell  = 24 * time.Hour
	clockSkew  = 5 * time.Second // between processes
)

// Token says when and for which form a page was made. It holds nothing else and is good for one filling of the form.
func (g *Guard) Token(form string) string {
	raw := make([]byte, tokenBody, tokenLen)
	binary.BigEndian.PutUint64(raw, uint64(g.Now().UnixMilli()))
	_, _ = rand.Read(raw[8:]) // never fails
	return base64.RawURLEncoding.EncodeToString(append(raw, g.tokenMAC(form, raw)...))
}

// openToken reads a token; ok is false when we did not make it, or not for this form.
func (g *Guard) openToken(form, token string) (made time.Time, nonce uint64, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != tokenLen || !hmac.Equal(raw[tokenBody:], g.tokenMAC(form, raw[:tokenBody])) {
		return time.Time{}, 0, false
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(raw))), binary.BigEndian.Uint64(raw[8:]), true //nolint:gosec // we wrote it
}

func (g *Guard) tokenMAC(form string, body []byte) []byte {
	mac := hmac.New(sha256.New, g.tokenKey)
	_, _ = mac.Write(body) // never fails
	_, _ = mac.Write([]byte(form))
	return mac.Sum(nil)[:tokenLen-tokenBody]
}
