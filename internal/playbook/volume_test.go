package playbook_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/playbook"
	"leadline/internal/postgres/pgtest"
)

// TestCheckVolume_CountsWhatTheNewRulesWouldHaveSent decides the leads of the last week again: those of before count for nothing, and a pool
// in which somebody has no limit carries everything.
func TestCheckVolume_CountsWhatTheNewRulesWouldHaveSent(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	at := func(age time.Duration) uuid.UUID {
		id, ms := uuid.Must(uuid.NewV7()), time.Now().Add(-age).UnixMilli()
		for i := range 6 {
			id[i] = byte(ms >> (40 - 8*i))
		}
		return id
	}
	decided := func(n int, country string, age time.Duration) {
		for range n {
			trace := fmt.Sprintf(`{"facts": {"form": "demo", "intent": "high", "country": %q, "accepted_at": %q}}`, country, time.Now().Add(-age).UTC().Format(time.RFC3339))
			_, err := db.Jobs.Exec(t.Context(), `INSERT INTO decision (lead_id, version, rule, pool, trace) VALUES ($1, 1, 'old', 'gone', $2)`, at(age), trace)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	decided(11, "FR", 3*24*time.Hour)
	decided(5, "FR", 8*24*time.Hour)
	decided(20, "DE", time.Hour)
	text := func(perDay int) string {
		return fmt.Sprintf(`version: 1
forms: [{slug: demo}]
reps:
  - {email: mia@example.com, name: Mia, hours: "Mon-Fri 09:00-17:00"}
  - {email: sam@example.com, name: Sam}
pools:
  - {slug: france, members: [{rep: mia@example.com, cap: {per_day: %d}}]}
  - {slug: rest, members: [{rep: mia@example.com, cap: {per_day: 1}}, {rep: sam@example.com}]}
rules:
  - {name: France, when: {country: FR}, then: {pool: france}}
  - {name: All, band: default, then: {pool: rest}}
`, perDay)
	}
	for perDay, want := range map[int]string{2: "may take 10 leads a week, but 11 came", 3: ""} {
		cfg, problems := playbook.Parse("x.yaml", []byte(text(perDay)))
		if cfg == nil {
			t.Fatal(problems)
		}
		found, err := playbook.CheckVolume(context.Background(), db, cfg)
		switch {
		case err != nil:
			t.Error(err)
		case want == "" && len(found) > 0:
			t.Errorf("%d a day: %v", perDay, found)
		case want != "" && (len(found) != 1 || found[0].Code != "volume" || !found[0].Warning || found[0].Line != 7 || !strings.Contains(found[0].Message, want)):
			t.Errorf("%d a day: %v", perDay, found)
		}
	}
}
