package web

import (
	"encoding/json"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"leadline/handlers"
	"leadline/internal/fault"
)

// What is taken of browsers' reports. Extensions of browsers cause many, and anybody may send some.
const (
	reportAtMost     = 8 << 10
	reportsPerMinute = 60
)

// directives are the names that reports are counted by; any other name is "other", so that strangers cannot fill the metrics.
var directives = []string{
	"default-src", "script-src", "script-src-elem", "script-src-attr", "style-src", "style-src-elem", "style-src-attr", "img-src", "font-src",
	"connect-src", "manifest-src", "worker-src", "form-action", "frame-ancestors", "frame-src", "child-src", "media-src", "object-src", "base-uri",
}

// reports takes what browsers say about breaches of the content security policy.
type reports struct {
	*server
	mu    sync.Mutex
	since time.Time
	taken int
}

func newReports(s *server) *reports { return &reports{server: s} }

// take counts a report against the limit.
func (r *reports) take(now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.since) >= time.Minute {
		r.since, r.taken = now, 0
	}
	if r.taken >= reportsPerMinute {
		return &fault.Error{Kind: fault.Throttled, RetryAfter: time.Minute - now.Sub(r.since), Message: "Too many reports came in this minute."}
	}
	r.taken++
	return nil
}

// Accept is POST /csp-report: a breach is counted by its directive, and the site it was about is logged. The page's own address
// is not: it may hold a link that signs somebody in.
func (r *reports) Accept(c *fiber.Ctx) error {
	if len(c.Body()) > reportAtMost {
		return fault.New(fault.TooLarge, "A report has at most 8 KiB.")
	}
	if err := r.take(r.Now()); err != nil {
		return err
	}
	var body struct {
		Report struct {
			Effective string `json:"effective-directive"`
			Violated  string `json:"violated-directive"`
			Blocked   string `json:"blocked-uri"`
		} `json:"csp-report"`
	}
	if json.Unmarshal(c.Body(), &body) != nil {
		return fault.New(fault.Malformed, "This is no report.")
	}
	name, _, _ := strings.Cut(body.Report.Effective+body.Report.Violated, " ")
	if body.Report.Effective != "" {
		name = body.Report.Effective
	}
	if !slices.Contains(directives, name) {
		name = "other"
	}
	r.Metrics.CSPViolation(name)
	r.Log.LogAttrs(c.UserContext(), slog.LevelWarn, "a browser blocked something on a page of ours",
		slog.String("directive", name), slog.String("blocked", site(body.Report.Blocked)), slog.String("correlation_id", handlers.CorrelationOf(c)))
	return c.SendStatus(fiber.StatusNoContent)
}

// site keeps the scheme and host of an address, or the one word that browsers say instead, such as inline.
func site(blocked string) string {
	u, err := url.Parse(blocked)
	if err != nil || len(blocked) > 1000 {
		return "unreadable"
	}
	if u.Host != "" {
		return u.Scheme + "://" + u.Host
	}
	for _, word := range []string{"inline", "eval", "data", "blob", "self", "wasm-eval"} {
		if blocked == word || u.Scheme == word {
			return word
		}
	}
	return "other"
}
