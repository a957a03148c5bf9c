package crm

import (
	"encoding/json"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"syscall"
	"unicode"
)

// What is kept of a refusal at most.
const (
	codesMost = 6
	codeMost  = 64
)

// codeNames are the members of an error answer in which vendors put words of their own, rather than sentences.
var codeNames = map[string]bool{
	"code": true, "error": true, "errorcode": true, "error_code": true, "type": true, "category": true, "status": true, "reason": true,
	"field": true, "fields": true, "property": true, "param": true, "parameter": true, "pointer": true, "subcategory": true,
}

// codes is what a refusal says in codes and field names, in parentheses; empty when it has none. Sentences are left out: vendors
// like to repeat the value that they refuse, escaped, cut or reworded, so that no mask finds it.
func codes(answer []byte, w Write) string {
	var document any
	if json.Unmarshal(answer, &document) != nil {
		return ""
	}
	personal := personalOf(w)
	var kept []string
	collect(document, "", func(text string) {
		if len(kept) < codesMost && isCode(text) && !personal.within(strings.ToLower(text)) && !slices.Contains(kept, text) {
			kept = append(kept, text)
		}
	})
	if len(kept) == 0 {
		return ""
	}
	return " (" + strings.Join(kept, ", ") + ")"
}

// collect finds the texts below the members that hold codes, in a fixed order.
func collect(value any, member string, found func(string)) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			collect(v[name], name, found)
		}
	case []any:
		for _, each := range v {
			collect(each, member, found)
		}
	case string:
		if codeNames[strings.ToLower(member)] {
			found(v)
		}
	}
}

// isCode tells an identifier: no spaces, no at sign, no run of digits that could be a number of somebody.
func isCode(s string) bool {
	if s == "" || len(s) > codeMost {
		return false
	}
	digits := 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			if digits++; digits > 4 {
				return false
			}
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', strings.IndexByte("_-./", c) >= 0:
		default:
			return false
		}
	}
	return digits < len(s)
}

// personal is what a lead says, in small letters: the whole of it, and its words.
type personal struct {
	text  string
	words []string
}

// wordLeast is how long a word must be to make a code suspicious that holds it; shorter ones are in every code.
const wordLeast = 4

func personalOf(w Write) personal {
	c := w.Contact
	values := []string{c.Name.Plain(), c.Email.Plain(), c.Phone.Plain(), c.Company.Plain(), c.Notes.Plain(), w.Lead.PostalCode, w.Lead.EmailDomain}
	for _, value := range c.Fields {
		values = append(values, value.Plain())
	}
	p := personal{text: strings.ToLower(strings.Join(values, "\x00"))}
	for _, word := range strings.FieldsFunc(p.text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if len(word) >= wordLeast {
			p.words = append(p.words, word)
		}
	}
	return p
}

// within tells a code that is a piece of what the lead says, or holds a word of it.
func (p personal) within(code string) bool {
	return strings.Contains(p.text, code) || slices.ContainsFunc(p.words, func(word string) bool { return strings.Contains(code, word) })
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
