package playbook_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"leadline/internal/playbook"
	"leadline/internal/routing"
)

// TestStages_EveryKeyHasItsMeaningAndIsWrittenBackToTheByte also shows what is written otherwise than it was: the order of claims, defaults
// and capitals.
func TestStages_EveryKeyHasItsMeaningAndIsWrittenBackToTheByte(t *testing.T) {
	t.Parallel()
	all := routing.OwnerKinds
	for _, c := range []struct {
		text, canonical string
		want            routing.Stages
	}{
		{"", "", routing.Stages{Owner: routing.Owner{Absent: routing.AbsentPool}}},
		{"repeat: route\n", "", routing.Stages{Owner: routing.Owner{Absent: routing.AbsentPool}}},
		{"repeat: attach\n", "repeat: attach\n", routing.Stages{Attach: true, Owner: routing.Owner{Absent: routing.AbsentPool}}},
		{
			"owner: {match: [company, person, contact, account], within_days: 30, absent: pool}\n", "owner: {match: [person, contact, account, company], within_days: 30}\n",
			routing.Stages{Owner: routing.Owner{Match: all, Within: 30 * 24 * time.Hour, Absent: routing.AbsentPool}},
		},
		{
			"owner: {match: person, absent: wait}\n", "owner: {match: [person], absent: wait}\n",
			routing.Stages{Owner: routing.Owner{Match: all[:1], Absent: routing.AbsentWait, Wait: 2 * time.Minute}},
		},
		{
			"owner: {match: [person], absent: wait, wait: 90s}\n", "owner: {match: [person], absent: wait, wait: 1m30s}\n",
			routing.Stages{Owner: routing.Owner{Match: all[:1], Absent: routing.AbsentWait, Wait: 90 * time.Second}},
		},
		{
			"owner: {match: [person], absent: substitute, substitutes: [{rep: Mia@example.com, by: sam@example.com}]}\n",
			"owner: {match: [person], absent: substitute, substitutes: [{rep: mia@example.com, by: sam@example.com}]}\n",
			routing.Stages{Owner: routing.Owner{Match: all[:1], Absent: routing.AbsentSubstitute, Substitutes: map[string]string{"mia@example.com": "sam@example.com"}}},
		},
	} {
		cfg, problems := playbook.Parse("x.yaml", []byte(strings.Replace(minimal, "rules:", c.text+"rules:", 1)))
		if cfg == nil {
			t.Errorf("%s: %v", c.text, problems)
			continue
		}
		got := cfg.Stages
		if got.Attach != c.want.Attach || !slices.Equal(got.Owner.Match, c.want.Owner.Match) || got.Owner.Within != c.want.Owner.Within ||
			got.Owner.Absent != c.want.Owner.Absent || got.Owner.Wait != c.want.Owner.Wait || !maps.Equal(got.Owner.Substitutes, c.want.Owner.Substitutes) {
			t.Errorf("%s: means %+v, want %+v", c.text, got, c.want)
		}
		for _, key := range []string{"repeat:", "owner:"} {
			written, wanted := lineOf(string(cfg.Canonical()), key), lineOf(c.canonical, key)
			if written != wanted {
				t.Errorf("%s: written as %q, want %q", c.text, written, wanted)
			}
		}
		again, problems := playbook.Parse("y.yaml", cfg.Canonical())
		if again == nil || string(again.Canonical()) != string(cfg.Canonical()) {
			t.Errorf("%s: changes when it is read again: %v", c.text, problems)
		}
	}
}

// lineOf is the line of a text that begins with a key; empty: none does.
func lineOf(text, key string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, key) {
			return line
		}
	}
	return ""
}
