package postgres_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leadline/internal/postgres"
)

func TestMissingBinaries_NameThePackageOfThisSystem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ release, goos, want string }{
		{"ID=ubuntu\nID_LIKE=debian\n", "linux", "apt-get install postgresql`"},
		{"ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "linux", "apt-get install postgresql`"},
		{"ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "linux", "dnf install postgresql-server`"},
		{"ID=alpine\n", "linux", "apk add postgresql17`"},
		{"ID=unheard-of\n", "linux", "with your package manager"},
		{"", "darwin", "brew install postgresql@17`"},
	} {
		name := filepath.Join(t.TempDir(), "os-release")
		if err := os.WriteFile(name, []byte(c.release), 0o600); err != nil {
			t.Fatal(err)
		}
		err := postgres.FindIn(t.Context(), name, c.goos, 0)
		if !errors.Is(err, postgres.ErrNoBinaries) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "DATABASE_URL") {
			t.Errorf("%s on %s: %v", strings.TrimSpace(c.release), c.goos, err)
		}
	}
}

func TestMissingBinaries_NameTheVersionThatMadeTheData(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	fakeInstallation(t, root, 17)
	layout := filepath.Join(root, "*", "bin")
	if err := postgres.FindIn(t.Context(), "/nowhere", "linux", 0, layout); err != nil {
		t.Error(err)
	}
	if err := postgres.FindIn(t.Context(), "/nowhere", "linux", 16, layout); err == nil || !strings.Contains(err.Error(), "version 16") {
		t.Error("data of version 16 must not be opened by 17:", err)
	}
	fakeInstallation(t, root, 16)
	if err := postgres.FindIn(t.Context(), "/nowhere", "linux", 16, layout); err != nil {
		t.Error(err)
	}
}

func fakeInstallation(t *testing.T, root string, major int) {
	t.Helper()
	dir := filepath.Join(root, fmt.Sprint(major), "bin")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"initdb", "postgres"} {
		script := fmt.Sprintf("#!/bin/sh\necho '%s (PostgreSQL) %d.2'\n", name, major)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}
