package sandbox_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"path/filepath"
	"strings"
	"testing"

	"leadline/internal/sandbox"
)

// talk opens a conversation with a sandbox's mail server.
func talk(t *testing.T, server *sandbox.Server) *textproto.Conn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.ServeSMTP(listener) }()
	conn, err := textproto.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		if err := errors.Join(server.Close(), <-done); err != nil {
			t.Error(err)
		}
	})
	expectReply(t, conn, "", 220)
	return conn
}

// expectReply sends a line, unless it is empty, and reads the reply.
func expectReply(t *testing.T, conn *textproto.Conn, line string, code int) string {
	t.Helper()
	if line != "" {
		if err := conn.PrintfLine("%s", line); err != nil {
			t.Fatal(err)
		}
	}
	_, said, err := conn.ReadResponse(code)
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return said
}

// sendMail hands a message over and expects the last reply.
func sendMail(t *testing.T, conn *textproto.Conn, message string, code int) {
	t.Helper()
	expectReply(t, conn, "MAIL FROM:<leadline@example.com>", 250)
	expectReply(t, conn, "RCPT TO:<owner@acme.example>", 250)
	expectReply(t, conn, "DATA", 354)
	w := conn.DotWriter()
	if _, err := fmt.Fprint(w, message); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	expectReply(t, conn, "", code)
}

const letter = "From: Leadline <leadline@example.com>\nTo: owner@acme.example\nDate: Thu, 26 Nov 2026 12:00:00 +0000\nMessage-ID: <1@example.com>\n" +
	"Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=\n\n.dots\n"

func TestSMTP_RefusesWhatMailServersRefuse(t *testing.T) {
	c := newClock()
	server := sandbox.New(sandbox.Options{Now: c.now, SMTP: sandbox.SMTPOptions{RequireTLS: true, User: "u", Password: "p"}})
	conn := talk(t, server)
	if said := expectReply(t, conn, "EHLO test", 250); !strings.Contains(said, "STARTTLS") || strings.Contains(said, "AUTH") {
		t.Errorf("offers %q", said)
	}
	expectReply(t, conn, "MAIL FROM:<a@example.com>", 530)
	expectReply(t, conn, "STARTTLS", 220)
}

func TestSMTP_HoldsAMailboxAndObeysFaults(t *testing.T) {
	c := newClock()
	file := filepath.Join(t.TempDir(), "state")
	open := func() (*sandbox.Server, *box) {
		server, err := sandbox.Open(sandbox.Options{Now: c.now, Journal: file})
		if err != nil {
			t.Fatal(err)
		}
		return server, serve(t, server, c)
	}
	server, b := open()
	conn := talk(t, server)
	expectReply(t, conn, "EHLO test", 250)
	expectReply(t, conn, "MAIL FROM:<leadline@example.com>", 250)
	expectReply(t, conn, "RCPT TO:<gone@acme.invalid>", 550)
	expectReply(t, conn, "RCPT TO:<nobody>", 501)
	expectReply(t, conn, "RSET", 250)
	sendMail(t, conn, letter, 250)
	sendMail(t, conn, letter, 250)
	sendMail(t, conn, "Subject: no sender\n\nx\n", 550)
	sendMail(t, conn, "From: a@example.com\n"+letter, 550)
	b.call(http.MethodPost, "/_control/faults", `{"vendor":"smtp","error_rate":1}`)
	sendMail(t, conn, letter, 451)
	b.call(http.MethodDelete, "/_control/faults", "")

	mails := b.list("/_control/records?vendor=smtp")
	if len(mails) != 2 || mails[0]["subject"] != "Größe" || mails[0]["text"] != ".dots\n" || mails[0]["message_id"] != "1@example.com" {
		t.Errorf("the mailbox holds %v", mails)
	}
	var replies []string
	for _, call := range b.list("/_control/requests?vendor=smtp") {
		replies = append(replies, fmt.Sprint(call["method"], " ", call["status"], " ", call["repeat"]))
	}
	if got := strings.Join(replies, ", "); got != "RCPT 550 false, DATA 250 false, DATA 250 true, DATA 550 false, DATA 550 false, DATA 451 false" {
		t.Errorf("journal: %s", got)
	}
	if page := b.call(http.MethodGet, "/", ""); !strings.Contains(page.body, "Größe") || !strings.Contains(page.body, `Mail <span class="count">2</span>`) {
		t.Error("the page shows no mail")
	}
	_, again := open()
	if n := len(again.list("/_control/records?vendor=smtp")); n != 2 {
		t.Errorf("%d mails after a restart", n)
	}
	again.call(http.MethodDelete, "/_control/records?vendor=smtp", "")
	if n := len(again.list("/_control/records?vendor=smtp")); n != 0 {
		t.Errorf("%d mails after deleting", n)
	}
}

func TestSMTP_ShowsACertificateThatCanBeTrusted(t *testing.T) {
	c := newClock()
	server := sandbox.New(sandbox.Options{Now: c.now, SMTP: sandbox.SMTPOptions{ImplicitTLS: true}})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.ServeSMTP(listener) }()
	certificate, err := server.SMTPCertificate()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "localhost", Time: c.now})
	if err != nil {
		t.Fatal(err)
	}
	expectReply(t, textproto.NewConn(conn), "", 220)
	if err := errors.Join(server.Close(), <-done); err != nil {
		t.Fatal(err)
	}
}
