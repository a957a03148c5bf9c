package handlers

import (
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/fault"
	"leadline/internal/lead"
)

// Payloads gives programs with the scope for it what visitors sent, byte for byte.
type Payloads struct{ store *lead.PayloadStore }

// NewPayloads makes the handler of raw payloads.
func NewPayloads(d Deps) *Payloads { return &Payloads{store: d.Payloads} }

// apiPayload is one submission as it came. A body that is no text stands in body_base64 instead.
type apiPayload struct {
	SubmissionID  string  `json:"submission_id"`
	Kind          string  `json:"kind"` // first, repeat or amend
	Amends        *string `json:"amends,omitempty"`
	At            string  `json:"at"`
	ContentType   string  `json:"content_type"`
	Body          string  `json:"body,omitempty"`
	Raw           []byte  `json:"body_base64,omitempty"`
	CorrelationID string  `json:"correlation_id"`
}

// List is GET /v1/leads/{id}/payloads?cursor=: a hundred at a time. Aliases are resolved. Each reading is recorded in the audit chain. Payloads are kept for 30 days, and
// those of an erased person are gone: the list is then empty.
func (p *Payloads) List(c *fiber.Ctx) error {
	id, err := leadID(c)
	if err != nil {
		return err
	}
	after := uuid.Nil
	if cursor := c.Query("cursor"); cursor != "" {
		if after, err = uuid.Parse(cursor); err != nil {
			return fault.New(fault.Malformed, "This cursor is not one of ours. Leave it out to begin again.")
		}
	}
	kept, more, err := p.store.Read(c.UserContext(), GrantOf(c).Leads, id, after)
	if err != nil {
		return err
	}
	out := make([]apiPayload, len(kept))
	for i, k := range kept {
		out[i] = apiPayload{
			SubmissionID: k.Submission.String(), Kind: k.Kind, At: stamp(k.At), ContentType: k.ContentType, CorrelationID: k.CorrelationID.Plain(),
		}
		if k.Amends != uuid.Nil {
			amends := k.Amends.String()
			out[i].Amends = &amends
		}
		if body := k.Body.Plain(); utf8.ValidString(body) {
			out[i].Body = body
		} else {
			out[i].Raw = []byte(body)
		}
	}
	answer := fiber.Map{"payloads": out, "next_cursor": nil}
	if more {
		answer["next_cursor"] = out[len(out)-1].SubmissionID
	}
	return c.JSON(answer)
}
