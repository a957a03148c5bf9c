package outbox

// Connection is one configured system outside, with its credentials resolved for this process. Never log one whole.
type Connection struct {
	Slug        string
	Kind        string
	Destination Destination
	BaseURL     string
	Token       Credential
	Secret      Credential
	Channel     string // chat only
	Missing     string // why it cannot be used here, such as "env:SLACK_TOKEN is not set"; empty: usable
}

// Credential is a secret that does not print itself.
type Credential string

// String hides the secret from every fmt verb that asks for text.
func (Credential) String() string { return "[credential]" }

// GoString hides the secret from %#v.
func (Credential) GoString() string { return "[credential]" }

// Reveal gives the secret to the code that puts it on the wire.
func (c Credential) Reveal() string { return string(c) }
