package playbook_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"leadline/internal/fault"
	"leadline/internal/playbook"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

const turns = `version: 1
forms: [{slug: demo}]
calendars:
  - {slug: berlin, days: [2026-12-26, 2026-12-25, "2026-12-24  12:00-24:00", 2026-12-25]}
reps:
  - {email: mia@example.com, name: Mia, timezone: Europe/Berlin, calendars: [berlin], from: 2026-01-05, until: 2027-06-30, tags: [german, enterprise]}
  - {email: ben@example.com, name: Ben}
pools:
  - slug: dach
    needs: [german]
    group: sales
    sticky: company
    reentry: {policy: catch_up, after: 72h, most: 3, within: 48h}
    credit: {bad_lead: 0.5, no_show: 0.5, cancelled: 0}
    members:
      - {rep: mia@example.com, tier: first, cap: {open: 5, reserve_hot: 2, offers: 2, uncontacted: 4, per_hour: 6, per_day: 30, per_week: 100}}
      - {rep: ben@example.com, tier: overflow, ramp: {from: 2026-11-01, days: 30}}
  - {slug: rest, members: [{rep: mia@example.com}], reentry: {policy: mean, after: 168h}, credit: {bad_lead: 1}}
rules: [{name: all, band: default, then: {pool: dach}}]
`

func TestTurns_EveryKeyHasItsEffectAndIsWrittenBackToTheByte(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	apply(t, db, turns)
	first := export(t, db)
	if version, changed := apply(t, db, string(first)); version != 1 || changed {
		t.Errorf("applying what was exported made version %d:\n%s", version, first)
	}
	if second := export(t, db); !bytes.Equal(first, second) {
		t.Errorf("exports differ:\n%s\n%s", first, second)
	}
	for _, gone := range []string{"tier: first", "policy: mean", "168h", "bad_lead: 1}", "cancelled"} {
		if bytes.Contains(first, []byte(gone)) {
			t.Errorf("the default %q is written:\n%s", gone, first)
		}
	}
	cfg, problems := playbook.Parse("turns", first)
	if playbook.Failed(problems) {
		t.Fatal(problems)
	}
	p := cfg.Pools[0]
	mia := routing.Member{
		Rep: "mia@example.com", Weight: 1, Limits: routing.Limits{Cap: routing.Caps{Open: 5, ReserveHot: 2, Offers: 2, Uncontacted: 4, PerHour: 6, PerDay: 30, PerWeek: 100}},
	}
	ben := routing.Member{Rep: "ben@example.com", Weight: 1, Overflow: true, Ramp: routing.Ramp{From: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Days: 30}}
	if p.Members[0] != mia || p.Members[1] != ben {
		t.Errorf("members: %+v", p.Members)
	}
	want := routing.Reentry{Policy: routing.CatchUp, After: 72 * time.Hour, Most: 3, Within: 48 * time.Hour}
	if p.Reentry != want || p.TurnsKey() != "group:sales" || !p.Sticky || p.BadLead != 0.5 || p.NoShow != 0.5 || p.Cancelled != 0 || !slices.Equal(p.Needs, []string{"german"}) {
		t.Errorf("pool: %+v", p)
	}

	live := playbook.NewLive(db, func(string) (string, bool) { return "", false }, slog.New(slog.DiscardHandler))
	if err := live.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	who, err := rep.NewStore(db.Gorm).ByEmail(context.Background(), "mia@example.com")
	if err != nil || !who.HasTag("german") || who.HasTag("ger") {
		t.Errorf("%+v, %v", who, err)
	}
	for at, code := range map[string]rep.Code{
		"2026-12-24T10:59:00Z": rep.Able, "2026-12-24T11:00:00Z": rep.OnHoliday, "2026-12-25T22:59:00Z": rep.OnHoliday, "2026-12-26T23:00:00Z": rep.Able,
		"2027-06-30T21:59:00Z": rep.Able, "2027-06-30T22:00:00Z": rep.Ended, "2026-01-04T22:59:00Z": rep.NotStarted,
	} {
		moment, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := live.Roster().At(who, moment); got.Code != code {
			t.Errorf("at %s: %q, want %q", at, got.Code, code)
		}
	}
	without, _ := playbook.Parse("without", []byte(strings.Replace(strings.Replace(turns, "slug: berlin", "slug: other", 1), "calendars: [berlin], ", "calendars: [other], ", 1)))
	if _, _, err := playbook.Apply(context.Background(), db, without, "test", "", false); err != nil {
		t.Errorf("another calendar for everybody: %v", err)
	}
	none, _ := playbook.Parse("none", []byte(turns[:strings.Index(turns, "calendars:")]+"pools: [{slug: p, members: [{rep: mia@example.com}]}]\nrules: [{name: all, band: default, then: {pool: p}}]\n"))
	if _, _, err := playbook.Apply(context.Background(), db, none, "test", "", false); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "mia@example.com has other") {
		t.Errorf("a calendar that somebody has was left out: %v", err)
	}
}

func TestTurns_EachMistakeIsFoundWithItsCode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ was, is, code, path string }{
		{"2026-12-26", "26.12.2026", "day", "calendars[0].days[0]"},
		{"12:00-24:00", "22:00-06:00", "day", "calendars[0].days[2]"},
		{"slug: berlin", "slug: Berlin", "format", "calendars[0].slug"},
		{"calendars: [berlin]", "calendars: [berln]", "unknown", "reps[0].calendars"},
		{"from: 2026-01-05", "from: soon", "day", "reps[0].from"},
		{"until: 2027-06-30", "until: 2025-06-30", "order", "reps[0].until"},
		{"tags: [german", "tags: [Sehr Deutsch", "format", "reps[0].tags"},
		{"needs: [german]", "needs: [sehr deutsch]", "format", "pools[0].needs"},
		{"group: sales", "group: Sales!", "format", "pools[0].group"},
		{"sticky: company", "sticky: person", "unknown", "pools[0].sticky"},
		{"policy: catch_up", "policy: flood", "unknown", "pools[0].reentry.policy"},
		{"policy: catch_up, after", "policy: none, after", "unused", "pools[0].reentry"},
		{"after: 72h", "after: 1m", "duration", "pools[0].reentry.after"},
		{"most: 3", "most: 100", "range", "pools[0].reentry.most"},
		{"bad_lead: 0.5", "bad_lead: 9", "range", "pools[0].credit.bad_lead"},
		{"no_show: 0.5", "no_show: -1", "range", "pools[0].credit.no_show"},
		{"cancelled: 0", "cancelled: 3.1", "range", "pools[0].credit.cancelled"},
		{"tier: overflow", "tier: third", "unknown", "pools[0].members[1].tier"},
		{"days: 30", "days: 0", "range", "pools[0].members[1].ramp.days"},
		{"ramp: {from: 2026-11-01, days: 30}", "ramp: {days: 30}", "missing", "pools[0].members[1].ramp"},
		{"reserve_hot: 2", "reserve_hot: 5", "range", "pools[0].members[0].cap.reserve_hot"},
		{"per_hour: 6", "per_hour: 0", "range", "pools[0].members[0].cap.per_hour"},
	} {
		text := strings.Replace(turns, c.was, c.is, 1)
		if text == turns {
			t.Fatalf("%q is not in the text", c.was)
		}
		_, problems := playbook.Parse("turns.yaml", []byte(text))
		found := slices.ContainsFunc(problems, func(p playbook.Problem) bool { return p.Code == c.code && p.Path == c.path && p.Line > 0 })
		if !found {
			t.Errorf("%s: want %s at %s, got %v", c.is, c.code, c.path, problems)
		}
	}
}
