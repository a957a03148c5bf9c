package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's own program play the bench's children.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == roleWord {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestMeasure_EveryRowAddsUp runs each row for a moment. It says nothing about time: only that what was acknowledged is stored, and that
// no figure is missing or impossible.
func TestMeasure_EveryRowAddsUp(t *testing.T) {
	p := plan{
		warm: 50 * time.Millisecond, saturated: 300 * time.Millisecond, pipeline: 300 * time.Millisecond, yardstick: time.Second, steady: 200 * time.Millisecond, repeats: 1,
		rates: []float64{100, 1000}, dispatch: 100, long: 200 * time.Millisecond, every: 100 * time.Millisecond, clients: 16, settle: 2 * time.Minute, ids: true,
	}
	b, err := newBench(t.Context(), settings{}, p, testWriter{t})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close(t.Context())
	got, err := b.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range got.problems {
		t.Error(problem)
	}
	if len(got.rows) != 2 || len(got.noop) != 3 || len(got.rounds) != 1 || len(got.steady) != 2 || len(got.long) != 2 || len(got.dispatch) != len(layouts()) {
		t.Fatalf("%d, %d, %d, %d, %d and %d rows", len(got.rows), len(got.noop), len(got.rounds), len(got.steady), len(got.long), len(got.dispatch))
	}
	one := got.rounds[0]
	rows := append([]row{one.naive, one.capture, one.repeat, one.pipeline.row, got.steady[0].row, got.steady[1].row, got.dispatch[0].row, got.long[0].row}, got.noop...)
	for _, r := range rows {
		if r.Count == 0 || r.Rate <= 0 || r.P50 <= 0 || r.P50 > r.P95 || r.P95 > r.P99 || r.P99 > r.P999 || r.Foreign < 0 || r.Foreign > 1 {
			t.Errorf("%s: %+v", r.Name, r)
		}
		if int64(len(r.ids)) != r.Count && !strings.HasPrefix(r.Name, "no-op") {
			t.Errorf("%s: %d ids of %d leads", r.Name, len(r.ids), r.Count)
		}
	}
	for _, r := range []row{one.capture, one.repeat, one.pipeline.row, got.steady[1].row} {
		if r.Batch < 1 || r.WAL <= 0 || r.DB <= 0 {
			t.Errorf("%s: batch %v, %v bytes of WAL, %v µs in PostgreSQL", r.Name, r.Batch, r.WAL, r.DB)
		}
	}
	if pl := one.pipeline; pl.Sustained <= 0 || pl.Sustained > pl.Rate || pl.Twice != 0 || len(pl.Memory) == 0 || pl.Memory[0] <= 0 || pl.Place.P50 <= 0 {
		t.Errorf("pipeline: %+v", pl)
	}
	text := got.markdown()
	for _, want := range append(names(rows), "intake ÷ one GORM transaction", "new ÷ repeated", "p99 at 1,000 a second", "stored until offered, p95, one pool", "from minute") {
		if !strings.Contains(text, want) {
			t.Errorf("the report says nothing of %q", want)
		}
	}
	if host, err := os.Hostname(); err == nil && len(host) > 3 && strings.Contains(text, host) {
		t.Error("the report names the machine")
	}
}

func names(rows []row) (all []string) {
	for _, r := range rows {
		if !strings.Contains(r.Name, "from minute") {
			all = append(all, r.Name)
		}
	}
	return all
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}
