package load

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Report is the result of a run. Times are in milliseconds from the moment a lead was due (in a closed loop: was sent) to its whole answer, over the
// leads that were stored; failures are counted in Errors.
type Report struct {
	Target       string           `json:"target"`
	Form         string           `json:"form"`
	Rate         float64          `json:"rate"`          // asked for, per second; 0 in a closed loop
	AchievedRate float64          `json:"achieved_rate"` // stored, per second of the run
	Seconds      float64          `json:"seconds"`       // until the last answer, at least the duration asked for
	Sent         int64            `json:"sent"`
	OK           int64            `json:"ok"`
	Errors       map[string]int64 `json:"errors"` // by kind
	P50          float64          `json:"p50_ms"`
	P90          float64          `json:"p90_ms"`
	P95          float64          `json:"p95_ms"`
	P99          float64          `json:"p99_ms"`
	P999         float64          `json:"p999_ms"`
	Max          float64          `json:"max_ms"`
	LateP99      float64          `json:"late_p99_ms"` // how late the generator itself released leads: above 1 ms it lacked processor time
}

// String is the report as a small table.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, form %s\n", r.Target, r.Form)
	if r.Rate > 0 {
		fmt.Fprintf(&b, "  rate       asked %.1f/s, achieved %.1f/s over %.1f s\n", r.Rate, r.AchievedRate, r.Seconds)
	} else {
		fmt.Fprintf(&b, "  rate       %.1f/s over %.1f s, as fast as answers came\n", r.AchievedRate, r.Seconds)
	}
	fmt.Fprintf(&b, "  leads      sent %d, stored %d, failed %d\n", r.Sent, r.OK, r.Sent-r.OK)
	fmt.Fprintf(&b, "  answer ms  p50 %.2f   p90 %.2f   p95 %.2f   p99 %.2f   p99.9 %.2f   max %.2f\n", r.P50, r.P90, r.P95, r.P99, r.P999, r.Max)
	fmt.Fprintf(&b, "  generator  late by %.2f ms at p99\n", r.LateP99)
	kinds := make([]string, 0, len(r.Errors))
	for k := range r.Errors {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	for _, k := range kinds {
		fmt.Fprintf(&b, "  error      %s: %d\n", k, r.Errors[k])
	}
	return b.String()
}

// The histograms hold microseconds up to ten minutes, to three digits.
const (
	longest = int64(10 * time.Minute / time.Microsecond)
	digits  = 3
)

// tally collects outcomes from all workers.
type tally struct {
	o      Options
	mu     sync.Mutex
	took   *hdrhistogram.Histogram
	late   *hdrhistogram.Histogram
	sent   int64
	ok     int64
	errors map[string]int64
}

func newTally(o Options) *tally {
	return &tally{o: o, took: hdrhistogram.New(1, longest, digits), late: hdrhistogram.New(1, longest, digits), errors: map[string]int64{}}
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), 1), longest)) // fails only out of range
}

// released notes that a lead became due and how late the generator noticed.
func (t *tally) released(late time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	record(t.late, late)
}

func (t *tally) add(out outcome) {
	if out.kind == "" && t.o.Acked != nil {
		t.o.Acked(out.leadID)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent++
	if out.kind != "" {
		t.errors[out.kind]++
		return
	}
	t.ok++
	record(t.took, out.took)
}

func (t *tally) report(start time.Time) Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	seconds := max(t.o.Now().Sub(start), t.o.Duration).Seconds()
	ms := func(h *hdrhistogram.Histogram, p float64) float64 { return float64(h.ValueAtPercentile(p)) / 1000 }
	return Report{
		Target: t.o.Target, Form: t.o.Form, Rate: t.o.Rate, AchievedRate: float64(t.ok) / seconds, Seconds: seconds,
		Sent: t.sent, OK: t.ok, Errors: t.errors,
		P50: ms(t.took, 50), P90: ms(t.took, 90), P95: ms(t.took, 95), P99: ms(t.took, 99), P999: ms(t.took, 99.9), Max: float64(t.took.Max()) / 1000,
		LateP99: ms(t.late, 99),
	}
}
