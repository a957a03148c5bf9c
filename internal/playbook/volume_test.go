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

// Each limit is set to just what the leads of last week need, and to a little less.
func TestCheckVolume_LooksAtEveryLimitOfMembersPoolsAndGroups(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := db.Jobs.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	id := func(age time.Duration) uuid.UUID {
		id, ms := uuid.Must(uuid.NewV7()), time.Now().Add(-age).UnixMilli()
		for i := range 6 {
			id[i] = byte(ms >> (40 - 8*i))
		}
		return id
	}
	for i := range 80 { // 40 leads from France of three points each, 40 others
		exec(`INSERT INTO decision (lead_id, version, rule, pool, trace) VALUES ($1, 1, 'old', 'gone', $2)`, id(time.Duration(i)*time.Hour),
			fmt.Sprintf(`{"facts": {"form": "demo", "intent": "high", "country": %q, "accepted_at": "2026-11-20T10:00:00Z"}}`, []string{"FR", "DE"}[i%2]))
	}
	rep, lead := uuid.Must(uuid.NewV7()), id(time.Hour) // offered for an hour, in hand for three
	exec(`INSERT INTO rep (id, email, name) VALUES ($1, 'old@example.com', 'Old')`, rep)
	exec(`INSERT INTO lead (id, correlation_id, form, intent, stage, rep_id, claimed_at, first_touch_at, node, dispatch_lease)
		VALUES ($1::uuid, $1::uuid::text, 'demo', 'high', 'contacted', $2, clock_timestamp() - interval '1 day', clock_timestamp() - interval '21 hours', 0, clock_timestamp())`, lead, rep)
	exec(`INSERT INTO offer (lead_id, attempt, kind, rung, pool, rep_id, state, cause, offered_at, ended_at)
		SELECT id, 1, 'exclusive', 'turn', 'x', rep_id, 'accepted', 'first', claimed_at - interval '1 hour', claimed_at FROM lead WHERE id = $1`, lead)
	text := func(member, pool, group string) string {
		return fmt.Sprintf(`version: 1
forms: [{slug: demo}]
groups: [{slug: all, cap: {per_week: 500}, cap_points: {per_week: 500}%s}]
reps: [{email: mia@example.com, name: Mia, hours: "Mon-Fri 09:00-17:00"}]
pools:
  - {slug: france, group: all, hours: "Mon-Fri 09:00-17:00"%s, members: [{rep: mia@example.com%s}]}
  - {slug: rest, group: all, members: [{rep: mia@example.com}]}
rules:
  - {name: France, when: {country: FR}, then: {pool: france, points: 3}}
  - {name: All, band: default, then: {pool: rest}}
`, group, pool, member)
	}
	for _, c := range []struct{ place, enough, less, path, want string }{
		{"member", "cap: {per_week: 40}", "cap: {per_week: 39}", "pools[0].members", "its members may take 39 leads a week, but 40 came"},
		{"member", "cap: {per_day: 8}", "cap: {per_day: 7}", "pools[0].members", "may take 35 leads"},
		{"member", "cap: {per_hour: 1}", "cap: {per_hour: 1, per_day: 1}", "pools[0].members", "may take 5 leads"},
		{"member", "cap: {open: 4}", "cap: {open: 3}", "pools[0].members", "may take 30 leads"},               // each for four of 40 hours
		{"member", "cap: {uncontacted: 3}", "cap: {uncontacted: 2}", "pools[0].members", "may take 27 leads"}, // each for three
		{"member", "cap: {offers: 1}", "cap: {offers: 1, per_week: 1}", "pools[0].members", "may take 1 leads"},
		{"member", "cap_points: {per_week: 120}", "cap_points: {per_week: 119}", "pools[0].members", "119 points a week, but leads of 120 points came"},
		{"member", "cap_points: {open: 12}", "cap_points: {open: 11}", "pools[0].members", "may take 110 points"},
		{"pool", "cap: {per_day: 8}", "cap: {per_day: 7}", "pools[0].cap", `pool "france" may take 35 leads a week, but 40 came`},
		{"pool", "cap_points: {per_hour: 3}", "cap_points: {per_hour: 2}", "pools[0].cap", "may take 80 points"},
		{"group", "cap: {per_week: 80}", "cap: {per_week: 79}", "groups[0]", `group "all" may take 79 leads a week, but 80 came`},
		{"group", "cap_points: {per_week: 160}", "cap_points: {per_week: 159}", "groups[0]", "159 points a week, but leads of 160 points came"},
	} {
		found := func(limit string) []playbook.Problem {
			t.Helper()
			of := map[string]string{c.place: ", " + limit}
			written := text(of["member"], of["pool"], of["group"])
			if c.place == "group" {
				written = strings.Replace(written, ", cap: {per_week: 500}, cap_points: {per_week: 500}", "", 1)
			}
			cfg, problems := playbook.Parse("x.yaml", []byte(written))
			if cfg == nil {
				t.Fatal(problems)
			}
			found, err := playbook.CheckVolume(t.Context(), db, cfg)
			if err != nil {
				t.Fatal(err)
			}
			return found
		}
		if f := found(c.enough); len(f) > 0 {
			t.Errorf("%s of a %s is said to be too little: %v", c.enough, c.place, f)
		}
		if f := found(c.less); len(f) != 1 || f[0].Code != "volume" || f[0].Path != c.path || f[0].Line == 0 || !strings.Contains(f[0].Message, c.want) {
			t.Errorf("%s of a %s: %v, want %q at %s", c.less, c.place, f, c.want, c.path)
		}
	}
}
