package playbook_test

import (
	"strings"
	"testing"
	"time"

	"leadline/internal/playbook"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/routing"
)

// clocked is a pool with some words about its clocks.
func clocked(sla string) string {
	return strings.Replace(offered, "rules:", "    sla: {"+sla+"}\nrules:", 1)
}

func TestExport_ClocksComeBackAsTheyAreMeant(t *testing.T) {
	t.Parallel()
	const words = `first_touch: 2m, system: 1s, accept: 1m, first_attempt: 5m, contact: 1h, calendar: rep_hours, calling: 'Mon-Sat 08:00-20:00', act: escalate`
	p := parse(t, clocked(words)).Pools[0]
	if want := (routing.SLA{System: time.Second, Accept: time.Minute, Attempt: 5 * time.Minute, Contact: time.Hour, Calling: "Mon-Sat 08:00-20:00", Act: routing.ActEscalate}); p.SLA != want || p.FirstTouch != 2*time.Minute ||
		p.Calendar != routing.RepHours {
		t.Errorf("read %+v, %v, %s", p.SLA, p.FirstTouch, p.Calendar)
	}
	db := pgtest.New(t)
	apply(t, db, clocked(words))
	text := string(export(t, db))
	if !strings.Contains(text, "sla: {"+words+"}") {
		t.Errorf("exported:\n%s", text)
	}
	if _, changed := apply(t, db, text); changed || string(export(t, db)) != text {
		t.Error("applying what was exported changes something")
	}
	apply(t, db, clocked("accept: 60s, calendar: pool_hours, act: reassign"))
	if text := string(export(t, db)); !strings.Contains(text, "sla: {accept: 1m}") {
		t.Errorf("exported:\n%s", text)
	}
}

func TestCheck_LooksAtClocks(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]string{
		"accept: 0s":                         "duration",
		"contact: 8d":                        "duration",
		"act: shout":                         "unknown",
		"first_attempt: 1h, contact: 30m":    "sla_order",
		"system: 1m, accept: 30s":            "sla_order",
		"act: escalate":                      "sla_unused",
		"contact: 1h, calling: by day":       "hours",
		"system: 1s, accept: 1m, act: none":  "",
		"first_attempt: 5m, contact: 1h":     "",
		"first_attempt: 5m, act: none":       "",
		"first_touch: 2m, calendar: none":    "",
		"system: 1s":                         "",
		"first_attempt: 5m [without anyone]": "sla_no_manager",
		"system: 1s [without anyone]":        "",
	} {
		words, alone := strings.CutSuffix(words, " [without anyone]")
		text := clocked(words)
		if alone {
			text = strings.Replace(text, ", manager: Max@example.com", "", 1)
		}
		cfg, problems := playbook.Parse("test.yaml", []byte(text))
		if cfg != nil && !playbook.Failed(problems) {
			problems = append(problems, playbook.Check(cfg)...)
		}
		found := ""
		for _, p := range problems {
			if strings.Contains(p.Path, ".sla") {
				found = p.Code
				if p.Line == 0 || p.Remedy == "" && p.Code != "hours" || p.Warning != (p.Code == "sla_unused" || p.Code == "sla_no_manager") {
					t.Errorf("%s: %+v", words, p)
				}
			}
		}
		if found != want {
			t.Errorf("%s: found %q, want %q among %v", words, found, want, problems)
		}
	}
}
