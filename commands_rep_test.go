package main

import (
	"regexp"
	"strings"
	"testing"
)

const repPlaybook = `version: 1
forms: [{slug: demo}]
reps: [{email: mia@example.com, name: Mia, timezone: Asia/Kathmandu}]
pools: [{slug: p, members: [{rep: mia@example.com}]}]
rules: [{name: all, band: default, then: {pool: p}}]
`

func TestRepCommands_NoteAbsencesAndWhoIsActive(t *testing.T) {
	t.Parallel()
	o := newTerminal(t)
	if code, _, problems := o.run("", "migrate"); code != 0 {
		t.Fatal(problems)
	}
	if code, _, problems := o.run(repPlaybook, "apply", "-"); code != 0 {
		t.Fatal(problems)
	}
	code, out, problems := o.run("", "rep", "away", "--email", "mia@example.com", "--from", "2026-12-01 14:00", "--until", "2026-12-02")
	if code != 0 || !strings.Contains(out, "from 2026-12-01 14:00 until 2026-12-03 00:00 (Asia/Kathmandu)") {
		t.Fatalf("away: %d %s%s", code, out, problems)
	}
	id := regexp.MustCompile(`[0-9a-f-]{36}`).FindString(out)
	if _, out, _ = o.run("", "rep", "absences", "--email", "mia@example.com"); !strings.Contains(out, id+"  leave  2026-12-01 08:15 UTC  2026-12-02 18:15 UTC") {
		t.Errorf("absences: %s", out)
	}
	if code, _, problems = o.run("", "rep", "away", "--email", "mia@example.com", "--from", "soon"); code != 2 || !strings.Contains(problems, `"soon" is no time`) {
		t.Errorf("a time that is none: %d %s", code, problems)
	}
	if code, _, problems = o.run("", "rep", "away", "--email", "ben@example.com"); code != 1 || !strings.Contains(problems, "no such rep") {
		t.Errorf("nobody: %d %s", code, problems)
	}
	for range 2 {
		code, _, problems = o.run("", "rep", "back", "--email", "mia@example.com", "--id", id)
	}
	if code != 1 || !strings.Contains(problems, "no such absence") {
		t.Errorf("taken back twice: %d %s", code, problems)
	}
	if code, out, problems = o.run("", "rep", "deactivate", "--email", "mia@example.com"); code != 0 || !strings.Contains(out, "takes no leads any more") {
		t.Errorf("deactivate: %d %s%s", code, out, problems)
	}
	if _, out, _ = o.run("", "export"); !strings.Contains(out, "active: false") {
		t.Errorf("deactivated, but exported as\n%s", out)
	}
	if code, out, problems = o.run("", "rep", "activate", "--email", "mia@example.com"); code != 0 || !strings.Contains(out, "takes leads again") {
		t.Errorf("activate: %d %s%s", code, out, problems)
	}
	// Whose account is closed takes no leads, and no text changes that.
	if code, _, problems = o.run("", "user", "add", "--email", "mia@example.com", "--role", "rep"); code != 0 {
		t.Fatal(problems)
	}
	if code, _, problems = o.run("", "user", "disable", "--email", "mia@example.com"); code != 0 {
		t.Fatal(problems)
	}
	if code, _, problems = o.run(repPlaybook, "apply", "-"); code != 0 {
		t.Fatal(problems)
	}
	if _, out, _ = o.run("", "export"); !strings.Contains(out, "active: false") {
		t.Errorf("the account is closed, but exported as\n%s", out)
	}
}
