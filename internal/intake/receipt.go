package intake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"

	"github.com/google/uuid"
)

const receiptMAC = 16 // bytes of the HMAC that a receipt carries

// Receipt is the token that lets a visitor see and complete what this submission sent, and nothing else.
func (s *Service) Receipt(submission uuid.UUID) string {
	return base64.RawURLEncoding.EncodeToString(append(submission[:], s.receiptMAC(submission)...))
}

// OpenReceipt gives the submission that a token was made for; ok is false for any token that we did not make.
func (s *Service) OpenReceipt(token string) (submission uuid.UUID, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != len(submission)+receiptMAC {
		return uuid.Nil, false
	}
	copy(submission[:], raw)
	if !hmac.Equal(raw[len(submission):], s.receiptMAC(submission)) {
		return uuid.Nil, false
	}
	return submission, true
}

func (s *Service) receiptMAC(submission uuid.UUID) []byte {
	mac := hmac.New(sha256.New, s.Secret)
	mac.Write([]byte("receipt1\x00"))
	mac.Write(submission[:])
	return mac.Sum(nil)[:receiptMAC]
}
