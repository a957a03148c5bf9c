package erasure

import (
	"crypto/hmac"
	"crypto/sha256"

	"leadline/internal/lead"
)

// subjectKey is what the hashes on the list are keyed with. Keyed, because a bare hash of an address is reversed by guessing; a key of
// its own, so that the list cannot be compared with the fingerprints in the database.
func subjectKey(secret []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("leadline erasure subject 1"))
	return mac.Sum(nil)
}

// hash names an address on the list.
func (s *Service) hash(kind, address string) []byte {
	mac := hmac.New(sha256.New, s.subject)
	mac.Write([]byte(kind + "\x00" + address))
	return mac.Sum(nil)
}

func (s *Service) emailSubject(email string) []byte { return s.hash("email", lead.EmailMatch(email)) }
func (s *Service) phoneSubject(phone string) []byte { return s.hash("phone", phone) }

// identity is who a contact is: the e-mail address, else the phone number, as for intake. Nil: nobody can tell.
func (s *Service) identity(email, phone string) []byte {
	switch {
	case email != "":
		return s.emailSubject(email)
	case phone != "":
		return s.phoneSubject(phone)
	}
	return nil
}

// subjects are the hashes by which a restored copy of the person is known again.
func (s *Service) subjects(p *person) [][]byte {
	var all [][]byte
	for _, email := range p.emails {
		all = append(all, s.emailSubject(email))
	}
	for _, phone := range p.phones {
		all = append(all, s.phoneSubject(phone))
	}
	return all
}
