package sandbox

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// SMTPOptions say how strict the mail server is.
type SMTPOptions struct {
	RequireTLS     bool   // no mail is taken before STARTTLS
	ImplicitTLS    bool   // TLS from the first byte, as on port 465
	User, Password string // the only ones that work, and then nobody sends without; empty: anybody may
}

// smtpLater is the reply of a server that could not do it now.
const smtpLater = 451

// smtpDomain is what the mail server calls itself.
const smtpDomain = "mail.sandbox.example"

// smtpWithin is how long a command of a client may take to arrive, and an answer to leave.
const smtpWithin = 2 * time.Minute

// ServeSMTP takes mail from this listener until Close, into a mailbox that /_control/records?vendor=smtp shows. STARTTLS is always
// offered, with a certificate of its own; see SMTPCertificate.
func (s *Server) ServeSMTP(l net.Listener) error {
	certificate, err := s.certificate()
	if err != nil {
		return err
	}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &smtpSession{s: s, conn: c}, nil
	}))
	server.Domain = smtpDomain
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.MaxMessageBytes, server.MaxRecipients = maxBody, 50
	server.ReadTimeout, server.WriteTimeout = smtpWithin, smtpWithin
	server.ErrorLog = log.New(io.Discard, "", 0) // what clients do wrong is in the journal
	if s.smtpOptions.ImplicitTLS {
		l = tls.NewListener(l, server.TLSConfig)
	}
	if !s.mailServers.add(server) {
		return l.Close()
	}
	return server.Serve(l)
}

// smtpSession is one client's conversation.
type smtpSession struct {
	s    *Server
	conn *smtp.Conn
	user string
	from string
	to   []string
}

// The replies of real servers. Codes and classes are theirs, the sentences are ours.
var (
	smtpNoTLS      = smtpReply(530, 5, 7, 0, "Must issue a STARTTLS command first")
	smtpNoAuth     = smtpReply(530, 5, 7, 0, "Authentication required")
	smtpBadAuth    = smtpReply(535, 5, 7, 8, "Authentication credentials invalid")
	smtpNoUser     = smtpReply(550, 5, 1, 1, "No such user here")
	smtpBadHeaders = smtpReply(550, 5, 7, 1, "Messages need exactly one From, Date and Message-ID, and at most one To and Subject")
)

func smtpReply(code, class, subject, detail int, sentence string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: sentence}
}

// AuthMechanisms implements smtp.AuthSession. The server offers it under TLS only.
func (c *smtpSession) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth implements smtp.AuthSession.
func (c *smtpSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		o := c.s.smtpOptions
		if o.User != "" && (user != o.User || password != o.Password) {
			return c.refuse("AUTH", "", smtpBadAuth)
		}
		c.user = user
		return nil
	}), nil
}

// Mail implements smtp.Session.
func (c *smtpSession) Mail(from string, _ *smtp.MailOptions) error {
	_, secure := c.conn.TLSConnectionState()
	switch {
	case c.s.smtpOptions.RequireTLS && !secure:
		return c.refuse("MAIL", from, smtpNoTLS)
	case c.s.smtpOptions.User != "" && c.user == "":
		return c.refuse("MAIL", from, smtpNoAuth)
	}
	c.from = from
	return nil
}

// Rcpt implements smtp.Session.
func (c *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasSuffix(strings.ToLower(to), ".invalid") { // what is no address at all was refused before
		return c.refuse("RCPT", to, smtpNoUser)
	}
	c.to = append(c.to, to)
	return nil
}

// refuse notes a command that was refused and gives the reply.
func (c *smtpSession) refuse(command, argument string, reply *smtp.SMTPError) error {
	c.s.journal.note(&Call{At: c.s.now(), Vendor: vendorSMTP, Method: command, Path: argument, Headers: map[string]string{}, Body: asJSON(nil), Status: reply.Code})
	return reply
}

// Data implements smtp.Session: the order is that of the vendors over HTTP. A message is noted when it has arrived, and stored before a
// fault delays or cuts the reply; one that a fault refuses or hangs is never stored.
func (c *smtpSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	_, secure := c.conn.TLSConnectionState()
	m := readMail(raw)
	m.At, m.From, m.To, m.TLS, m.User = c.s.now(), c.from, slices.Clone(c.to), secure, c.user
	entry := c.s.journal.note(&Call{At: m.At, Vendor: vendorSMTP, Method: "DATA", Path: strings.Join(c.to, ","), Headers: m.Headers, Body: asJSON(asText(raw))})
	f := c.s.faults.of(vendorSMTP)
	switch {
	case f.strikes(f != nil && f.Hang):
		c.s.waiting.Add(1)
		<-f.ended
		c.s.waiting.Add(-1)
		return c.conn.Close()
	case f.strikes(f != nil && f.Status != 0):
		f.wait()
		c.s.journal.answered(entry, f.Status)
		return smtpReply(f.Status, f.Status/100, 3, 0, "A fault is on")
	case !m.wellFormed():
		c.s.journal.answered(entry, smtpBadHeaders.Code)
		return smtpBadHeaders
	}
	c.s.journal.repeat(entry, c.s.mailbox.put(m))
	f.wait()
	if f.strikes(f != nil && f.Drop) {
		return c.conn.Close()
	}
	c.s.journal.answered(entry, 250)
	return nil
}

// Reset implements smtp.Session.
func (c *smtpSession) Reset() { c.from, c.to = "", nil }

// Logout implements smtp.Session.
func (c *smtpSession) Logout() error { return nil }

// asText is a message as a JSON text, so that the journal never takes it for JSON.
func asText(raw []byte) []byte {
	text, err := json.Marshal(string(raw))
	if err != nil { // strings always marshal
		return nil
	}
	return text
}

// readMail takes a message apart as far as a mailbox shows it.
func readMail(raw []byte) *Mail {
	m := &Mail{Raw: string(raw), Headers: map[string]string{}, counts: map[string]int{}}
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return m
	}
	for name, values := range message.Header {
		name = strings.ToLower(name)
		m.counts[name] = len(values)
		m.Headers[name] = decoded(strings.Join(values, ", "))
	}
	m.MessageID, m.Subject = strings.Trim(m.Headers["message-id"], "<>"), m.Headers["subject"]
	m.Text = bodyText(message)
	return m
}

// wellFormed holds a message to what large receivers insist on.
func (m *Mail) wellFormed() bool {
	for name, most := range map[string]int{"from": 1, "date": 1, "message-id": 1, "to": 1, "subject": 1} {
		n := m.counts[name]
		if n > most || n == 0 && (name == "from" || name == "date" || name == "message-id") {
			return false
		}
	}
	from, err := mail.ParseAddressList(m.Headers["from"])
	return err == nil && len(from) == 1
}
