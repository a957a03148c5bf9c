package torture_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"leadline/internal/torture/witness"
)

// binary is leadline as released but for its failpoints. Never with the race detector: it would hide the moments that are looked for.
var binary string

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "witness" {
		os.Exit(witness.Main(context.Background(), os.Args[2:], time.Now, os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "leadline-torture-")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "leadline")
		build := exec.Command("go", "build", "-tags", "failpoint", "-o", binary, "leadline")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// full tells whether the size of a release is wanted.
func full() bool { return os.Getenv("TORTURE") == "full" }

// alongside lets a test run beside the others, where the hour counts and not the figures.
func alongside(t *testing.T) {
	t.Helper()
	if !full() {
		t.Parallel()
	}
}

// size is a number for CI, or one for releases, or what the environment asks for.
func size(t *testing.T, variable string, ci, release int) int {
	t.Helper()
	if text := os.Getenv(variable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s is %q: %v", variable, text, err)
		}
		return n
	}
	if full() {
		return release
	}
	return ci
}

// seed decides about everything that is left to chance. It is printed, and TORTURE_SEED repeats it.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := size(t, "TORTURE_SEED", int(time.Now().UnixNano()&0x7fffffff), int(time.Now().UnixNano()&0x7fffffff))
	t.Logf("TORTURE_SEED=%d", n)
	return uint64(n)
}
