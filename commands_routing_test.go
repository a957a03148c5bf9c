package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres/pgtest"
)

const twoPools = `version: 1
forms: [{slug: demo}]
reps:
  - {email: mia@example.com, name: Mia}
  - {email: sam@example.com, name: Sam}
pools:
  - {slug: dach, members: [{rep: mia@example.com}]}
  - {slug: world, members: [{rep: sam@example.com}]}
rules:
  - {name: Germany, when: {country: DE}, then: {pool: dach}}
  - {name: Rest, band: default, when: {}, then: {pool: world}}
`

func TestRoutingCommands_ReplayWhySimulateBacktestAndVersions(t *testing.T) {
	t.Parallel()
	dsn, dir := pgtest.NewDSN(t), t.TempDir()
	leadline := func(want int, expected, stdin string, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		environ := []string{"DATABASE_URL=" + dsn, "LEADLINE_DATA_DIR=" + dir}
		code := run(t.Context(), args, environ, strings.NewReader(stdin), &stdout, &stderr)
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
	live, other := file("live.yaml", twoPools), file("other.yaml", strings.Replace(twoPools, "then: {pool: dach}", "then: {pool: world}", 1))
	leadline(1, "No configuration was published yet", `{"form": "demo"}`, "simulate", "-")
	leadline(0, "Version 1 is live.", "", "apply", live)
	leadline(1, "Version 1 is live by now, not version 7", "", "apply", other, "--onto", "7")

	berlin := `{"form": "demo", "country": "DE", "email": "a@acme.example"}`
	leadline(0, "Nobody can be offered it", berlin, "simulate", "-")
	leadline(0, "It would be offered to mia@example.com", berlin, "simulate", "-", "--presence", "*=available", "--at", "2027-03-28T01:30:00Z")
	leadline(0, "It would be offered to sam@example.com", berlin, "simulate", "-", "--presence", "*=available", "--draft", other)
	leadline(2, "not both", berlin, "simulate", "-", "--draft", other, "--version", "1")
	leadline(2, "--presence needs", berlin, "simulate", "-", "--presence", "mia")
	leadline(2, "--at needs", berlin, "simulate", "-", "--at", "noon")

	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	const id = "01890a5d-ac96-774b-bcce-b302099a8051"
	// As an older release stored it: without what the decision was made from.
	_, err = conn.Exec(t.Context(), `
		INSERT INTO lead (id, correlation_id, form, intent, node, dispatch_lease, stage) VALUES ($1, 'c', 'demo', 'high', 1, now(), 'waiting')`, id)
	if err == nil {
		_, err = conn.Exec(t.Context(), `INSERT INTO decision (lead_id, version, rule, pool, trace) VALUES ($1, 1, 'Germany', 'dach',
			'{"version": 1, "rule": "Germany", "band": "match", "pool": "dach", "candidates": [{"rep": "mia@example.com", "outcome": "skipped", "reason": "off"}],
			"facts": {"form": "demo", "intent": "high", "country": "DE", "accepted_at": "2026-11-26T12:00:00Z"}}')`, id)
	}
	if err != nil {
		t.Fatal(err)
	}
	leadline(2, "--since needs", "", "replay")
	leadline(0, "1 decision made again, 0 of them not the first of their lead. Compared by rule, pool and person alone: 0 of erased leads, 1 from before", "", "replay", "--since", "24h")
	leadline(0, "No differences.", "", "replay", "--since", "1d", "--limit", "10")
	leadline(0, "0 leads compared, 1 left out", "", "backtest", other, "--since", "24h")
	leadline(0, `"left_out":1`, "", "backtest", other, "--since", "24h", "--json")
	leadline(0, "    off", "", "why", id, "mia@example.com")
	leadline(1, "There is no such rep", "", "why", id, "eve@example.com")
	leadline(2, "no id of a lead", "", "why", "first", "mia@example.com")
	if _, err := conn.Exec(t.Context(), `UPDATE decision SET rule = rule, trace = jsonb_set(trace, '{pool}', '"world"')`); err != nil {
		t.Fatal(err)
	}
	if all := leadline(1, "otherwise than they were stored: 1.", "", "replay", "--since", "24h"); !strings.Contains(all, "pool was  world") || !strings.Contains(all, "is   dach") {
		t.Errorf("the difference is not shown:\n%s", all)
	}

	draft := regexp.MustCompile(`[0-9a-f-]{36}`).FindString(leadline(0, "begun from version 1", "", "draft", "add", other, "--note", "one pool"))
	leadline(0, "open", "", "draft", "list")
	leadline(0, "pool: world", "", "draft", "show", draft)
	leadline(1, "cannot approve", "", "draft", "approve", draft)
	leadline(0, "goes live at 2100-01-01", "", "draft", "publish", draft, "--at", "2100-01-01T00:00:00Z")
	leadline(0, "Version 2 is live.", "", "draft", "publish", draft)
	leadline(1, "has become version 2", "", "draft", "discard", draft)
	leadline(2, "say why", "", "rollback", "1")
	leadline(0, "Version 3 is live, with the content of version 1.", "", "rollback", "1", "--note", "leads went nowhere")
	if all := leadline(0, "content of version 1", "", "versions"); strings.Count(all, "  live") != 1 || !strings.Contains(all, "one pool") {
		t.Errorf("versions:\n%s", all)
	}
	leadline(0, "pool: dach", "", "versions", "3")
	leadline(1, "There is no version 9", "", "versions", "9")
}
