//go:build bench

package journey_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/load"
)

// numbersPlaybook feeds a pool to pull from: no chat, no limit per address.
const numbersPlaybook = `
version: 1
forms:
  - {slug: demo, name: Demo request, intent: high, limits: {per_ip: none}}
teams:
  - {slug: all, name: Everyone, timezone: UTC}
reps:
  - {email: mia@example.com, name: Mia, team: all, timezone: UTC, hours: "Mon-Sun 00:00-24:00"}
pools:
  - {slug: open, strategy: pull, members: [{rep: mia@example.com}]}
rules:
  - {name: Everything, band: default, when: {}, then: {pool: open}}
connections:
  - {slug: crm, kind: webhook, base_url: "SANDBOX/webhook", secret: "env:WEBHOOK_SECRET"}
`

// TestNumbers prints what this installation does under load, on this machine, with everything on it: database, server,
// browser, CRM and load generator. It asserts nothing about time; make bench-journey shows it.
func TestNumbers(t *testing.T) {
	seconds := 30
	if s, err := strconv.Atoi(os.Getenv("BENCH_SECONDS")); err == nil {
		seconds = s
	}
	duration := time.Duration(seconds) * time.Second
	w := newWorld(t, numbersPlaybook)
	t.Logf("memory of the server at rest: %d MiB", w.server.residentMiB(t))
	w.addUser("mia@example.com", "rep", miasPassword)
	rep := newBrowser(t)
	rep.signIn(w, "mia@example.com", miasPassword)
	rep.ready(w)
	w.fault(map[string]any{"vendor": "webhook", "latency_ms": 80})

	w.load(t, 20, 3*time.Second) // warm
	w.forget(t)
	before := w.histogram(t, "leadline_submit_to_console_seconds")
	healthy, acked := w.load(t, 100, duration)
	t.Logf("healthy:  %v", healthy)
	w.eventually("every lead to be in the CRM", func() bool { return len(w.records()) >= len(acked) })
	after := w.histogram(t, "leadline_submit_to_console_seconds")
	t.Logf("committed to painted in the browser: %s", spread(before, after))
	p50, p99 := w.toCRM(t)
	t.Logf("POST to CRM has the request: p50 %.1f ms, p99 %.1f ms", p50, p99)
	w.reportDelivered(t, acked)

	w.forget(t)
	var sick load.Report
	var wg sync.WaitGroup
	wg.Go(func() { sick, acked = w.load(t, 100, 2*duration) })
	w.fault(map[string]any{"vendor": "webhook", "hang": true, "for": duration.String()})
	<-time.After(duration) // the length of the outage is what is measured
	w.fault(map[string]any{"vendor": "webhook", "status": 500, "for": duration.String()})
	wg.Wait()
	t.Logf("CRM hangs %v, then answers 500 for %v: %v", duration, duration, sick)
	w.healFaults()
	back := time.Now()
	w.eventually("every lead to be in the CRM after the outage", func() bool { return w.unconfirmed(t) == 0 })
	t.Logf("all delivered %.1f s after the CRM was back", time.Since(back).Seconds())
	w.reportDelivered(t, acked)

	// Once more, on tables and a board as full as they are by now: what the outage itself costs is the difference to this.
	w.fault(map[string]any{"vendor": "webhook", "latency_ms": 80})
	again, _ := w.load(t, 100, duration)
	t.Logf("healthy again: %v", again)
	t.Logf("p99 with the CRM away: %.2f of healthy before, %.2f of healthy after", sick.P99/healthy.P99, sick.P99/again.P99)

	w.server.stop()
	start := time.Now()
	w.serve()
	t.Logf("warm start to ready: %.2f s", time.Since(start).Seconds())
}

// load sends leads and gives the report and the ids that were acknowledged.
func (w *world) load(t *testing.T, rate float64, d time.Duration) (load.Report, []string) {
	t.Helper()
	var mu sync.Mutex
	var ids []string
	report, err := load.Run(context.Background(), load.Options{Target: w.url, Form: "demo", Rate: rate, Duration: d, Now: time.Now, Acked: func(id string) {
		mu.Lock()
		defer mu.Unlock()
		ids = append(ids, id)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return report, ids
}

// forget empties the sandbox.
func (w *world) forget(t *testing.T) {
	t.Helper()
	if status, _ := w.call("DELETE", w.sandbox+"/_control/records", nil); status/100 != 2 {
		t.Fatalf("emptying the sandbox answered %d", status)
	}
}

// reportDelivered counts losses, duplicates and repeats after a known answer.
func (w *world) reportDelivered(t *testing.T, acked []string) {
	t.Helper()
	have := map[string]int{}
	for _, r := range w.records() {
		have[fmt.Sprint(r["external_id"])]++
	}
	lost, double := 0, 0
	for _, id := range acked {
		switch n := have[id]; {
		case n == 0:
			lost++
		case n > 1:
			double++
		}
	}
	t.Logf("acknowledged %d, lost %d, duplicate records %d", len(acked), lost, double)
}

// toCRM gives how long after a lead's id was made (in whole milliseconds, so up to 1 ms too much) the CRM had its request.
func (w *world) toCRM(t *testing.T) (p50, p99 float64) {
	t.Helper()
	var ms []float64
	seen := map[string]bool{}
	for _, r := range w.requests() {
		body, _ := r["body"].(map[string]any)
		id, err := uuid.Parse(fmt.Sprint(body["external_id"]))
		at, err2 := time.Parse(time.RFC3339Nano, fmt.Sprint(r["at"]))
		if err != nil || err2 != nil || seen[id.String()] {
			continue
		}
		seen[id.String()] = true
		made, frac := id.Time().UnixTime()
		ms = append(ms, float64(at.Sub(time.Unix(made, frac)).Microseconds())/1000)
	}
	slices.Sort(ms)
	if len(ms) == 0 {
		return math.NaN(), math.NaN()
	}
	return ms[len(ms)/2], ms[len(ms)*99/100]
}

// unconfirmed is how many leads the CRM does not hold yet, as the server counts them.
func (w *world) unconfirmed(t *testing.T) int {
	t.Helper()
	n := 0
	for _, state := range []string{"pending", "saving"} {
		_, body := w.get("/v1/leads?crm_state=" + state)
		var page struct {
			Leads []json.RawMessage `json:"leads"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			t.Fatal(err)
		}
		n += len(page.Leads)
	}
	return n
}

// histogram reads the buckets of a metric: upper edge in seconds to count.
func (w *world) histogram(t *testing.T, name string) map[float64]float64 {
	t.Helper()
	_, body := w.get("/metrics")
	out := map[float64]float64{}
	for line := range strings.Lines(string(body)) {
		if !strings.HasPrefix(line, name+"_bucket") {
			continue
		}
		_, rest, _ := strings.Cut(line, `le="`)
		edge, value, _ := strings.Cut(rest, `"} `)
		le, err := strconv.ParseFloat(edge, 64)
		n, err2 := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err == nil && err2 == nil {
			out[le] += n
		}
	}
	return out
}

// spread says between which edges the percentiles of the difference of two histograms lie.
func spread(before, after map[float64]float64) string {
	var edges []float64
	for e := range after {
		edges = append(edges, e)
	}
	slices.Sort(edges)
	total := after[math.Inf(1)] - before[math.Inf(1)]
	var out []string
	for _, p := range []float64{0.5, 0.95, 0.99} {
		for _, e := range edges {
			if after[e]-before[e] >= p*total {
				out = append(out, fmt.Sprintf("p%.0f <= %.0f ms", p*100, e*1000))
				break
			}
		}
	}
	return fmt.Sprintf("%.0f leads, %s", total, strings.Join(out, ", "))
}

// residentMiB is the memory of a process, as the kernel counts it.
func (p *process) residentMiB(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "status"))
	if err != nil {
		out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(p.cmd.Process.Pid)).Output()
		if err != nil {
			t.Fatal(err)
		}
		kib, _ := strconv.Atoi(strings.TrimSpace(string(out)))
		return kib / 1024
	}
	kib, _ := strconv.Atoi(strings.Fields(scan(string(text), "VmRSS:"))[0])
	return kib / 1024
}
