package crm

import (
	"errors"
	"net"
	"regexp"
	"strings"
	"syscall"
	"unicode"
)

var (
	mailLike  = regexp.MustCompile(`[^\s"'<>,;:=]+@[^\s"'<>,;:]+`)
	digitRuns = regexp.MustCompile(`\+?\d[\d\s()./-]{4,}\d`)
)

// maskedMost is how much of a refusal is kept for the person who must look.
const maskedMost = 200

// masked is the beginning of a vendor's answer without what it echoes of the person: vendors like to repeat the value they refuse.
func masked(answer []byte, w Write) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, string(answer))
	known := []string{w.Contact.Name, w.Contact.Email, w.Contact.Phone, w.Contact.Company, w.Contact.Notes, w.Lead.PostalCode}
	for _, value := range w.Contact.Fields {
		known = append(known, value)
	}
	known = append(known, strings.Fields(w.Contact.Name)...)
	for _, value := range known {
		if len(value) > 2 {
			text = regexp.MustCompile(`(?i)`+regexp.QuoteMeta(value)).ReplaceAllString(text, "[…]")
		}
	}
	text = digitRuns.ReplaceAllString(mailLike.ReplaceAllString(text, "[…]"), "[…]")
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maskedMost {
		text = string(runes[:maskedMost]) + "…"
	}
	return text
}

// transportReason says what happened to a connection without the address, which may hold credentials.
func transportReason(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return "the host name was not found"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection cut"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "connecting took too long"
	case strings.Contains(err.Error(), "tls:"), strings.Contains(err.Error(), "x509:"):
		return "the certificate or TLS handshake failed"
	}
	return "connection cut"
}
