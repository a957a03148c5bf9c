package lead

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"leadline/internal/privacy"
)

// Payload is what somebody sent, kept as evidence: who asked for what, in which words, with which consent.
type Payload struct {
	Submission  uuid.UUID // the lead's id, or that of a later submission that joined or corrected it
	Kind        string    // first, repeat or amend
	At          time.Time
	ContentType string
	Body        privacy.Text // byte for byte as it came
	Amends      uuid.UUID    // with kind amend: the submission that it corrects
	// CorrelationID is the one that the request came with; it may be the visitor's own words.
	CorrelationID privacy.Text
}

// payloadDocument is what is sealed. Exactly one of Body and Raw is used: JSON holds no bytes that are no text.
type payloadDocument struct {
	ContentType   string `json:"content_type,omitempty"`
	Body          string `json:"body,omitempty"`
	Raw           []byte `json:"raw,omitempty"` // base64
	CorrelationID string `json:"correlation_id,omitempty"`
	Amends        string `json:"amends,omitempty"`
}

// PayloadDocument is what was sent as a document to be sealed: plain evidence, readable without this program. amends is the submission
// that it corrects, if it does.
func PayloadDocument(sub *Submission, amends uuid.UUID) ([]byte, error) {
	doc := payloadDocument{ContentType: sub.BodyType, CorrelationID: sub.CorrelationID}
	if amends != uuid.Nil {
		doc.Amends = amends.String()
	}
	if text := sub.Body.Plain(); utf8.ValidString(text) {
		doc.Body = text
	} else {
		doc.Raw = []byte(text)
	}
	sealed, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("write payload: %w", err)
	}
	return sealed, nil
}

// read fills what a document says.
func (p *Payload) read(document []byte) error {
	var doc payloadDocument
	if err := json.Unmarshal(document, &doc); err != nil {
		return fmt.Errorf("read payload of submission %s: %w", p.Submission, err)
	}
	p.ContentType, p.Body, p.CorrelationID = doc.ContentType, privacy.Text(doc.Body), privacy.Text(doc.CorrelationID)
	if doc.Amends != "" {
		amends, err := uuid.Parse(doc.Amends)
		if err != nil {
			return fmt.Errorf("read payload of submission %s: %w", p.Submission, err)
		}
		p.Amends = amends
	}
	if doc.Raw != nil {
		p.Body = privacy.Text(doc.Raw)
	}
	return nil
}
