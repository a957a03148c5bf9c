package journey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leadline/internal/load"
)

// overloadPlaybook takes whatever comes: what is limited here is the server itself.
const overloadPlaybook = `
version: 1
forms:
  - {slug: demo, name: Demo request, intent: high, limits: {per_ip: none}}
reps:
  - {email: mia@example.com, name: Mia, timezone: UTC, hours: "Mon-Sun 00:00-24:00"}
pools:
  - {slug: open, strategy: pull, members: [{rep: mia@example.com}]}
rules:
  - {name: Everything, band: default, when: {}, then: {pool: open}}
`

// overloadTime is how long each flood lasts.
func overloadTime() time.Duration {
	if torture() {
		return 30 * time.Second
	}
	return 6 * time.Second
}

// TestOverload_AFloodOfMeasurementsDoesNotReachSubmits sends far more beacons than can be answered while visitors submit.
func TestOverload_AFloodOfMeasurementsDoesNotReachSubmits(t *testing.T) {
	w := newWorld(t, overloadPlaybook)
	const rate = 50
	ctx, stop := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	var beacons atomic.Int64
	for range 128 {
		flood.Go(func() {
			hose := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: 10 * time.Second}
			defer hose.CloseIdleConnections()
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/v1/rum", strings.NewReader(`{"form":"demo","ack_ms":120,"device":"touch","network":"4g"}`))
				if err != nil {
					t.Error(err)
					return
				}
				res, err := hose.Do(req)
				if err != nil {
					continue // the flood may be cut; submits may not
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				beacons.Add(1)
				if res.StatusCode != http.StatusNoContent && (res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "") {
					t.Errorf("a beacon got %d", res.StatusCode)
				}
			}
		})
	}
	report, err := load.Run(t.Context(), load.Options{Target: w.url, Form: "demo", Rate: rate, Duration: overloadTime(), Now: time.Now})
	stop()
	flood.Wait()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d beacons, %.0f times the submits: %v", beacons.Load(), float64(beacons.Load())/float64(report.Sent), report)
	if float64(report.OK) < 0.999*float64(report.Sent) {
		t.Errorf("%d of %d submits answered with 2xx", report.OK, report.Sent)
	}
	if beacons.Load() < 12*report.Sent {
		t.Errorf("only %d beacons for %d submits: this was no overload", beacons.Load(), report.Sent)
	}
	if torture() && report.P99 > 500 { // only where the machine is ours alone: CI shares its cores
		t.Errorf("p99 of submits is %.0f ms", report.P99)
	}
}

// TestOverload_ABurstOfTheLargestBodiesStaysWithinMemory sends them as fast as connections take them, far beyond what is committed.
func TestOverload_ABurstOfTheLargestBodiesStaysWithinMemory(t *testing.T) {
	w := newWorld(t, overloadPlaybook)
	notes := strings.Repeat("We lose leads at night. ", 200) // kept
	filler := strings.Repeat("x", 32*1024-len(notes)-700)    // as sent by a page that knows more than the form
	until := time.Now().Add(overloadTime())
	var (
		visitors       sync.WaitGroup
		next           atomic.Int64
		stored, turned atomic.Int64
	)
	for range 256 {
		visitors.Go(func() {
			hose := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: 30 * time.Second}
			defer hose.CloseIdleConnections()
			for time.Now().Before(until) {
				who := person(int(next.Add(1)))
				who["notes"], who["filler"] = notes, filler
				body, err := json.Marshal(who)
				if err != nil || len(body) > 32*1024 {
					t.Errorf("a body of %d bytes: %v", len(body), err)
					return
				}
				res, err := hose.Post(w.url+"/v1/forms/demo/leads", "application/json", bytes.NewReader(body))
				if err != nil {
					continue // cut: the visitor's script would send it again
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				switch {
				case res.StatusCode == http.StatusCreated:
					stored.Add(1)
				case res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "", res.StatusCode == http.StatusRequestTimeout:
					turned.Add(1)
				default:
					t.Errorf("a large lead got %d", res.StatusCode)
				}
			}
		})
	}
	visitors.Wait()
	peak := w.server.peakMiB(t)
	t.Logf("%d stored, %d told to come again, at most %d MiB", stored.Load(), turned.Load(), peak)
	if stored.Load() == 0 {
		t.Error("nothing was stored")
	}
	if !raceEnabled && peak > 400 {
		t.Errorf("the server had %d MiB", peak)
	}
}

// peakMiB is the most memory that a process ever had, as the kernel counts it.
func (p *process) peakMiB(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(scan(string(text), "VmHWM:"))
	if len(fields) == 0 {
		t.Fatal("the kernel does not say how much memory the server had")
	}
	kib, err := strconv.Atoi(fields[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib / 1024
}
