package mail_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"testing"
	"time"

	"leadline/internal/config"
	leadmail "leadline/internal/mail"
	"leadline/internal/privacy"
	"leadline/internal/sandbox"
)

// post is a mail server with its mailbox.
type post struct {
	t      *testing.T
	server *sandbox.Server
	addr   string
}

func newPost(t *testing.T, o sandbox.SMTPOptions) *post {
	t.Helper()
	server := sandbox.New(sandbox.Options{Now: time.Now, SMTP: o})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.ServeSMTP(listener) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), <-done); err != nil {
			t.Error(err)
		}
	})
	return &post{t: t, server: server, addr: listener.Addr().String()}
}

// sender sends to this server as scheme://credentials@host says, through a network in which every host is this machine.
func (p *post) sender(address string, trust bool) *leadmail.Sender {
	p.t.Helper()
	_, port, err := net.SplitHostPort(p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	server, err := config.ParseSMTP(address + ":" + port)
	if err != nil {
		p.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if trust {
		certificate, err := p.server.SMTPCertificate()
		if err != nil {
			p.t.Fatal(err)
		}
		roots.AddCert(certificate)
	}
	return leadmail.New(leadmail.Options{
		Server: server, From: &mail.Address{Name: "Leadline", Address: "leadline@example.com"}, RootCAs: roots, Now: time.Now,
		Password: func(context.Context) (privacy.Secret, error) { return privacy.Secret(server.Password), nil },
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, p.addr)
		},
	})
}

func (p *post) mails() []sandbox.Mail {
	p.t.Helper()
	var mails []sandbox.Mail
	res := p.control("GET", "/_control/records?vendor=smtp", "")
	if err := json.Unmarshal(res.Body.Bytes(), &mails); err != nil {
		p.t.Fatal(err)
	}
	return mails
}

func (p *post) control(method, path, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(p.t.Context(), method, "http://127.0.0.1"+path, strings.NewReader(body))
	req.RemoteAddr = "127.0.0.1:1"
	res := httptest.NewRecorder()
	p.server.ServeHTTP(res, req)
	return res
}

var hello = leadmail.Message{ID: "1@example.com", To: "owner@acme.example", Subject: "Größe", Text: "Ein Satz.\n.\nUnd noch einer.\n"}

func TestSender_InsistsOnEncryptionAndSignsIn(t *testing.T) {
	t.Parallel()
	strict := sandbox.SMTPOptions{RequireTLS: true, User: "mailer", Password: "right/pass@word"}
	for name, c := range map[string]struct {
		options sandbox.SMTPOptions
		address string
		trust   bool
		class   leadmail.Class // empty: taken
		code    string
	}{
		"STARTTLS":                        {strict, "smtp://mailer:right%2Fpass%40word@mail.sandbox.example", true, "", ""},
		"TLS from the first byte":         {sandbox.SMTPOptions{ImplicitTLS: true, User: "mailer", Password: "pw"}, "smtps://mailer:pw@localhost", true, "", ""},
		"this machine":                    {sandbox.SMTPOptions{}, "smtp://127.0.0.1", false, "", ""},
		"this machine, strict server":     {sandbox.SMTPOptions{RequireTLS: true}, "smtp://127.0.0.1", false, leadmail.Settings, "530"},
		"wrong password":                  {strict, "smtp://mailer:wrong@mail.sandbox.example", true, leadmail.Settings, "535"},
		"no password where one is needed": {strict, "smtp://mail.sandbox.example", true, leadmail.Settings, "530"},
		"a certificate of nobody":         {strict, "smtp://mailer:pw@mail.sandbox.example", false, leadmail.Later, "certificate"},
		"a certificate of somebody else":  {strict, "smtp://mailer:pw@mail.other.example", true, leadmail.Later, "certificate"},
		"nobody there, first byte":        {sandbox.SMTPOptions{}, "smtps://localhost", true, leadmail.Later, "no_connection"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPost(t, c.options)
			err := p.sender(c.address, c.trust).Send(t.Context(), hello)
			var failed *leadmail.Error
			if c.class == "" && err != nil {
				t.Fatal(err)
			}
			if c.class != "" && (!errors.As(err, &failed) || failed.Class != c.class || failed.Code != c.code) {
				t.Fatalf("got %v (%+v)", err, failed)
			}
			mails := p.mails()
			if (c.class == "") != (len(mails) == 1) {
				t.Fatalf("the mailbox holds %d", len(mails))
			}
			if c.class == "" && (mails[0].TLS == strings.Contains(c.address, "127.0.0.1") || mails[0].Text != hello.Text || mails[0].Subject != hello.Subject ||
				mails[0].MessageID != hello.ID || mails[0].Headers["auto-submitted"] != "auto-generated") {
				t.Errorf("got %+v", mails[0])
			}
		})
	}
}

func TestSender_TakesReplyCodesAtTheirWord(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault, to string
		class     leadmail.Class
		code      string
	}{
		"later":                  {`{"vendor":"smtp","status":451}`, hello.To, leadmail.Later, "451"},
		"never":                  {`{"vendor":"smtp","status":554}`, hello.To, leadmail.Never, "554"},
		"no such user":           {``, "gone@acme.invalid", leadmail.Never, "550"},
		"no address":             {``, "nobody", leadmail.Never, "bad_address"},
		"lost after the message": {`{"vendor":"smtp","drop":true}`, hello.To, leadmail.Later, "no_connection"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPost(t, sandbox.SMTPOptions{})
			if c.fault != "" {
				if res := p.control("POST", "/_control/faults", c.fault); res.Code != 201 {
					t.Fatal(res.Body)
				}
			}
			m := hello
			m.To = c.to
			var failed *leadmail.Error
			if err := p.sender("smtp://127.0.0.1", false).Send(t.Context(), m); !errors.As(err, &failed) || failed.Class != c.class || failed.Code != c.code {
				t.Fatalf("got %v (%+v)", err, failed)
			}
		})
	}
}

func TestSender_WithoutAServerSaysSo(t *testing.T) {
	t.Parallel()
	var none *leadmail.Sender
	if none.Configured() || leadmail.New(leadmail.Options{}).Configured() {
		t.Error("a sender without a server is configured")
	}
	var failed *leadmail.Error
	if err := leadmail.New(leadmail.Options{}).Send(t.Context(), hello); !errors.As(err, &failed) || failed.Class != leadmail.Settings {
		t.Errorf("got %v", err)
	}
}

// Whatever stands in a message, it has one recipient and the headers that we give it.
func TestSender_NoValueAddsAHeaderOrARecipient(t *testing.T) {
	t.Parallel()
	p := newPost(t, sandbox.SMTPOptions{})
	sender := p.sender("smtp://127.0.0.1", false)
	evil := []string{
		"x\r\nBcc: evil@acme.example", "x\nTo: evil@acme.example", "x\r\n\r\nBody", "x\rX-Evil: 1", "x\x00y", "x\u2028Bcc: evil@acme.example", "x\u0085Bcc: evil@acme.example",
		"=?utf-8?q?x=0D=0ABcc:_evil@acme.example?=", strings.Repeat("long ", 400) + "\r\nBcc: evil@acme.example", "\r\n.\r\nMAIL FROM:<evil@acme.example>\r\n",
	}
	taken := 0
	for i, text := range evil {
		for _, m := range []leadmail.Message{
			{ID: "a@example.com", To: hello.To, Subject: text, Text: text},
			{ID: text, To: hello.To, Subject: "s", Text: "t"},
			{ID: "b@example.com", To: hello.To + text, Subject: "s", Text: "t"},
			{ID: "c@example.com", To: text + " <" + hello.To + ">", Subject: "s", Text: "t"},
		} {
			err := sender.Send(t.Context(), m)
			var failed *leadmail.Error
			if err != nil && (!errors.As(err, &failed) || failed.Class != leadmail.Never) {
				t.Errorf("%d: %v", i, err)
			}
			if err == nil {
				taken++
			}
		}
	}
	mails := p.mails()
	if len(mails) != taken || taken < 2*len(evil) {
		t.Errorf("%d taken, %d in the mailbox", taken, len(mails))
	}
	allowed := map[string]bool{
		"auto-submitted": true, "date": true, "mime-version": true, "message-id": true, "subject": true, "from": true, "to": true,
		"content-transfer-encoding": true, "content-type": true,
	}
	for _, m := range mails {
		if len(m.To) != 1 || m.To[0] != hello.To || m.From != "leadline@example.com" {
			t.Errorf("envelope %s to %v", m.From, m.To)
		}
		for name := range m.Headers {
			if !allowed[name] {
				t.Errorf("header %q in\n%s", name, m.Raw)
			}
		}
	}
}
