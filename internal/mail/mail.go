// Package mail hands messages to the mail server of whoever runs Leadline: SMTP submission with TLS, one plain text to one person at a
// time. It stores nothing and repeats nothing; the caller keeps the message until the server has taken it, and asks Error whether
// trying again helps.
//
// The server's address comes from the environment, not from the configuration that people publish, so it may be on a private network.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"leadline/internal/config"
	"leadline/internal/privacy"
)

// within is how long connecting, and each command after it, may take.
const within = 15 * time.Second

// Options are what a Sender needs.
type Options struct {
	Server   config.SMTP                                       // the zero SMTP: Configured is false and Send fails
	From     *mail.Address                                     // who every message is from; needed with a server
	Password func(ctx context.Context) (privacy.Secret, error) // asked before each message, so that a new password is used at once; nil: no signing in
	RootCAs  *x509.CertPool                                    // who may vouch for the server; nil: whom the system trusts
	Dial     gomail.DialContextFunc                            // how a server with STARTTLS is reached; nil: over the network
	Now      func() time.Time
}

// Sender sends messages. Safe for use by many goroutines.
type Sender struct{ o Options }

// New makes a Sender.
func New(o Options) *Sender { return &Sender{o: o} }

// Configured tells whether there is a server. A nil Sender has none.
func (s *Sender) Configured() bool { return s != nil && s.o.Server.Given() }

// NewID makes the Message-ID of a message from something that is unique for ever. It is made before the first try and kept, so that
// those who receive a message twice can see that it is one.
func (s *Sender) NewID(unique string) string {
	domain := "leadline.invalid" // until there is a sender, nothing is sent
	if s != nil && s.o.From != nil {
		if _, after, ok := strings.Cut(s.o.From.Address, "@"); ok {
			domain = after
		}
	}
	return unique + "@" + domain
}

// Message is one plain text to one person. No part of it can add a header or a recipient: line breaks end up as spaces in the subject
// and make an address one that is refused.
type Message struct {
	ID      string // without < and >
	To      string
	Subject string
	Text    string
}

// Class says what becomes of a message that was not taken.
type Class string

// The classes.
const (
	Later    Class = "later"    // the same message may be taken at another time
	Settings Class = "settings" // no message will be taken until somebody corrects the settings
	Never    Class = "never"    // this message will not be taken however often it is tried
)

// Error is a message that was not taken. Code is the server's reply code, or a word of ours when there was no reply; a server's
// sentences are not kept, because they repeat addresses.
type Error struct {
	Class Class
	Code  string
}

func (e *Error) Error() string { return "the mail server did not take a message: " + e.Code }

// Send hands a message to the server and returns once it has been taken. Otherwise the error is an *Error. When the connection is lost
// after the message, nobody knows: the error says Later, and the message may arrive twice under one ID.
func (s *Sender) Send(ctx context.Context, m Message) error {
	if !s.Configured() {
		return &Error{Class: Settings, Code: "no_server"}
	}
	message, err := s.message(m)
	if err != nil {
		return &Error{Class: Never, Code: "bad_address"}
	}
	client, err := s.client(ctx)
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, message)
	if err == nil || message.IsDelivered() { // what goes wrong after the message was taken does not matter
		return nil
	}
	return classify(err)
}

func (s *Sender) message(m Message) (*gomail.Msg, error) {
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithEncoding(gomail.EncodingQP))
	message.FromMailAddress(s.o.From)
	to, err := mail.ParseAddress(m.To)
	if err != nil || strings.ContainsAny(m.To, "\r\n\x00") {
		return nil, errors.New("this is no address")
	}
	message.ToMailAddress(&mail.Address{Address: to.Address})
	message.SetMessageIDWithValue(oneLine(m.ID))
	message.SetDateWithValue(s.o.Now())
	message.Subject(oneLine(m.Subject))
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetBodyString(gomail.TypeTextPlain, m.Text)
	return message, nil
}

// oneLine keeps a value inside its header.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, s)
}

func (s *Sender) client(ctx context.Context) (*gomail.Client, error) {
	server := s.o.Server
	options := []gomail.Option{
		gomail.WithPort(server.Port), gomail.WithTimeout(within),
		gomail.WithTLSConfig(&tls.Config{ServerName: server.Host, RootCAs: s.o.RootCAs, MinVersion: tls.VersionTLS12}),
	}
	switch {
	case server.Implicit:
		options = append(options, gomail.WithSSL())
	case server.Loopback():
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default: // never only when the server offers it: whoever stands between could say that it does not
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.o.Dial != nil && !server.Implicit {
		options = append(options, gomail.WithDialContextFunc(s.o.Dial))
	}
	if server.User != "" && s.o.Password != nil {
		password, err := s.o.Password(ctx)
		if err != nil {
			return nil, &Error{Class: Settings, Code: "no_password"}
		}
		how := gomail.SMTPAuthAutoDiscover // the safest that the server offers
		if !server.Implicit && server.Loopback() {
			how = gomail.SMTPAuthPlain
		}
		options = append(options, gomail.WithSMTPAuth(how), gomail.WithUsername(server.User), gomail.WithPassword(password.Plain()))
	}
	client, err := gomail.NewClient(server.Host, options...)
	if err != nil {
		return nil, &Error{Class: Settings, Code: "bad_settings"}
	}
	return client, nil
}

// signIn are replies about who we are, not about the message.
var signIn = map[int]bool{530: true, 534: true, 535: true, 538: true}

// classify takes the first digit of the reply at its word: 4 may work later, 5 will not.
func classify(err error) *Error {
	code := 0
	var refused *gomail.SendError
	var reply *textproto.Error
	switch {
	case errors.As(err, &reply):
		code = reply.Code
	case errors.As(err, &refused):
		code = refused.ErrorCode()
	}
	switch {
	case signIn[code]:
		return &Error{Class: Settings, Code: fmt.Sprint(code)}
	case code >= 500 && code < 600:
		return &Error{Class: Never, Code: fmt.Sprint(code)}
	case code != 0:
		return &Error{Class: Later, Code: fmt.Sprint(code)}
	}
	return &Error{Class: Later, Code: transport(err)}
}

// transport names what went wrong without a reply.
func transport(err error) string {
	var certificate *tls.CertificateVerificationError
	var network net.Error
	switch {
	case errors.As(err, &certificate):
		return "certificate"
	case errors.As(err, &network) && network.Timeout():
		return "timeout"
	case strings.Contains(err.Error(), "STARTTLS"):
		return "no_tls"
	}
	return "no_connection"
}
