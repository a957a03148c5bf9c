package playbook_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"leadline/internal/playbook"
	"leadline/internal/routing"
)

// problemsOf is everything that is said of a configuration without a database.
func problemsOf(t *testing.T, file string) (text string, problems []playbook.Problem) {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cfg, problems := playbook.Parse(filepath.Base(file), src)
	if cfg != nil {
		problems = append(problems, playbook.Check(cfg)...)
		problems = append(problems, playbook.CheckDates(cfg, time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC))...)
	}
	return string(src), problems
}

func corpus(t *testing.T, kind string, least int) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/corpus/" + kind + "/*.yaml")
	if err != nil || len(files) < least {
		t.Fatalf("%d files, want at least %d: %v", len(files), least, err)
	}
	return files
}

// TestCheck_FindsEveryPlantedFault reads configurations that are fine but for one thing. Each names the code of the finding in its first
// line, and what is found must tell where and what to do.
func TestCheck_FindsEveryPlantedFault(t *testing.T) {
	t.Parallel()
	for _, file := range corpus(t, "faulty", 40) {
		text, problems := problemsOf(t, file)
		first, _, _ := strings.Cut(text, "\n")
		code := strings.TrimPrefix(first, "# expects: ")
		i := slices.IndexFunc(problems, func(p playbook.Problem) bool { return p.Code == code })
		if i < 0 {
			t.Errorf("%s: no finding %s among %v", file, code, problems)
			continue
		}
		if p := problems[i]; p.File == "" || p.Message == "" || p.Remedy == "" && code != "golden" {
			t.Errorf("%s: a finding without a place, a sentence or a remedy: %+v", file, p)
		}
		for _, p := range problems {
			if p.Code != code && !p.Warning {
				t.Errorf("%s: another error: %v", file, p)
			}
		}
	}
}

func TestCheck_SaysNothingOfWhatIsFine(t *testing.T) {
	t.Parallel()
	for _, file := range corpus(t, "clean", 10) {
		if _, problems := problemsOf(t, file); len(problems) > 0 {
			t.Errorf("%s: %v", file, problems)
		}
	}
}

// What is exported of any of them says the same, and is exported to the same byte again.
func TestCanonical_OfWhatIsFineIsItsOwn(t *testing.T) {
	t.Parallel()
	for _, file := range corpus(t, "clean", 10) {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cfg := parse(t, string(src))
		first := cfg.Canonical()
		again, problems := playbook.Parse(file, first)
		if again == nil {
			t.Fatalf("%s cannot be read back: %v\n%s", file, problems, first)
		}
		if second := again.Canonical(); !bytes.Equal(first, second) {
			t.Errorf("%s: exports differ:\n%s\n%s", file, first, second)
		}
		if !reflect.DeepEqual(cfg.Tests, again.Tests) || !reflect.DeepEqual(cfg.Pools, again.Pools) || !reflect.DeepEqual(cfg.Rules, again.Rules) {
			t.Errorf("%s says something else once it was exported:\n%s", file, first)
		}
	}
}

func TestUnacknowledged_ErrorsCannotBeAndWarningsByCodeOrPlace(t *testing.T) {
	t.Parallel()
	warn := func(code, path string) playbook.Problem {
		return playbook.Problem{Code: code, Path: path, Warning: true}
	}
	problems := []playbook.Problem{warn("shadowed", "rules[1]"), warn("shadowed", "rules[2]"), warn("priority", "rules[3].priority"), {Code: "tie", Path: "rules[4]"}}
	for acks, want := range map[string]int{"": 3, "shadowed": 1, "shadowed:rules[2]": 2, "priority,shadowed:rules[1]": 1, "shadowed,priority": 0, "tie": 3} {
		if open := playbook.Unacknowledged(problems, strings.Split(acks, ",")); len(open) != want {
			t.Errorf("%q leaves %v", acks, open)
		}
	}
}

// TestMutationScore_IsWhatMutatingTheTextGives removes rules from the text one by one and points them elsewhere, and compares.
func TestMutationScore_IsWhatMutatingTheTextGives(t *testing.T) {
	t.Parallel()
	cfg := parse(t, sales)
	score := playbook.MutationScore(cfg)
	for _, r := range cfg.Rules {
		noticed := false
		for _, mutate := range []func(mutant *playbook.Config, i int){
			func(m *playbook.Config, i int) { m.Rules = slices.Delete(slices.Clone(m.Rules), i, i+1) },
			func(m *playbook.Config, i int) {
				m.Rules = slices.Clone(m.Rules)
				m.Rules[i].Then.Pool, m.Rules[i].Then.Rep = "elsewhere", ""
				other := *m.Pools[0]
				other.Slug = "elsewhere"
				m.Pools = append(slices.Clone(m.Pools), &other)
			},
		} {
			mutant, _ := playbook.Parse("sales.yaml", []byte(sales))
			mutate(mutant, slices.IndexFunc(mutant.Rules, func(x routing.Rule) bool { return x.Name == r.Name }))
			noticed = noticed || playbook.Failed(playbook.Check(mutant))
		}
		if noticed == slices.Contains(score.Unnoticed, r.Name) {
			t.Errorf("rule %q: noticed %v, but the score says %v", r.Name, noticed, score)
		}
	}
	if score.Rules != len(cfg.Rules) || score.Noticed+len(score.Unnoticed) != score.Rules || score.Noticed == 0 || len(score.Unnoticed) == 0 {
		t.Errorf("%v", score)
	}
}
