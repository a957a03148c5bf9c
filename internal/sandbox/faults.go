package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Fault is what goes wrong at one vendor, in the words of the contract. LatencyMS and JitterMS delay every answer; at most one of
// Status, Hang and Drop says what becomes of the calls that ErrorRate picks.
type Fault struct {
	Vendor    string  `json:"vendor"`
	LatencyMS int     `json:"latency_ms,omitempty"`
	JitterMS  int     `json:"jitter_ms,omitempty"`  // up to so much more, evenly spread
	ErrorRate float64 `json:"error_rate,omitempty"` // share of calls hit, 0 to 1; left out: all of them
	Status    int     `json:"status,omitempty"`     // answered instead of carrying the call out; for mail a reply code like 451 or 550
	Hang      bool    `json:"hang,omitempty"`       // not carried out, not answered until the fault ends; then cut
	Drop      bool    `json:"drop,omitempty"`       // carried out, then cut without an answer
	For       Span    `json:"for,omitzero"`         // how long; left out: until deleted
}

// Span is a duration that reads "30s" or a number of seconds, and is written as text.
type Span time.Duration

// UnmarshalJSON reads "1m30s" or 90.
func (s *Span) UnmarshalJSON(b []byte) error {
	var seconds float64
	if err := json.Unmarshal(b, &seconds); err == nil {
		*s = Span(seconds * float64(time.Second))
		return nil
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("for must be a duration like \"30s\" or a number of seconds")
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("for must be a duration like \"30s\" or a number of seconds, not %q", text)
	}
	*s = Span(d)
	return nil
}

// MarshalJSON writes "30s".
func (s Span) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(s).String()) }

// check fills defaults and says in a sentence what is wrong, or "".
func (f *Fault) check() string {
	kinds := 0
	for _, set := range []bool{f.Status != 0, f.Hang, f.Drop} {
		if set {
			kinds++
		}
	}
	switch {
	case !slices.Contains(vendorNames(), f.Vendor):
		return fmt.Sprintf("vendor must be one of %v.", vendorNames())
	case f.LatencyMS < 0 || f.JitterMS < 0 || f.LatencyMS > 3_600_000 || f.JitterMS > 3_600_000:
		return "latency_ms and jitter_ms must lie between 0 and 3600000."
	case f.ErrorRate < 0 || f.ErrorRate > 1:
		return "error_rate must lie between 0 and 1."
	case kinds > 1:
		return "Use only one of status, hang and drop."
	case f.Status != 0 && (f.Status < 400 || f.Status > 599):
		return "status must lie between 400 and 599."
	case f.For < 0:
		return "for must not be negative."
	}
	if f.ErrorRate > 0 && kinds == 0 {
		f.Status = http.StatusServiceUnavailable
		if f.Vendor == vendorSMTP {
			f.Status = smtpLater
		}
		kinds = 1
	}
	if f.ErrorRate == 0 && kinds == 1 {
		f.ErrorRate = 1
	}
	if kinds == 0 && f.LatencyMS == 0 && f.JitterMS == 0 {
		return "The fault does nothing: give latency_ms, jitter_ms, error_rate, status, hang or drop."
	}
	return ""
}

// activeFault is a fault that is on. ended is closed when it is deleted, replaced or over.
type activeFault struct {
	Fault
	Since time.Time  `json:"since"`
	Until *time.Time `json:"until,omitempty"`
	ended chan struct{}
	timer *time.Timer
}

// strikes draws whether this call is among those that the fault's kind hits; of is false when the fault is not of that kind.
func (f *activeFault) strikes(of bool) bool {
	return of && (f.ErrorRate >= 1 || rand.Float64() < f.ErrorRate) //nolint:gosec // which calls fail is no secret
}

// delay waits for the fault's latency. It returns early when the fault ends or the caller leaves. A nil fault does not wait.
func (f *activeFault) delay(ctx context.Context) {
	if f == nil || f.LatencyMS+f.JitterMS == 0 {
		return
	}
	d := time.Duration(f.LatencyMS) * time.Millisecond
	if f.JitterMS > 0 {
		d += rand.N(time.Duration(f.JitterMS) * time.Millisecond) //nolint:gosec // jitter is no secret
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-f.ended:
	case <-ctx.Done():
	}
}

// wait is delay for a caller of whom one cannot know that they have left.
func (f *activeFault) wait() { f.delay(context.Background()) }

// faults holds the newest fault of each vendor.
type faults struct {
	now func() time.Time
	mu  sync.RWMutex
	by  map[string]*activeFault
}

func newFaults(now func() time.Time) *faults {
	return &faults{now: now, by: map[string]*activeFault{}}
}

// set switches a checked fault on. It replaces the vendor's former one, whose held calls are cut.
func (fs *faults) set(f Fault) *activeFault {
	a := &activeFault{Fault: f, Since: fs.now(), ended: make(chan struct{})}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.endLocked(f.Vendor)
	fs.by[f.Vendor] = a
	if f.For > 0 {
		until := a.Since.Add(time.Duration(f.For))
		a.Until = &until
		a.timer = time.AfterFunc(time.Duration(f.For), func() { fs.over(a) })
	}
	return a
}

// over ends a fault whose time has come, unless it was replaced.
func (fs *faults) over(a *activeFault) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.by[a.Vendor] == a {
		fs.endLocked(a.Vendor)
	}
}

// clear ends the fault of one vendor, or with "" all of them.
func (fs *faults) clear(vendor string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for v := range fs.by {
		if vendor == "" || v == vendor {
			fs.endLocked(v)
		}
	}
}

func (fs *faults) endLocked(vendor string) {
	a := fs.by[vendor]
	if a == nil {
		return
	}
	if a.timer != nil {
		a.timer.Stop()
	}
	close(a.ended)
	delete(fs.by, vendor)
}

// of gives the vendor's fault, or nil.
func (fs *faults) of(vendor string) *activeFault {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	return fs.by[vendor]
}

// all gives the faults that are on, by vendor name.
func (fs *faults) all() []*activeFault {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	out := make([]*activeFault, 0, len(fs.by))
	for _, v := range vendorNames() {
		if a := fs.by[v]; a != nil {
			out = append(out, a)
		}
	}
	return out
}

// faultAnswer is how a vendor words an error that has nothing to do with the call.
func faultAnswer(vendor string, status int) answer {
	a := answer{status: status, body: webhookError("unavailable", "The CRM answered "+http.StatusText(status)+" because a fault is on.")}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		a.header = map[string]string{"Retry-After": "1"}
	}
	if vendor == vendorSlack {
		code := "service_unavailable"
		switch {
		case status == http.StatusTooManyRequests:
			code = "ratelimited"
		case status == http.StatusInternalServerError:
			code = "internal_error"
		case status < http.StatusInternalServerError:
			code = "fatal_error"
		}
		a.body = slackError(code)
	}
	return a
}
