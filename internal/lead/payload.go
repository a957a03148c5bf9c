package lead

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

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

// payloadHead is the first line of what is sealed. The body follows it as it came.
type payloadHead struct {
	ContentType   string     `json:"content_type,omitempty"`
	CorrelationID string     `json:"correlation_id,omitempty"`
	Amends        *uuid.UUID `json:"amends,omitempty"`
}

// PayloadDocument is what was sent as a document to be sealed: a line of JSON that says what it is, then the body, byte for byte; plain
// evidence, readable without this program. amends is the submission that it corrects, if it does.
func PayloadDocument(sub *Submission, amends uuid.UUID) ([]byte, error) {
	head := payloadHead{ContentType: sub.BodyType, CorrelationID: sub.CorrelationID}
	if amends != uuid.Nil {
		head.Amends = &amends
	}
	line, err := json.Marshal(head)
	if err != nil {
		return nil, fmt.Errorf("write payload: %w", err)
	}
	document := make([]byte, 0, len(line)+1+len(sub.Body))
	return append(append(append(document, line...), '\n'), sub.Body.Plain()...), nil
}

// read fills what a document says.
func (p *Payload) read(document []byte) error {
	line, body, found := bytes.Cut(document, []byte("\n"))
	var head payloadHead
	if err := json.Unmarshal(line, &head); err != nil || !found {
		return fmt.Errorf("read payload of submission %s: its first line is not as it was written", p.Submission)
	}
	p.ContentType, p.Body, p.CorrelationID = head.ContentType, privacy.Text(body), privacy.Text(head.CorrelationID)
	if head.Amends != nil {
		p.Amends = *head.Amends
	}
	return nil
}
