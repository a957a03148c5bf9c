package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"leadline/internal/postgres/pgtest"
)

func TestShadowAndCanaryCommands_BeginTellAndEnd(t *testing.T) {
	t.Parallel()
	dsn, dir := pgtest.NewDSN(t), t.TempDir()
	leadline := func(want int, expected string, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), args, []string{"DATABASE_URL=" + dsn, "LEADLINE_DATA_DIR=" + dir}, strings.NewReader(""), &stdout, &stderr)
		all := stdout.String() + stderr.String()
		if code != want || !strings.Contains(all, expected) {
			t.Errorf("leadline %s: %d, without %q\n%s", strings.Join(args, " "), code, expected, all)
		}
		return all
	}
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	leadline(0, "Version 1 is live.", "apply", file("live.yaml", twoPools))
	other := file("other.yaml", strings.Replace(twoPools, "then: {pool: dach}", "then: {pool: world}", 1))
	draft := regexp.MustCompile(`[0-9a-f-]{36}`).FindString(leadline(0, "begun from version 1", "draft", "add", other, "--ack", "unused"))

	leadline(1, "There was no shadow yet", "shadow", "report")
	leadline(2, "neither the id of a draft", "shadow", "start", "x")
	leadline(1, "There is no version 7", "shadow", "start", "7")
	leadline(0, "decided twice", "shadow", "start", draft)
	leadline(1, "running already", "shadow", "start", draft)
	leadline(0, "0 would have moved", "shadow", "report")
	leadline(0, `"draft":"`+draft, "shadow", "report", "--json")
	leadline(0, "has ended", "shadow", "stop")
	leadline(1, "no shadow is running", "shadow", "stop")

	leadline(1, "There was no canary yet", "canary", "status")
	leadline(2, "--for needs a time", "canary", "start", draft, "--percent", "5")
	leadline(2, "--percent needs a number", "canary", "start", draft, "--percent", "few", "--for", "1h")
	leadline(1, "0.01 to 50 %", "canary", "start", draft, "--percent", "90%", "--for", "1h")
	leadline(1, "This is what is live", "canary", "start", "1", "--percent", "5", "--for", "1h")
	leadline(0, "Version 2 decides for 5 %", "canary", "start", draft, "--percent", "5%", "--for", "1h", "--max-unrouted", "2%", "--max-accept", "1.5x", "--min-leads", "10")
	leadline(0, "beside version 1, for 5 % of the leads", "canary", "status")
	leadline(0, "decides about all leads again", "canary", "stop", "--note", "enough")
	leadline(1, "no canary is running", "canary", "stop")
	leadline(1, "No canary is running", "canary", "promote")
	leadline(0, "Version 3 decides for 0.5 %", "canary", "start", draft, "--percent", "0.5", "--for", "24h")
	leadline(0, "Version 3 is live.", "canary", "promote")
	leadline(0, "stays", "apply", other)
}
