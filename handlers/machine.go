package handlers

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/machine"
	"leadline/internal/telemetry"
)

// admit settles whether a submission may come in, and who sent it. A signed one must be a machine client's and then keeps to that
// client's rate; anything else is a visitor's and keeps to the form's rule for pages. Limits of visitors come with screen.
func (v *Visitors) admit(c *fiber.Ctx, form *lead.Form) (lead.Arrival, error) {
	message := messageOf(c)
	if message.Signed() {
		return v.admitSigned(c, form, message)
	}
	if err := v.allowOrigin(c, form); err != nil {
		return lead.Arrival{}, err
	}
	return lead.Arrival{}, nil
}

// admitSigned says nothing of what is wrong with a signature: whoever guesses learns nothing. Wrong ones count against the sender's network.
func (v *Visitors) admitSigned(c *fiber.Ctx, form *lead.Form, message machine.Message) (lead.Arrival, error) {
	clients := v.playbook.Current().ClientsOf(form.Slug)
	client, id, ok := message.Identify(clients, v.now())
	if !ok {
		v.metrics.Signature(refusal(clients))
		if err := v.spam.Admit(form, AddressOf(c)); err != nil {
			return lead.Arrival{}, err
		}
		c.Set(fiber.HeaderWWWAuthenticate, "StandardWebhooks")
		return lead.Arrival{}, fault.New(fault.Unauthenticated, "This form takes nothing that is signed like this.")
	}
	if err := v.spam.AdmitClient(client.Slug, client.Limit); err != nil {
		v.metrics.Signature(telemetry.SignatureThrottled)
		return lead.Arrival{}, err
	}
	v.metrics.Signature(telemetry.SignatureAccepted)
	return lead.Arrival{Machine: client.Slug, Message: strings.Clone(id)}, nil
}

// refusal is what a refused signature counts as: an operator who forgot a key should see it.
func refusal(clients []machine.Client) string {
	for i := range clients {
		if len(clients[i].Wrong) > 0 {
			return telemetry.SignatureUnusable
		}
	}
	return telemetry.SignatureRefused
}

// messageOf collects what a signature needs. The body is the one that came, before anything reads it.
func messageOf(c *fiber.Ctx) machine.Message {
	return machine.Message{
		IDs: headers(c, machine.HeaderID), Timestamps: headers(c, machine.HeaderTimestamp), Signatures: headers(c, machine.HeaderSignature),
		Body: c.Request().Body(),
	}
}

// headers gives every value of a header, in whatever case its name was sent.
func headers(c *fiber.Ctx, name string) []string {
	var out []string
	for _, value := range c.Request().Header.PeekAll(name) {
		out = append(out, string(value))
	}
	return out
}

// machineKey is the idempotency key of a signed submission: the header if there is one, else the id of the message. Two headers are no key.
func machineKey(c *fiber.Ctx, arrival lead.Arrival) string {
	switch given := headers(c, "Idempotency-Key"); len(given) {
	case 0:
		return arrival.Message
	case 1:
		return given[0]
	default:
		return ""
	}
}
