package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// SMTP says which server takes our mail. The zero SMTP means that none was given. It does not print itself.
type SMTP struct {
	Host     string
	Port     int
	Implicit bool   // TLS from the first byte; otherwise STARTTLS, unless the server is on this machine
	User     string // empty: no signing in
	Password Key    // as it was given: the password itself, or env:NAME or secret:NAME
}

// Given tells whether there is a server at all.
func (s SMTP) Given() bool { return s.Host != "" }

// Loopback tells whether the server is on this machine: what is sent to it crosses no network, so it needs no TLS.
func (s SMTP) Loopback() bool {
	if s.Host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(s.Host)
	return err == nil && addr.Unmap().IsLoopback()
}

// Format shows only whether there is a server.
func (s SMTP) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.kind()) }

// LogValue shows only whether there is a server.
func (s SMTP) LogValue() slog.Value { return slog.StringValue(s.kind()) }

// MarshalText shows only whether there is a server.
func (s SMTP) MarshalText() ([]byte, error) { return []byte(s.kind()), nil }

func (s SMTP) kind() string {
	if s.Given() {
		return "[smtp]"
	}
	return ""
}

// ParseSMTP reads a server's address, like smtps://user:password@mail.example.com:465. Its errors never repeat the text: a password is
// part of it.
func ParseSMTP(text string) (SMTP, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "smtp" && u.Scheme != "smtps") || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return SMTP{}, errors.New("give smtps://user:password@host:465 or smtp://user:password@host:587, with %XX for signs like @ and / in the password")
	}
	s := SMTP{Host: u.Hostname(), Port: 587, Implicit: u.Scheme == "smtps"}
	if s.Implicit {
		s.Port = 465
	}
	if u.Port() != "" {
		if s.Port, err = strconv.Atoi(u.Port()); err != nil || s.Port < 1 || s.Port > 65535 {
			return SMTP{}, errors.New("give a port between 1 and 65535")
		}
	}
	password, _ := u.User.Password()
	s.User, s.Password = u.User.Username(), Key(password)
	if (s.User == "") != (password == "") {
		return SMTP{}, errors.New("give both user and password, or neither")
	}
	return s, nil
}

// Address is host and port.
func (s SMTP) Address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

func parseMailFrom(text string) (*mail.Address, error) {
	address, err := mail.ParseAddress(text)
	if err != nil {
		return nil, errors.New("give one address, like Leadline <leadline@example.com>")
	}
	return address, nil
}
