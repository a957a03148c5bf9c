package spam

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// What a browser may say instead of a solution.
const (
	SolverReady   = "ready"   // it can solve a challenge when there is one
	SolverMissing = "missing" // it was given one and cannot: no cryptography on plain http pages
)

// The work: between leastTries and mostTries derivations of proofCost rounds each, known beforehand within that. Few and dear ones, because
// a browser hands each to another thread. For us it is one of them for making a challenge and one for checking it.
const (
	proofAlgorithm = "PBKDF2/SHA-256"
	proofCost      = 1000
	proofKeyLength = 32
	leastTries     = 15
	mostTries      = 30
	proofLasts     = 10 * time.Minute
	proofLevel     = "doubtful"
	mostSolution   = 4096
)

// Proof is a challenge of the ALTCHA protocol, version 2: find the counter whose derived key begins with the prefix.
type Proof struct {
	Parameters proofParameters `json:"parameters"`
	Signature  string          `json:"signature"`
}

// proofParameters stand in the order in which they are signed: sorted by name.
type proofParameters struct {
	Algorithm    string            `json:"algorithm"`
	Cost         int               `json:"cost"`
	Data         map[string]string `json:"data,omitempty"`
	ExpiresAt    int64             `json:"expiresAt,omitempty"`
	KeyLength    int               `json:"keyLength"`
	KeyPrefix    string            `json:"keyPrefix"`
	KeySignature string            `json:"keySignature,omitempty"`
	MemoryCost   int               `json:"memoryCost,omitempty"`
	Nonce        string            `json:"nonce"`
	Parallelism  int               `json:"parallelism,omitempty"`
	Salt         string            `json:"salt"`
}

// solved is what a browser sends: base64 of JSON. Members that we do not need are not read.
type solved struct {
	Challenge Proof `json:"challenge"`
	Solution  struct {
		Counter    uint32 `json:"counter"`
		DerivedKey string `json:"derivedKey"`
	} `json:"solution"`
}

// challenge makes a proof for a form. The counter is chosen here and its key gives the prefix, so that nobody is unlucky.
func (g *Guard) challenge(form string, now time.Time) (*Proof, error) {
	p := proofParameters{
		Algorithm: proofAlgorithm, Cost: proofCost, KeyLength: proofKeyLength, ExpiresAt: now.Add(proofLasts).Unix(),
		Data: map[string]string{"form": form, "level": proofLevel},
	}
	var seed [24]byte
	_, _ = rand.Read(seed[:]) // never fails
	p.Nonce, p.Salt = hex.EncodeToString(seed[:12]), hex.EncodeToString(seed[12:])
	chosen, err := rand.Int(rand.Reader, big.NewInt(mostTries-leastTries))
	if err != nil {
		return nil, fmt.Errorf("choose a counter: %w", err)
	}
	key, err := derive(p, uint32(leastTries+chosen.Int64())) //nolint:gosec // below mostTries
	if err != nil {
		return nil, err
	}
	p.KeyPrefix = hex.EncodeToString(key[:proofKeyLength/2])
	signature, err := sign(g.proofKey, p)
	return &Proof{Parameters: p, Signature: signature}, err
}

// proven tells whether a submission brings the solution of a challenge that we made for its form, that has not run out and that nobody
// has used before. An error means that it could not be found out.
func (g *Guard) proven(ctx context.Context, v Visit, now time.Time) (bool, error) {
	signature, until, ok := checkProof(g.proofKey, v.Raw.Trap.Solution, now, func(data map[string]string) bool {
		return data["form"] == v.Form.Slug && data["level"] == proofLevel
	})
	if !ok || g.Spend == nil {
		return false, nil
	}
	holder := sha256.Sum256([]byte(v.Form.Slug + "\x00" + v.Raw.ClientKey)) // a retry is the same submission, and has paid
	if v.Raw.ClientKey == "" {
		_, _ = rand.Read(holder[:]) // nobody can repeat it
	}
	return g.Spend(ctx, signature, holder[:], until)
}

// checkProof verifies a solution, the cheap things first: whatever a stranger sends decides on no work of ours before its signature has
// been found to be our own.
func checkProof(key []byte, payload string, now time.Time, meant func(map[string]string) bool) (signature []byte, until time.Time, ok bool) {
	if len(key) == 0 || len(payload) > mostSolution {
		return nil, until, false
	}
	document, err := base64.StdEncoding.DecodeString(payload)
	if err != nil {
		return nil, until, false
	}
	var s solved
	if json.Unmarshal(document, &s) != nil {
		return nil, until, false
	}
	p := s.Challenge.Parameters
	until = time.Unix(p.ExpiresAt, 0)
	want, err := sign(key, p)
	if err != nil || !now.Before(until) || !hmac.Equal([]byte(want), []byte(s.Challenge.Signature)) || !meant(p.Data) || p.Algorithm != proofAlgorithm {
		return nil, until, false
	}
	derived, err := derive(p, s.Solution.Counter)
	if err != nil {
		return nil, until, false
	}
	text := hex.EncodeToString(derived)
	if p.KeyPrefix == "" || !strings.HasPrefix(text, p.KeyPrefix) || !hmac.Equal([]byte(text), []byte(s.Solution.DerivedKey)) {
		return nil, until, false
	}
	signature, err = hex.DecodeString(want)
	return signature, until, err == nil
}

// derive is the work: PBKDF2 over nonce and counter.
func derive(p proofParameters, counter uint32) ([]byte, error) {
	nonce, err := hex.DecodeString(p.Nonce)
	if err != nil {
		return nil, fmt.Errorf("read a nonce: %w", err)
	}
	salt, err := hex.DecodeString(p.Salt)
	if err != nil {
		return nil, fmt.Errorf("read a salt: %w", err)
	}
	password := binary.BigEndian.AppendUint32(nonce, counter)
	key, err := pbkdf2.Key(sha256.New, string(password), salt, p.Cost, p.KeyLength)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	return key, nil
}

// sign gives the signature over the canonical form of the parameters: sorted members, no spaces.
func sign(key []byte, p proofParameters) (string, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("write a challenge: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write(text) // never fails
	return hex.EncodeToString(mac.Sum(nil)), nil
}
