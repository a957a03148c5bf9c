package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"regexp"
)

// open are the keys whose text may be logged. Everything else that is text is withheld, so that a careless line shows a gap
// in the log, never a person. Numbers, times and switches pass under any key.
var open = map[string]bool{
	slog.LevelKey: true, slog.MessageKey: true, slog.SourceKey: true, "error": true, "err": true,
	"lead_id": true, "rep_id": true, "account_id": true, "submission_id": true, "delivery_id": true, "token_id": true, "session_id": true, "erasure_id": true,
	"correlation_id": true, "pool": true, "rule": true, "rule_id": true, "form": true, "stage": true, "crm_state": true,
	"disposition": true, "outcome": true, "state": true, "kind": true, "cause": true, "reason": true, "step": true, "part": true,
	"connection": true, "destination": true, "channel": true, "queue": true, "job": true, "vendor": true, "remedy": true,
	"node": true, "nodes": true, "host": true, "addr": true, "dir": true, "version": true, "scope": true, "role": true,
	"method": true, "route": true, "status": true, "panic": true, "stack": true, "invariant": true, "server": true, "code": true, "sqlstate": true,
}

var (
	emailLike = regexp.MustCompile(`[^\s"'<>()=,;:]+@[^\s"'<>()=,;:]+\.[^\s"'<>()=,;:]+`)
	phoneLike = regexp.MustCompile(`\+\d[\d \-/().]{5,}\d`)
)

// NewLogger makes the log of a process: one JSON object a line on w, without personal data. Text under a key that is not known
// to be harmless is withheld; e-mail addresses and phone numbers inside the rest (an error's text) are masked.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: redact}))
}

// redact is called for every attribute that is no group, after LogValuers have spoken.
func redact(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString, slog.KindAny:
		if a.Key == slog.LevelKey || a.Key == slog.TimeKey || a.Key == slog.SourceKey {
			return a
		}
		if !open[a.Key] {
			return slog.String(a.Key, "[withheld]")
		}
		return slog.String(a.Key, mask(text(a.Value)))
	default:
		return a
	}
}

func text(v slog.Value) string {
	if err, ok := v.Any().(error); ok {
		return err.Error()
	}
	return fmt.Sprint(v.Any())
}

func mask(s string) string {
	return phoneLike.ReplaceAllString(emailLike.ReplaceAllString(s, "[email]"), "[phone]")
}
