// Package privacy holds the types that cannot print themselves: what a person told us, and what must be known to us alone.
//
// A Text or a Secret that reaches a log line, an error, a format string, JSON or a database parameter by accident shows nothing.
// Whoever really needs the value says so with Plain, which is easy to find in a review. Imports nothing of ours; used everywhere.
package privacy

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Text is something a person told us about themselves: a name, an address, a number, words of theirs.
type Text string

// Plain gives the value. For storing it, sending it to where it belongs, or showing it to somebody who may see it.
func (t Text) Plain() string { return string(t) }

// String hides the value.
func (t Text) String() string { return hidden(string(t), "[personal]") }

// GoString hides the value from %#v.
func (t Text) GoString() string { return t.String() }

// Format hides the value from every verb, %q, %x and %d included.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue hides the value from logs.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText hides the value from JSON, YAML and whatever else asks for text.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Value refuses to become a database parameter: say Plain where it is meant.
func (t Text) Value() (driver.Value, error) { return nil, errPlain }

// Secret is a credential or a key in text.
type Secret string

// Plain gives the value. For the request that needs it, and nothing else.
func (s Secret) Plain() string { return string(s) }

// String hides the value.
func (s Secret) String() string { return hidden(string(s), "[secret]") }

// GoString hides the value from %#v.
func (s Secret) GoString() string { return s.String() }

// Format hides the value from every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue hides the value from logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the value from JSON, YAML and whatever else asks for text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Value refuses to become a database parameter.
func (s Secret) Value() (driver.Value, error) { return nil, errPlain }

var errPlain = errors.New("a personal or secret value was passed to the database without Plain")

// hidden keeps emptiness visible, which tells nothing and helps to find mistakes.
func hidden(value, shown string) string {
	if value == "" {
		return ""
	}
	return shown
}
