package playbook

import (
	"fmt"
	"strings"
)

// Score says how well the golden leads of a configuration watch over its rules.
type Score struct {
	Rules     int      `json:"rules"`
	Noticed   int      `json:"noticed"`             // rules of which some test would fail if they were removed or pointed elsewhere
	Unnoticed []string `json:"unnoticed,omitempty"` // the others, in the order of the text
}

// maxUnnoticed bounds how many rules a sentence names.
const maxUnnoticed = 5

// String is the score in a sentence.
func (s Score) String() string {
	text := fmt.Sprintf("Golden leads notice changes to %d of %d rules", s.Noticed, s.Rules)
	if s.Rules > 0 {
		text += fmt.Sprintf(" (%d %%)", 100*s.Noticed/s.Rules)
	}
	if len(s.Unnoticed) == 0 {
		return text + "."
	}
	names := make([]string, 0, maxUnnoticed)
	for _, name := range s.Unnoticed[:min(len(s.Unnoticed), maxUnnoticed)] {
		names = append(names, fmt.Sprintf("%q", name))
	}
	text += "; no test watches " + strings.Join(names, ", ")
	if more := len(s.Unnoticed) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text + "."
}

// MutationScore changes one rule after the other, by removing it and by pointing it to a pool and a person that do not exist, and counts
// those of which some golden lead takes notice. Call it for a configuration that passes Check.
func MutationScore(cfg *Config) Score {
	noticed := map[string]bool{}
	if table, _ := cfg.Table(0); table != nil {
		for _, test := range cfg.Tests {
			form := cfg.form(test.Form)
			if form == nil {
				continue
			}
			g, err := test.golden(form)
			if err != nil {
				continue // Check has said so
			}
			d := table.Decide(g.facts, g.at)
			elsewhere := d
			elsewhere.Pool, elsewhere.Rep = "\x00", "\x00"
			if len(test.Expect.misses(elsewhere)) > 0 || len(test.Expect.misses(table.Without(d.Rule, g.facts, g.at))) > 0 {
				noticed[d.Rule] = true
			}
		}
	}
	s := Score{Rules: len(cfg.Rules)}
	for _, r := range cfg.Rules {
		if noticed[r.Name] {
			s.Noticed++
		} else {
			s.Unnoticed = append(s.Unnoticed, r.Name)
		}
	}
	return s
}
