package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres/pgtest"
)

func TestAuditCommands_VerifyAndSignTheHead(t *testing.T) {
	t.Parallel()
	dsn, dir := pgtest.NewDSN(t), t.TempDir()
	audit := func(want int, expected string, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"audit"}, args...), []string{"DATABASE_URL=" + dsn, "LEADLINE_DATA_DIR=" + dir}, strings.NewReader(""), &stdout, &stderr)
		if all := stdout.String() + stderr.String(); code != want || !strings.Contains(all, expected) {
			t.Errorf("leadline audit %s: %d, without %q\n%s", strings.Join(args, " "), code, expected, all)
		}
		return stdout.String()
	}
	exec := func(statement string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(t.Context()) }()
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	audit(0, "The chain is unbroken", "verify")
	audit(1, "no rows yet", "head")
	exec(`SELECT append_audit('system', NULL, 'token.used', '', '', '{}', '', '') FROM generate_series(1, 20)`)
	head := audit(0, `"leadline":"audit head 1"`, "head")
	audit(1, "There is no file "+filepath.Join(dir, "audit-anchor.jsonl"), "verify")
	noted := filepath.Join(dir, "noted.jsonl")
	if err := os.WriteFile(noted, []byte(head), 0o600); err != nil {
		t.Fatal(err)
	}
	audit(0, "fingerprint ", "verify", "--anchors", noted)
	audit(0, "Rows 5 to 9: 5.", "verify", "--anchors", noted, "--from", "5", "--to", "9")
	audit(1, "there is no file", "verify", "--anchors", noted+"x")
	audit(2, "--from needs", "verify", "--from", "zero")
	audit(2, "belongs to no flag", "verify", "now")
	exec(`ALTER TABLE audit DISABLE TRIGGER ALL; DELETE FROM audit WHERE seq > 12; DELETE FROM audit_anchor;
		UPDATE audit_head SET (seq, hash) = (SELECT seq, hash FROM audit WHERE seq = 12)`)
	audit(0, "Nothing outside the database was compared", "verify")
	audit(1, "FINDING: The chain was cut: it ends with row 12", "verify", "--anchors", noted)
}
