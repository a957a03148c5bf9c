package journey_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"leadline/migrations"
)

// torture tells whether the full size was asked for, by make torture.
func torture() bool { return os.Getenv("TORTURE") == "full" }

// previousSource unpacks the release before this one from git's history. Without that history nothing can be compared, and the
// test is skipped, saying so; at full size it fails.
func previousSource(t *testing.T) string {
	t.Helper()
	root := filepath.Dir(strings.TrimSpace(output(t, "go", "env", "GOMOD")))
	git := []string{"-c", "safe.directory=" + root, "-C", root}
	if out, err := exec.Command("git", append(git, "cat-file", "-e", migrations.Previous+"^{commit}")...).CombinedOutput(); err != nil {
		why := fmt.Sprintf("the release before (commit %s) is not in git's history here: %v %s\nFetch it, for example with: git fetch --unshallow", migrations.Previous, err, out)
		if torture() {
			t.Fatal(why)
		}
		fmt.Fprintf(os.Stderr, "\n*** NOT TESTED: whether the binary before works on while this one migrates ***\n%s\n\n", why)
		t.Skip(why)
	}
	dir := t.TempDir()
	archive := filepath.Join(dir, "source.tar")
	output(t, "git", append(git, "archive", "--output", archive, migrations.Previous)...)
	output(t, "tar", "-x", "-f", archive, "-C", dir)
	return dir
}

// buildAt builds the leadline whose source is in a folder. Paths are trimmed so that the next run finds its parts in Go's cache.
func buildAt(t *testing.T, dir, name string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	output(t, "go", "-C", dir, "build", "-trimpath", "-o", file, ".")
	return file
}

// addMigrations puts the files of this release beside those of an older source: what a build to go back to is made of.
func addMigrations(t *testing.T, dir string) {
	t.Helper()
	root := filepath.Dir(strings.TrimSpace(output(t, "go", "env", "GOMOD")))
	files, err := filepath.Glob(filepath.Join(root, "migrations", "*.sql"))
	if err != nil || len(files) == 0 {
		t.Fatal("no migrations in", root, err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "migrations", filepath.Base(file)), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// output runs a program to its end and gives what it printed.
func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}
