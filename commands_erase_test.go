package main

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres/pgtest"
)

func TestEraseCommand_FindsErasesAndNamesNobody(t *testing.T) {
	t.Parallel()
	dsn, dir := pgtest.NewDSN(t), t.TempDir()
	secret := base64.StdEncoding.EncodeToString(make([]byte, 32))
	erase := func(want int, expected, stdin string, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		environ := []string{"DATABASE_URL=" + dsn, "LEADLINE_DATA_DIR=" + dir, "LEADLINE_SECRET=" + secret}
		code := run(t.Context(), append([]string{"erase"}, args...), environ, strings.NewReader(stdin), &stdout, &stderr)
		all := stdout.String() + stderr.String()
		if code != want || !strings.Contains(all, expected) {
			t.Errorf("leadline erase %d: %d, without %q\n%s", len(args), code, expected, all)
		}
		if strings.Contains(strings.ToLower(all), "anna") || strings.Contains(all, "901820") {
			t.Errorf("it names the person: %s", all)
		}
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	_, err = conn.Exec(t.Context(), `
		INSERT INTO lead (id, correlation_id, form, intent, node, dispatch_lease)
		SELECT ('01890a5d-ac96-774b-bcce-b302099a805' || n)::uuid, 'c', 'demo', 'high', 1, now() FROM generate_series(1, 3) n;
		INSERT INTO contact (lead_id, name, email, phone) SELECT id, 'Anna', 'Anna@acme.example', '' FROM lead WHERE id < '01890a5d-ac96-774b-bcce-b302099a8053';
		INSERT INTO contact (lead_id, name, phone) SELECT id, 'Anna', '+4930901820' FROM lead WHERE id = '01890a5d-ac96-774b-bcce-b302099a8053';
		INSERT INTO delivery (lead_id, connection, kind, destination, written) SELECT id, 'hub', 'webhook', 'crm', 1 FROM contact JOIN lead ON id = lead_id`)
	if err != nil {
		t.Fatal(err)
	}
	erase(2, "--reason is needed", "", "--email", "anna@acme.example")
	erase(2, "--lead needs", "", "--lead", "anna", "--reason", "r")
	erase(2, "belongs to no flag", "", "anna@acme.example", "--reason", "r")
	erase(1, "one of the three", "", "--dry-run")
	erase(1, "nothing came", "\n", "--email", "-", "--dry-run")
	erase(1, "Nobody is known", "", "--email", "ben@acme.example", "--reason", "r")
	erase(0, "Found: 2 leads, 2 submissions (on demo), 0 raw payloads.", "", "--email", "ANNA@acme.example", "--dry-run")
	erase(0, "Nothing was changed.", "anna@acme.example\n", "--email", "-", "--dry-run")
	erase(1, "The reason names the person", "", "--email", "anna@acme.example", "--reason", "anna@acme.example wants it")
	erase(0, "Sent to hub: 2 leads.", "anna@acme.example", "--email", "-", "--reason", "letter of 1 May")
	erase(0, "Erased: 1 lead.", "", "--phone", "+49 30 901820", "--reason", "call")
	erase(1, "erased already", "", "--lead", "01890a5d-ac96-774b-bcce-b302099a8052", "--reason", "call")
	var contacts, recorded int
	err = conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM contact), (SELECT count(*) FROM audit WHERE action = 'person.erased' AND actor_kind = 'command')`).Scan(&contacts, &recorded)
	if err != nil || contacts != 0 || recorded != 2 {
		t.Errorf("%d contacts, %d records, %v", contacts, recorded, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "erasures.jsonl")); err != nil || bytes.Count(text, []byte("\n")) != 2 {
		t.Errorf("the list: %s, %v", text, err)
	}
	secret = ""
	erase(1, "set LEADLINE_SECRET", "", "--email", "anna@acme.example", "--reason", "r")
}
