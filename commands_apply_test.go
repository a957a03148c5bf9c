package main

import (
	"strings"
	"testing"
)

const rankedPlaybook = `version: 1
forms: [{slug: demo}]
reps: [{email: mia@example.com, name: Mia}]
pools: [{slug: p, members: [{rep: mia@example.com}]}, {slug: q, members: [{rep: mia@example.com}]}]
rules:
  - {name: France, priority: 1, when: {country: FR}, then: {pool: q}}
  - {name: French too, when: {country: FR}, then: {pool: p}}
  - {name: All, band: default, then: {pool: p}}
tests:
  - {name: Paris, lead: {form: demo, country: FR}, expect: {pool: q}}
`

func TestApply_WarningsStopItUntilTheyAreAcknowledged(t *testing.T) {
	t.Parallel()
	o := newTerminal(t)
	for _, c := range []struct {
		want int
		says string
		args []string
	}{
		{0, "no test watches \"French too\", \"All\"", []string{"check", "-"}},
		{1, "2 of the warnings above are not acknowledged; change the text, or add --ack priority,shadowed", []string{"apply", "-"}},
		{1, "1 of the warnings above", []string{"apply", "-", "--ack", "priority"}},
		{1, "1 of the warnings above", []string{"apply", "-", "--ack", "priority,shadowed:rules[0]"}},
		{0, "Version 1 is live.", []string{"apply", "-", "--ack", "priority,shadowed:rules[1]"}},
		{0, "Golden leads notice changes to 1 of 3 rules (33 %)", []string{"apply", "-", "--ack", "shadowed,priority"}},
	} {
		code, out, problems := o.run(rankedPlaybook, c.args...)
		if code != c.want || !strings.Contains(out+problems, c.says) {
			t.Errorf("leadline %s: %d\n%s%s", strings.Join(c.args, " "), code, out, problems)
		}
	}
}
