package playbook_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"leadline/internal/playbook"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/routing"
)

const limits = `version: 1
forms: [{slug: demo}]
calendars:
  - {slug: berlin, days: ["2026-12-24 12:00-24:00", 2026-12-25]}
  - {slug: feast, days: [2026-12-26]}
groups:
  - {slug: sales, timezone: Europe/Berlin, cap: {per_week: 200}, cap_points: {per_day: 90, open: 40, reserve_hot: 5}}
reps:
  - {email: mia@example.com, name: Mia, tags: [german, licence-by]}
pools:
  - slug: dach
    hours: "Mon-Fri 09:00-17:00"
    timezone: Europe/Berlin
    calendars: [feast, berlin, feast]
    cap: {per_hour: 6, per_day: 30, open: 20}
    cap_points: {per_week: 300}
    group: sales
    members:
      - {rep: mia@example.com, cap: {open: 5}, cap_points: {open: 9, per_day: 12}}
  - {slug: rest, timezone: America/New_York, calendars: [berlin], members: [{rep: mia@example.com}]}
rules:
  - {name: enterprise, when: {country: DE}, then: {pool: dach, needs: [licence-by, german], points: 5}}
  - {name: small, when: {country: AT}, then: {pool: dach, points: 1}}
  - {name: all, band: default, then: {pool: rest}}
`

func TestLimits_EveryKeyHasItsEffectAndIsWrittenBackToTheByte(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	apply(t, db, limits)
	first := export(t, db)
	if version, changed := apply(t, db, string(first)); version != 1 || changed {
		t.Errorf("applying what was exported made version %d:\n%s", version, first)
	}
	if second := export(t, db); !bytes.Equal(first, second) || bytes.Contains(first, []byte("points: 1}")) {
		t.Errorf("exports differ, or say a default:\n%s\n%s", first, second)
	}
	cfg, problems := playbook.Parse("limits", first)
	if playbook.Failed(problems) {
		t.Fatal(problems)
	}
	table, found := cfg.Table(1)
	if table == nil {
		t.Fatal(found)
	}
	p := table.Pool("dach")
	want := routing.Quota{
		Limits:   routing.Limits{Cap: routing.Caps{PerHour: 6, PerDay: 30, Open: 20}, CapPoints: routing.Caps{PerWeek: 300}},
		Timezone: "Europe/Berlin",
	}
	group := routing.Quota{
		Limits:   routing.Limits{Cap: routing.Caps{PerWeek: 200}, CapPoints: routing.Caps{PerDay: 90, Open: 40, ReserveHot: 5}},
		Timezone: "Europe/Berlin",
	}
	mia := routing.Limits{Cap: routing.Caps{Open: 5}, CapPoints: routing.Caps{Open: 9, PerDay: 12}}
	if p.Quota != want || p.GroupQuota != group || p.Members[0].Limits != mia || !slices.Equal(p.Quotas(), []string{"dach", "group:sales"}) {
		t.Errorf("the pool has %+v, its group %+v, mia %+v", p.Quota, p.GroupQuota, p.Members[0].Limits)
	}
	d := table.Decide(routing.Facts{Country: "DE"}, time.Now())
	if d.Points != 5 || !slices.Equal(d.Needs, []string{"german", "licence-by"}) {
		t.Errorf("decided %+v", d)
	}
	if d := table.Decide(routing.Facts{Country: "AT"}, time.Now()); d.Points != 0 || len(d.Needs) > 0 {
		t.Errorf("one point is nothing to be told: %+v", d)
	}
	for _, c := range []struct {
		pool, at      string
		open, holiday bool
	}{
		{"dach", "2026-12-24T10:59:00Z", true, false},
		{"dach", "2026-12-24T11:00:00Z", false, true},
		{"dach", "2026-12-25T22:59:00Z", false, true},
		{"dach", "2026-12-26T10:00:00Z", false, true},
		{"dach", "2026-12-27T10:00:00Z", false, false},
		{"dach", "2026-12-28T08:00:00Z", true, false},
		{"rest", "2026-12-24T16:59:00Z", true, false},
		{"rest", "2026-12-24T17:00:00Z", false, true},
		{"rest", "2026-12-26T04:59:00Z", false, true},
		{"rest", "2026-12-26T05:00:00Z", true, false},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if h := table.Pool(c.pool).Hours; h.Open(at) != c.open || h.OnHoliday(at) != c.holiday {
			t.Errorf("%s at %s: open %v, holiday %v", c.pool, c.at, h.Open(at), h.OnHoliday(at))
		}
	}
}

func TestLimits_EachMistakeIsFoundWithItsCode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ was, is, code, path string }{
		{"calendars: [feast, berlin, feast]", "calendars: [fest]", "unknown", "pools[0].calendars"},
		{"cap: {per_hour: 6,", "cap: {per_hour: 0,", "range", "pools[0].cap.per_hour"},
		{"cap_points: {per_week: 300}", "cap_points: {per_week: -1}", "range", "pools[0].cap_points.per_week"},
		{"cap_points: {open: 9,", "cap_points: {open: 9, reserve_hot: 9,", "range", "pools[0].members[0].cap_points.reserve_hot"},
		{"reserve_hot: 5", "reserve_hot: 40", "range", "groups[0].cap_points.reserve_hot"},
		{"cap: {per_week: 200}, cap_points: {per_day: 90, open: 40, reserve_hot: 5}", "cap: {}", "missing", "groups[0]"},
		{"slug: sales, timezone: Europe/Berlin", "slug: sales, timezone: Europe/Berln", "timezone", "groups[0].timezone"},
		{"- {slug: sales,", "- {slug: Sales,", "format", "groups[0].slug"},
		{"points: 5", "points: 1001", "range", "rules[0].then.points"},
		{"needs: [licence-by,", "needs: [Licence BY,", "format", "rules[0].then.needs"},
	} {
		text := strings.Replace(limits, c.was, c.is, 1)
		if text == limits {
			t.Fatalf("%q is not in the text", c.was)
		}
		_, problems := playbook.Parse("limits.yaml", []byte(text))
		found := slices.ContainsFunc(problems, func(p playbook.Problem) bool { return p.Code == c.code && p.Path == c.path && p.Line > 0 })
		if !found {
			t.Errorf("%s: want %s at %s, got %v", c.is, c.code, c.path, problems)
		}
	}
	tied := strings.Replace(limits, "  - {name: small", "  - {name: other, when: {country: DE}, then: {pool: dach, points: 4}}\n  - {name: small", 1)
	cfg, problems := playbook.Parse("limits.yaml", []byte(tied))
	if cfg == nil {
		t.Fatal(problems)
	}
	if found := playbook.Check(cfg); !slices.ContainsFunc(found, func(p playbook.Problem) bool { return p.Code == "tie" }) {
		t.Errorf("two rules that differ in points alone are no tie: %v", found)
	}
}
