package outbox

import "leadline/internal/privacy"

// Connection is one configured system outside, with its credentials resolved for this process. Its credentials do not print
// themselves.
type Connection struct {
	Slug        string
	Kind        string
	Destination Destination
	BaseURL     string
	Token       privacy.Secret
	Secret      privacy.Secret
	Channel     string // chat only
	Slots       int    // CRM only: calls in flight at most, of this process; 0: the default
	Missing     string // why it cannot be used here, such as "env:SLACK_TOKEN is not set"; empty: usable
}
