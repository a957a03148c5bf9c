package playbook_test

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"leadline/internal/playbook"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/routing"
)

// postalRows is a configuration with n rules, one for each postal code.
func postalRows(n int) string {
	var text strings.Builder
	text.WriteString(minimal)
	for i := range n {
		fmt.Fprintf(&text, "  - {name: Row %d, when: {postal_code: \"DE:%06d\"}, then: {pool: p}}\n", i, i)
	}
	return text.String()
}

// TestApply_PublishesManyRows publishes one rule per postal code and finds the last of them live. What is promised is 100,000 in three
// seconds (TORTURE=full measures it); a busy machine in CI gets a smaller number and more time.
func TestApply_PublishesManyRows(t *testing.T) {
	t.Parallel()
	n, limit := 5_000, 10*time.Second
	if os.Getenv("TORTURE") == "full" {
		n, limit = 100_000, 3*time.Second
	}
	text, db := []byte(postalRows(n)), pgtest.New(t)
	start := time.Now()
	cfg, problems := playbook.Parse("rows.yaml", text)
	if cfg == nil {
		t.Fatal(problems[0])
	}
	parsed := time.Since(start)
	if problems := playbook.Check(cfg); len(problems) > 0 {
		t.Fatal(problems[0])
	}
	checked := time.Since(start)
	if _, _, err := playbook.Apply(t.Context(), db, cfg, "test", "", false); err != nil {
		t.Fatal(err)
	}
	published := time.Since(start)
	t.Logf("%d rows: parsed %v, compiled and checked %v, published %v", n, parsed, checked-parsed, published-checked)
	if taken := published - parsed; taken > limit {
		t.Errorf("compiling and publishing %d rows took %v", n, taken)
	}
	live := playbook.NewLive(db, os.LookupEnv, slog.New(slog.DiscardHandler))
	if err := live.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	last := n - 1
	if d := live.Current().Table.Decide(routing.Facts{Country: "DE", PostalCode: fmt.Sprintf("%06d", last)}, time.Now()); d.Rule != fmt.Sprintf("Row %d", last) || d.Version != 1 {
		t.Errorf("%+v", d)
	}
}
