// Package fault holds the only error type that users ever see.
//
// A fault is made where its meaning is known: the code that finds the row missing says not_found, the code that loses the
// race says conflict. Everything else is an ordinary error, wrapped with what was attempted; the edge (handlers/errors.go,
// jobs) shows it as "Something went wrong" with the correlation id and logs its text. fault imports nothing of ours.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of thing went wrong; the edge maps it to a status code.
type Kind string

// The kinds, with the HTTP status that handlers answer.
const (
	Malformed       Kind = "malformed"        // 400: could not be parsed
	Unauthenticated Kind = "unauthenticated"  // 401: sign in or send a token
	Forbidden       Kind = "forbidden"        // 403
	NotFound        Kind = "not_found"        // 404
	Conflict        Kind = "conflict"         // 409: somebody else was first, or the thing has moved on
	TooLarge        Kind = "too_large"        // 413
	Unsupported     Kind = "unsupported_type" // 415
	Invalid         Kind = "invalid"          // 422: well formed, but fields are wrong
	Unproven        Kind = "unproven"         // 428: a proof of work is asked for, in Extra
	Throttled       Kind = "throttled"        // 429, always with RetryAfter
	Unavailable     Kind = "unavailable"      // 503, always with RetryAfter
)

// Field is one wrong field of an Invalid fault. Message is a sentence for the person who filled it in.
type Field struct {
	Field   string `json:"field"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Error is a fault: an error with a meaning that can be shown.
type Error struct {
	Kind       Kind
	Code       string         // machine-readable detail within the kind, such as "lost_race"; may be empty
	Message    string         // one or two sentences for a person; never holds personal data of a lead
	Fields     []Field        // only with Invalid
	RetryAfter time.Duration  // only with Throttled and Unavailable; rounded up to whole seconds at the edge
	Extra      map[string]any // further members of the problem document, such as the winner of a claim
	Err        error          // the cause, for the log alone
}

// Error implements error; it is for logs, not for people.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Kind, e.Message, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Kind, e.Message)
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// New makes a fault of a kind with a message for people.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes a fault that keeps its cause for the log.
func Wrap(kind Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Err: cause}
}

// Is tells whether err is, or wraps, a fault of this kind.
func Is(err error, kind Kind) bool {
	var f *Error
	return errors.As(err, &f) && f.Kind == kind
}
