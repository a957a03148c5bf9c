package lead

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"

	"leadline/internal/fault"
	"leadline/internal/privacy"
)

// StoredKey gives a client key the form in which it is stored. Keys as browsers make them ([A-Za-z0-9_-]{22,64}) stay; other
// printable keys of up to 255 characters become a hash of fixed length; anything else counts as no key.
func StoredKey(key string) string {
	if key == "" || len(key) > 255 {
		return ""
	}
	fixed := len(key) >= 22 && len(key) <= 64
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return ""
		}
		fixed = fixed && (isAlnum(key[i]) || key[i] == '-' || key[i] == '_')
	}
	if fixed {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// PersonFingerprint is the same-person identity: a keyed hash of the form and the e-mail address, else the phone number. Keyed,
// because a bare hash of an address is reversed by guessing. No time goes into it: the window is a gap, kept by the database.
func PersonFingerprint(secret []byte, form, email, phone string) []byte {
	return keyedPerson(secret, "fp1\x00"+form, email, phone)
}

// PersonKey is PersonFingerprint without the form: by it a person is known again who writes to us another way. It decides where leads go,
// and never what a visitor is told or may change. Half of the hash tells people apart as well, and an index of it grows with every lead.
func PersonKey(secret []byte, email, phone string) []byte {
	return keyedPerson(secret, "pk1", email, phone)[:16]
}

func keyedPerson(secret []byte, kind, email, phone string) []byte {
	person := "phone\x00" + phone
	if email != "" {
		person = "email\x00" + EmailMatch(email)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(kind + "\x00" + person))
	return mac.Sum(nil)
}

// BusinessDigest is the SHA-256 of the answers that matter, in one canonical form. Context, trace and times are not among them: a
// retry may differ there and still is the same submission.
func BusinessDigest(sub *Submission) []byte {
	text, err := json.Marshal(sub.Answers())
	if err != nil {
		return nil // cannot happen: answers hold strings and booleans alone
	}
	sum := sha256.Sum256(text)
	return sum[:]
}

// Answers are the business fields of a submission as a document: what is digested and merged. JSON names are the contract's. The
// values are in clear, because a document is made to be written; the whole cannot print itself.
type Answers struct {
	Name       string            `json:"name,omitempty"`
	Email      string            `json:"email,omitempty"`
	Phone      string            `json:"phone,omitempty"`
	Company    string            `json:"company,omitempty"`
	Country    string            `json:"country,omitempty"`
	Region     string            `json:"region,omitempty"`
	PostalCode string            `json:"postal_code,omitempty"`
	Product    string            `json:"product,omitempty"`
	Notes      string            `json:"notes,omitempty"`
	Fields     map[string]string `json:"fields,omitempty"`
	Consent    Consent           `json:"consent"`
}

// String hides the whole.
func (Answers) String() string { return "[answers]" }

// Format hides the whole from every verb.
func (a Answers) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// LogValue hides the whole from logs.
func (a Answers) LogValue() slog.Value { return slog.StringValue(a.String()) }

// Answers gives the submission's business fields.
func (s *Submission) Answers() Answers {
	c := &s.Contact
	return Answers{
		Name: c.Name.Plain(), Email: c.Email.Plain(), Phone: c.Phone.Plain(), Company: c.Company.Plain(), Country: s.Country, Region: s.Region,
		PostalCode: s.PostalCode, Product: s.Product, Notes: c.Notes.Plain(), Fields: PlainFields(c.Fields), Consent: c.Consent,
	}
}

// PlainFields gives the form's own answers in clear, to be stored or sent. Nil stays nil.
func PlainFields(fields map[string]privacy.Text) map[string]string {
	if fields == nil {
		return nil
	}
	out := make(map[string]string, len(fields))
	for name, value := range fields {
		out[name] = value.Plain()
	}
	return out
}

// HiddenFields is the reverse of PlainFields. Nil stays nil.
func HiddenFields(fields map[string]string) map[string]privacy.Text {
	if fields == nil {
		return nil
	}
	out := make(map[string]privacy.Text, len(fields))
	for name, value := range fields {
		out[name] = privacy.Text(value)
	}
	return out
}

// Equal tells whether two sets of answers say the same.
func (a Answers) Equal(b Answers) bool {
	if len(a.Fields) == 0 && len(b.Fields) == 0 {
		a.Fields, b.Fields = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

// Merge gives a with what newer says: the newest answer that is not empty wins. whole tells that newer is the entire form again, so
// that a consent no longer given is withdrawn; otherwise consent is only added to. The address that identifies the person cannot be
// changed (an Invalid fault says so): that would hand one person's lead to another.
func (a Answers) Merge(newer Answers, whole bool) (Answers, error) {
	if a.Email != "" && newer.Email != "" && EmailMatch(a.Email) != EmailMatch(newer.Email) {
		return a, identityFault("email", "To use another email address, send the form again.")
	}
	if a.Email == "" && newer.Phone != "" && a.Phone != newer.Phone {
		return a, identityFault("phone", "To use another phone number, send the form again.")
	}
	out := a
	for _, p := range []struct{ held, newer *string }{
		{&out.Name, &newer.Name},
		{&out.Email, &newer.Email},
		{&out.Phone, &newer.Phone},
		{&out.Company, &newer.Company},
		{&out.Country, &newer.Country},
		{&out.Region, &newer.Region},
		{&out.PostalCode, &newer.PostalCode},
		{&out.Product, &newer.Product},
		{&out.Notes, &newer.Notes},
	} {
		if *p.newer != "" {
			*p.held = *p.newer
		}
	}
	out.Fields = maps.Clone(a.Fields)
	if out.Fields == nil {
		out.Fields = map[string]string{}
	}
	if newer.Phone != "" && newer.Phone != a.Phone {
		delete(out.Fields, phoneExtension) // it belongs to the number before
	}
	maps.Copy(out.Fields, newer.Fields)
	out.Consent = a.Consent.merge(newer.Consent, whole)
	return out, nil
}

func (c Consent) merge(newer Consent, whole bool) Consent {
	if whole {
		return newer
	}
	if newer.Phone || newer.SMS || newer.Email {
		c.Phone, c.SMS, c.Email = c.Phone || newer.Phone, c.SMS || newer.SMS, c.Email || newer.Email
		c.TextVersion = newer.TextVersion
	}
	return c
}

func identityFault(field, message string) error {
	f := fault.New(fault.Invalid, "Some answers need a change.")
	f.Code, f.Fields = "fields", []fault.Field{{Field: field, Code: "identity", Message: message}}
	return f
}
