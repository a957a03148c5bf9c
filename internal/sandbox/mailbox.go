package sandbox

import (
	"crypto/rand"
	"encoding/base64"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// maxMails bounds the mailbox; above it the oldest go.
const maxMails = 10_000

// Mail is one message in the mailbox.
type Mail struct {
	ID        string            `json:"id"`
	At        time.Time         `json:"at"`
	From      string            `json:"from"` // of the envelope
	To        []string          `json:"to"`   // of the envelope
	MessageID string            `json:"message_id"`
	Subject   string            `json:"subject"`
	Headers   map[string]string `json:"headers"` // names in lower case, encoded words read
	Text      string            `json:"text"`
	Raw       string            `json:"raw"`
	TLS       bool              `json:"tls"`
	User      string            `json:"user,omitempty"` // who signed in

	counts map[string]int // how often each header stood there
}

// mailbox is what the mail server took, for everybody.
type mailbox struct {
	saved func(savedLine)

	mu    sync.Mutex
	mails []*Mail // oldest first
	seen  map[string]bool
}

func newMailbox() *mailbox { return &mailbox{seen: map[string]bool{}} }

// put keeps a message and tells whether one with its Message-ID was there. Both are kept, as in most mailboxes.
func (b *mailbox) put(m *Mail) (repeat bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m.ID = "ml_" + strings.ToLower(rand.Text()[:16])
	repeat = b.putLocked(m)
	if b.saved != nil {
		b.saved(savedLine{Mail: m})
	}
	return repeat
}

func (b *mailbox) putLocked(m *Mail) (repeat bool) {
	repeat = b.seen[m.MessageID]
	b.seen[m.MessageID] = true
	b.mails = append(b.mails, m)
	if len(b.mails) > maxMails {
		delete(b.seen, b.mails[0].MessageID)
		b.mails[0] = nil
		b.mails = b.mails[1:]
	}
	return repeat
}

// restore puts back a message that an earlier run kept.
func (b *mailbox) restore(m *Mail) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.putLocked(m)
}

// list copies the messages, oldest first.
func (b *mailbox) list() []Mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Mail, 0, len(b.mails))
	for _, m := range b.mails {
		out = append(out, *m)
	}
	return out
}

// newest copies the n newest messages, newest first, and says how many there are.
func (b *mailbox) newest(n int) ([]Mail, int) {
	all := b.list()
	var out []Mail
	for i := len(all) - 1; i >= 0 && len(out) < n; i-- {
		out = append(out, all[i])
	}
	return out, len(all)
}

func (b *mailbox) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mails, b.seen = nil, map[string]bool{}
	if b.saved != nil {
		b.saved(savedLine{Cleared: vendorSMTP})
	}
}

// decoded reads encoded words, as mail programs do.
func decoded(value string) string {
	if text, err := new(mime.WordDecoder).DecodeHeader(value); err == nil {
		return text
	}
	return value
}

// bodyText gives the body as a person reads it; of messages with several parts as it came.
func bodyText(m *mail.Message) string {
	r := m.Body
	switch strings.ToLower(m.Header.Get("Content-Transfer-Encoding")) {
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// mailServers are the servers that ServeSMTP runs, so that Close ends them.
type mailServers struct {
	mu      sync.Mutex
	closed  bool
	servers []*smtp.Server
}

// add notes a server; false when Close was faster.
func (m *mailServers) add(server *smtp.Server) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.servers = append(m.servers, server)
	}
	return !m.closed
}

// close ends all listeners and conversations.
func (m *mailServers) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for _, server := range m.servers {
		_ = server.Close() // its listener may have failed before
	}
	m.servers = nil
}
