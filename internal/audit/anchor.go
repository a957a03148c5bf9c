package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// anchorKind is the first member of each line that is sent outside, and the first word of what is signed.
const anchorKind = "audit head 1"

// AnchorRecord is the signed end of the chain at a moment. It vouches for the row with this number and, through the hashes, for
// every row before it.
type AnchorRecord struct {
	Seq       int64
	At        time.Time // microseconds
	Hash      []byte    // of row Seq
	KeyID     int64
	Public    ed25519.PublicKey // what verifies Signature; only in records from outside
	Signature []byte
}

// Restored is the mark in an outside record that says: here the chain was found to end, or to differ, below what had been
// anchored, because an older backup was restored or because somebody cut the chain.
type Restored struct {
	Below   int64     // the last row that had been anchored
	To      int64     // the last anchored row that is still the same; 0: none
	Noticed time.Time // when it was found
}

// message is what is signed: no other signature of the product begins like it.
func (a AnchorRecord) message() []byte {
	m := []byte("leadline " + anchorKind)
	m = appendNetstring(m, strconv.FormatInt(a.Seq, 10))
	m = appendNetstring(m, hex.EncodeToString(a.Hash))
	return appendNetstring(m, canonical(a.At))
}

// signedBy tells whether the signature is the key's.
func (a AnchorRecord) signedBy(key ed25519.PublicKey) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, a.message(), a.Signature)
}

// same tells whether two records say the same, the public key aside, which only one of them may hold.
func (a AnchorRecord) same(b AnchorRecord) bool {
	return a.Seq == b.Seq && a.At.Equal(b.At) && a.KeyID == b.KeyID && bytes.Equal(a.Hash, b.Hash) && bytes.Equal(a.Signature, b.Signature)
}

// anchorLine is an AnchorRecord or a Restored as JSON. The text of a record is always the same, whoever writes it.
type anchorLine struct {
	Leadline      string `json:"leadline"`
	Seq           int64  `json:"seq"`
	At            string `json:"at"`
	Hash          string `json:"hash"`
	KeyID         int64  `json:"key_id,omitempty"`
	PublicKey     []byte `json:"public_key,omitempty"`
	Signature     []byte `json:"signature,omitempty"`
	RestoredBelow int64  `json:"restored_below,omitempty"`
	Noticed       string `json:"noticed,omitempty"`
}

// MarshalText writes the record as one line of JSON, without the end of the line.
func (a AnchorRecord) MarshalText() ([]byte, error) {
	return json.Marshal(anchorLine{
		Leadline: anchorKind, Seq: a.Seq, At: canonical(a.At), Hash: hex.EncodeToString(a.Hash),
		KeyID: a.KeyID, PublicKey: a.Public, Signature: a.Signature,
	})
}

// restoredLine writes the mark; to is the last anchor that still holds.
func restoredLine(below int64, to AnchorRecord, noticed time.Time) ([]byte, error) {
	return json.Marshal(anchorLine{
		Leadline: anchorKind, Seq: to.Seq, At: canonical(to.At), Hash: hex.EncodeToString(to.Hash),
		RestoredBelow: below, Noticed: canonical(noticed),
	})
}

var errNoAnchor = errors.New("this is no line of anchors")

// readAnchorLine takes a line apart. mark is nil for a record; for a mark, the record is the anchor that still holds.
func readAnchorLine(text []byte) (a AnchorRecord, mark *Restored, err error) {
	var l anchorLine
	if err := json.Unmarshal(text, &l); err != nil || l.Leadline != anchorKind {
		return a, nil, errNoAnchor
	}
	hash, err := hex.DecodeString(l.Hash)
	if err != nil {
		return a, nil, errNoAnchor
	}
	at, err := time.Parse(timeLayout, l.At)
	if err != nil {
		return a, nil, errNoAnchor
	}
	a = AnchorRecord{Seq: l.Seq, At: at, Hash: hash, KeyID: l.KeyID, Public: l.PublicKey, Signature: l.Signature}
	if l.RestoredBelow == 0 {
		return a, nil, nil
	}
	noticed, err := time.Parse(timeLayout, l.Noticed)
	if err != nil {
		return a, nil, fmt.Errorf("%w: a mark without its time", errNoAnchor)
	}
	return a, &Restored{Below: l.RestoredBelow, To: l.Seq, Noticed: noticed}, nil
}
