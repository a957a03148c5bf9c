package machine

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// The headers of the Standard Webhooks scheme.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderSignature = "webhook-signature"
)

// tolerance is how far the signer's clock may be from ours, either way.
const tolerance = 300 * time.Second

// Bounds of what is looked at.
const (
	maxID         = 255
	maxSignatures = 8
	version       = "v1,"
)

// Message is a request as far as its signature goes: every value of the three headers, because a repeated one is refused, and the
// body, byte for byte.
type Message struct {
	IDs, Timestamps, Signatures []string
	Body                        []byte
}

// Signed tells whether a request carries any part of a signature. One that carries a part and not all of it is no visitor's.
func (m Message) Signed() bool { return len(m.IDs)+len(m.Timestamps)+len(m.Signatures) > 0 }

// Identify finds the client whose key signed a message, and the message's id. ok is false for anything wrong, and nothing tells what it was.
//
// The scheme names no sender, so each client's keys are tried in turn: libraries for it work unchanged, and nobody has to send a
// header of ours. The time this takes depends on how many keys there are and how long the body is, not on any of their bits.
func (m Message) Identify(clients []Client, now time.Time) (c *Client, id string, ok bool) {
	id, stamp, given, ok := m.parts(now)
	if !ok {
		return nil, "", false
	}
	for i := range clients {
		for _, key := range clients[i].Keys {
			if matches(key.sign(id, stamp, m.Body), given) {
				return &clients[i], id, true
			}
		}
	}
	return nil, "", false
}

// parts checks everything but the signature itself.
func (m Message) parts(now time.Time) (id, stamp string, given []string, ok bool) {
	if len(m.IDs) != 1 || len(m.Timestamps) != 1 || len(m.Signatures) != 1 {
		return "", "", nil, false
	}
	id, stamp, given = m.IDs[0], m.Timestamps[0], strings.Fields(m.Signatures[0])
	if !validID(id) || !current(stamp, now) || len(given) > maxSignatures {
		return "", "", nil, false
	}
	return id, stamp, given, true
}

// validID takes printable ids. Full stops part what is signed: with one inside an id, a part of the body could pass for the time.
func validID(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' || id[i] == '.' {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}

// current takes seconds since 1970 that are not far from now.
func current(stamp string, now time.Time) bool {
	for i := range len(stamp) {
		if stamp[i] < '0' || stamp[i] > '9' {
			return false
		}
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || len(stamp) > 12 {
		return false
	}
	return now.Sub(time.Unix(seconds, 0)).Abs() <= tolerance
}

// matches compares as text, in constant time: each signature has one spelling. Versions that we do not know are passed over.
func matches(expected string, given []string) bool {
	found := false
	for _, g := range given {
		if strings.HasPrefix(g, version) && hmac.Equal([]byte(g), []byte(expected)) {
			found = true
		}
	}
	return found
}

// Sign makes the value of the signature header for a message, as senders do.
func (k Key) Sign(id string, at time.Time, body []byte) string {
	return k.sign(id, strconv.FormatInt(at.Unix(), 10), body)
}

func (k Key) sign(id, stamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(k.bytes.Plain()))
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	return version + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
