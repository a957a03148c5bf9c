//go:build !failpoint

package failpoint_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"leadline/internal/failpoint"
)

// TestFailpoint_CostsTheProductNothing looks into the binary as it is released: no function, name or variable of this package is in it.
func TestFailpoint_CostsTheProductNothing(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "leadline")
	if out, err := exec.Command("go", "build", "-o", binary, "leadline").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	symbols, err := exec.Command("go", "tool", "nm", binary).Output()
	if err != nil || !strings.Contains(string(symbols), "leadline/internal/intake.New") {
		t.Fatalf("the binary has no symbols to look at: %v", err)
	}
	for line := range strings.Lines(string(symbols)) {
		if strings.Contains(line, "internal/failpoint") {
			t.Errorf("in the product: %s", strings.TrimSpace(line))
		}
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"FAILPOINT_PIPE", string(failpoint.AckEarly)} {
		if strings.Contains(string(content), word) {
			t.Errorf("the product holds the word %q", word)
		}
	}
}

func TestFailpoint_DoesNothingInOtherBuilds(t *testing.T) {
	allocated := testing.AllocsPerRun(100, func() {
		failpoint.At(failpoint.Read)
		_ = failpoint.WhenSent(t.Context(), failpoint.Called) == t.Context()
	})
	if allocated != 0 || failpoint.On(failpoint.AckEarly) {
		t.Errorf("allocations: %v", allocated)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if failpoint.Listener(l) != l {
		t.Error("the listener was wrapped")
	}
}

// BenchmarkAt is the figure behind the sentence that a point costs nothing: compare with an empty loop.
func BenchmarkAt(b *testing.B) {
	for b.Loop() {
		failpoint.At(failpoint.Read)
	}
}
