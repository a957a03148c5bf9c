package playbook_test

import (
	"strings"
	"testing"
	"time"

	"leadline/internal/playbook"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/rep"
)

func found(problems []playbook.Problem, code string) (messages []string) {
	for _, p := range problems {
		if p.Code == code {
			messages = append(messages, p.Path+": "+p.Message)
		}
	}
	return messages
}

// Germany and New York change their clocks on different Sundays: for a week lunch in one is not covered from the other, as it is all year.
func TestCheckDates_KnowsWhenClocksChangeElsewhere(t *testing.T) {
	t.Parallel()
	cfg := parse(t, `version: 1
forms: [{slug: demo}]
reps: [{email: ny@example.com, name: Nye, timezone: America/New_York, hours: "Mon-Fri 09:00-17:00"}]
pools: [{slug: p, hours: "Mon-Fri 15:00-23:00", timezone: Europe/Berlin, members: [{rep: ny@example.com}]}]
rules: [{name: all, band: default, then: {pool: p}}]
`)
	for moment, want := range map[string]string{
		"2026-01-05T00:00:00Z": "", "2026-11-02T00:00:00Z": "",
		"2026-10-20T00:00:00Z": "in 5h of its open hours within the next 14 days, from Mon 26 Oct 22:00 on",
		"2026-03-05T00:00:00Z": "in 8h of its open hours within the next 14 days, from Mon 9 Mar 22:00 on",
	} {
		at, err := time.Parse(time.RFC3339, moment)
		if err != nil {
			t.Fatal(err)
		}
		got := found(playbook.CheckDates(cfg, at), "no_cover_soon")
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0], want)) {
			t.Errorf("at %s: %v, want %q", moment, got, want)
		}
	}
}

func TestCheckStored_KnowsWhoIsAwayAndWhoIsNotInTheText(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	store := rep.NewStore(db.Gorm)
	if _, err := store.Upsert(ctx, []rep.Rep{
		{Email: "ben@example.com", Name: "Ben", Active: true, Timezone: "UTC", Tags: "german"}, {Email: "eve@example.com", Name: "Eve", Active: true, Timezone: "UTC"},
	}); err != nil {
		t.Fatal(err)
	}
	const text = `version: 1
forms: [{slug: demo}]
reps: [{email: eve@example.com, name: Eve}]
pools:
  - {slug: de, members: [{rep: ben@example.com}]}
  - {slug: rest, members: [{rep: eve@example.com}, {rep: ben@example.com}]}
rules:
  - {name: german, when: {country: DE}, then: {pool: de, needs: [german]}}
  - {name: french, when: {country: FR}, then: {pool: rest, needs: [french]}}
  - {name: all, band: default, then: {pool: rest}}
`
	cfg, problems := playbook.Parse("text", []byte(text))
	if cfg == nil {
		t.Fatal(problems)
	}
	said := playbook.Check(cfg)
	stored := func() []playbook.Problem {
		t.Helper()
		problems, err := playbook.CheckStored(ctx, db, cfg, said)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			if !p.Warning || p.Line == 0 || p.Remedy == "" {
				t.Errorf("%+v", p)
			}
		}
		return problems
	}
	if got := found(said, "needs_unmet"); len(got) > 0 {
		t.Errorf("of people whom the text does not know it says %v", got)
	}
	if got := found(stored(), "needs_unmet"); len(got) != 1 || !strings.HasPrefix(got[0], `rules[1].then.needs: rule "french" needs french`) {
		t.Errorf("needs: %v", got)
	}
	ben, err := store.ByEmail(ctx, "ben@example.com")
	if err != nil {
		t.Fatal(err)
	}
	from := time.Now().Add(25 * time.Hour).Truncate(time.Minute)
	if _, _, err := store.AddAbsence(ctx, rep.Absence{RepID: ben.ID, Kind: rep.Leave, From: from, Until: from.Add(90 * time.Minute)}); err != nil {
		t.Fatal(err)
	}
	got := found(stored(), "no_cover_soon")
	if len(got) != 1 || !strings.Contains(got[0], "1h30m of its open hours") || !strings.HasPrefix(got[0], "pools[0]: ") {
		t.Errorf("ben's leave of an hour and a half: %v", got)
	}
	said = append(said, stored()...)
	if more := stored(); len(more) > 0 {
		t.Errorf("said twice: %v", more)
	}
}

// Of people whom the text does not know the database is asked; what it says is an error, which nobody can acknowledge.
func TestCheckStored_RunsGoldenLeadsOfPeopleWhomOnlyTheDatabaseKnows(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	if _, err := rep.NewStore(db.Gorm).Upsert(ctx, []rep.Rep{
		{Email: "dana@example.com", Name: "Dana", Active: true, Timezone: "UTC"}, {Email: "ben@example.com", Name: "Ben", Active: true, Timezone: "UTC"},
	}); err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]int{"ben@example.com": 0, "dana@example.com": 1} {
		cfg, problems := playbook.Parse("text", []byte(`version: 1
forms: [{slug: demo}]
pools: [{slug: all, members: [{rep: dana@example.com}, {rep: ben@example.com}]}]
rules: [{name: all, band: default, then: {pool: all}}]
tests: [{name: With Dana away this goes to Ben, lead: {form: demo, email: a@acme.example}, at: 2026-12-01T10:00:00Z, with: {away: [dana@example.com]}, expect: {to: `+to+`}}]
`))
		if cfg == nil {
			t.Fatal(problems)
		}
		said := playbook.Check(cfg)
		if playbook.Failed(said) {
			t.Errorf("the text alone cannot know: %v", said)
		}
		stored, err := playbook.CheckStored(ctx, db, cfg, said)
		if err != nil {
			t.Fatal(err)
		}
		if got := found(stored, "golden"); len(got) != want || playbook.Failed(stored) != (want > 0) {
			t.Errorf("%s: %v", to, stored)
		}
	}
}
