package keyring_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"leadline/internal/config"
	"leadline/internal/keyring"
)

// printable is a key that shows wherever it is quoted.
const printable = "KEKKEKKEKKEKKEKKEKKEKKEKKEKKEKKE"

var inBase64 = base64.StdEncoding.EncodeToString([]byte(printable))

func write(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kek")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadMaster_TakesTheSameKeyFromEverySource(t *testing.T) {
	t.Parallel()
	sources := map[string]config.KeySource{
		"setting": {Key: []byte(printable)},
		"base64":  {File: write(t, inBase64+"\n", 0o600)},
		"raw":     {File: write(t, printable, 0o400)},
		"command": {Command: []string{"/bin/echo", inBase64}},
	}
	seen := map[string]bool{}
	for what, source := range sources {
		m, err := keyring.ReadMaster(t.Context(), []byte("secret"), source, config.KeySource{})
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		seen[m.Fingerprint()] = true
	}
	if len(seen) != 1 {
		t.Errorf("fingerprints: %v", seen)
	}
	derived, err := keyring.ReadMaster(t.Context(), []byte("secret"), config.KeySource{}, config.KeySource{})
	if err != nil || seen[derived.Fingerprint()] || len(derived.Fingerprint()) != 16 {
		t.Errorf("derived: %s, %v", derived.Fingerprint(), err)
	}
	again, err := keyring.ReadMaster(t.Context(), []byte("secret"), config.KeySource{}, config.KeySource{})
	if err != nil || again.Fingerprint() != derived.Fingerprint() {
		t.Errorf("derived again: %s, %v", again.Fingerprint(), err)
	}
}

func TestReadMaster_NamesTheSettingAndNotTheKey(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, source := range map[string]config.KeySource{
		"may be read or written by others (mode 0644); run: chmod 600": {File: write(t, inBase64, 0o644)},
		"may be read or written by others (mode 0640)":                 {File: write(t, inBase64, 0o640)},
		"neither 32 bytes in base64 nor 32 bytes as they are":          {File: write(t, inBase64[:20], 0o600)},
		"cannot be read: no such file":                                 {File: "/nowhere/kek"},
		"is no ordinary file":                                          {File: pipe},
		"failed (exit status 3); run it by hand":                       {Command: []string{"/bin/sh", script(t, "echo "+printable+" >&2; exit 3")}},
		"does not print 32 bytes in base64":                            {Command: []string{"/bin/echo", inBase64[:20]}},
		"prints more than a key":                                       {Command: []string{"/bin/sh", script(t, "head -c 100000 /dev/zero")}},
		"cannot be run: no such file":                                  {Command: []string{"/nowhere/kek"}},
	} {
		_, err := keyring.ReadMaster(t.Context(), []byte("secret"), config.KeySource{}, source)
		if err == nil || !strings.HasPrefix(err.Error(), "LEADLINE_KEK_PREVIOUS: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		} else if strings.Contains(err.Error(), printable) || strings.Contains(err.Error(), inBase64[:20]) {
			t.Errorf("the error repeats the key: %v", err)
		}
	}
}

func TestReadKeyFile_BelievesWhereSecretsAreMounted(t *testing.T) {
	t.Parallel()
	for mode, fine := range map[os.FileMode]bool{0o444: true, 0o440: true, 0o644: true, 0o664: false, 0o666: false} {
		path := write(t, inBase64, mode)
		if _, err := keyring.ReadKeyFile(path, []string{filepath.Dir(path) + "/"}); (err == nil) != fine {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

func TestRunKeyCommand_DoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	_, err := keyring.RunKeyCommand(t.Context(), []string{"/bin/sh", script(t, "exec sleep 600")}, 50*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "did not end within 50ms") {
		t.Errorf("%v", err)
	}
}

// script makes a program.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kek.sh")
	if err := os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\n%s\n", body), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}
