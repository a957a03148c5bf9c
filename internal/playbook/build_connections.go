package playbook

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"leadline/internal/outbox"
)

// slackURL is where Slack's methods are, each below /api/.
const slackURL = "https://slack.com"

// Where a credential may be kept: in the environment, or stored by leadline secret set.
var (
	envRE    = regexp.MustCompile(`^env:[A-Za-z_][A-Za-z0-9_]*$`)
	secretRE = regexp.MustCompile(`^secret:[a-z0-9][a-z0-9_-]{0,62}$`)
)

// SecretNames are the stored secrets that connections and clients refer to, sorted, each once.
func (c *Config) SecretNames() []string {
	var refs []string
	for _, conn := range c.Connections {
		refs = append(refs, conn.Token, conn.Secret)
	}
	for _, client := range c.Clients {
		refs = append(refs, client.Keys...)
	}
	return storedNames(refs)
}

// storedNames are the names in those references that are to stored secrets, sorted, each once.
func storedNames(refs []string) []string {
	var names []string
	for _, ref := range refs {
		if name, ok := strings.CutPrefix(ref, "secret:"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (b *builder) connections() {
	names := b.names("connections", "slug")
	for i := range b.doc.Connections {
		d := &b.doc.Connections[i]
		path := names.add(i, d.Slug)
		what := fmt.Sprintf("connection %q", d.Slug)
		c := Connection{
			Slug: d.Slug, Kind: d.Kind, Channel: d.Channel,
			Token: b.reference(path+".token", what+": token", d.Token), Secret: b.reference(path+".secret", what+": secret", d.Secret),
		}
		switch d.Kind {
		case "webhook":
			c.Destination = outbox.CRM
			b.needs(path, what, "base_url", d.BaseURL, "URL")
			b.needs(path, what, "secret", d.Secret, "secret:NAME")
			b.refuses(path, what, "token", d.Token)
			b.refuses(path, what, "channel", d.Channel)
			c.Slots = b.slots(path, what, &d.Slots)
		case "slack":
			c.Destination = outbox.Chat
			if d.BaseURL = strings.TrimRight(d.BaseURL, "/"); d.BaseURL == slackURL {
				d.BaseURL = ""
			}
			b.needs(path, what, "token", d.Token, "secret:NAME")
			b.needs(path, what, "channel", d.Channel, "NAME")
			b.refuses(path, what, "secret", d.Secret)
			if d.Slots != 0 {
				b.refuses(path, what, "slots", "given")
			}
			c.BaseURL = slackURL
		case "":
			b.fail(path, "missing", "add kind: webhook or kind: slack", "%s has no kind", what)
		default:
			b.fail(path+".kind", "unknown", "use webhook or slack", "%s: kind %q is not in this version of Leadline", what, d.Kind)
		}
		if d.BaseURL != "" {
			c.BaseURL = b.baseURL(path+".base_url", what, &d.BaseURL)
		}
		b.cfg.Connections = append(b.cfg.Connections, c)
	}
}

// The calls that a process may have in flight to one CRM (contract section 8 and what a process can bear).
const (
	defaultSlots = 64
	mostSlots    = 512
)

func (b *builder) slots(path, what string, n *int) int {
	if *n < 0 || *n > mostSlots {
		b.fail(path+".slots", "range", fmt.Sprintf("use 1 to %d, or leave it out for %d", mostSlots, defaultSlots), "%s: slots is %d", what, *n)
	}
	if *n == defaultSlots {
		*n = 0 // as exported
	}
	if *n == 0 {
		return defaultSlots
	}
	return *n
}

func (b *builder) needs(path, what, key, value, example string) {
	if value == "" {
		b.fail(path, "missing", fmt.Sprintf("add %s: %s", key, example), "%s has no %s", what, key)
	}
}

func (b *builder) refuses(path, what, key, value string) {
	if value != "" {
		b.fail(path+"."+key, "unused", "remove it", "%s: its kind has no use for %s", what, key)
	}
}

// reference accepts where a credential is kept. What was written is never repeated: it may be the credential.
func (b *builder) reference(path, what, text string) string {
	switch {
	case text == "" || envRE.MatchString(text) || secretRE.MatchString(text):
	case strings.HasPrefix(text, "secret:"):
		b.fail(path, "format", "use small letters, digits, - and _, like secret:crm", "%s does not name a stored secret", what)
	case strings.HasPrefix(text, "env:"):
		b.fail(path, "format", "use letters, digits and underscores, like env:SLACK_TOKEN", "%s does not name an environment variable", what)
	default:
		b.fail(path, "literal_secret", "store it with leadline secret set NAME and write secret:NAME, or put it into the environment and write env:NAME",
			"%s holds something that is no reference; credentials never stand in the configuration", what)
	}
	return text
}

// baseURL checks an address that leads will be sent to.
func (b *builder) baseURL(path, what string, text *string) string {
	u, err := url.Parse(*text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Fragment != "" {
		// The address is not repeated: one with a password in it would be.
		b.fail(path, "url", "write it like https://crm.example.com/hooks/leads, without user and password", "%s: its base_url is no web address", what)
		return *text
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		b.fail(path, "http", "use https://", "%s: leads would travel unprotected over http", what)
		b.problems[len(b.problems)-1].Warning = true
	}
	*text = u.String()
	return *text
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
