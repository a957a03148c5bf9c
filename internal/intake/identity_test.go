package intake_test

import (
	"testing"
	"time"
)

// TestIdentity_GeneratedHistoriesAgreeWithTheModel holds two processes with wrong clocks to the decision table, at the edges of the
// window to the microsecond. The seed repeats a run.
func TestIdentity_GeneratedHistoriesAgreeWithTheModel(t *testing.T) {
	b := newClockedBench(t)
	submit, _ := product(b)
	const seed = 20261126
	n, start := size(512, 200_000), time.Now()
	d := tryHistories(b, submit, seed, n)
	t.Logf("%d histories, seed %d: %d differences, %d given up for want of an answer, %v", n, seed, d.n, d.unknown, time.Since(start).Round(time.Millisecond))
	d.report(t, "histories")
	if d.unknown > n/4 {
		t.Errorf("%d of %d histories were given up", d.unknown, n)
	}
}
