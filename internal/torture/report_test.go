package torture_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// report writes the figures of a run into the folder that TORTURE_REPORT names, as a file of its own that says of which code and machine
// it is. Unasked, it writes nothing.
func report(t *testing.T, name string, seed uint64, figures map[string]any) {
	t.Helper()
	dir := os.Getenv("TORTURE_REPORT")
	if dir == "" || t.Failed() {
		return
	}
	commit, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		t.Fatalf("name the commit: %v", err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	text, err := json.MarshalIndent(map[string]any{
		"test": t.Name(), "at": now, "commit": strings.TrimSpace(string(commit)), "seed": seed, "host": host, "cpus": runtime.NumCPU(),
		"go": runtime.Version(), "figures": figures,
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, fmt.Sprintf("%s-%s.json", now.Format("20060102T150405Z"), name))
	if err := os.WriteFile(file, append(text, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Logf("figures are in %s", file)
}
