package demo_test

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"leadline/internal/demo"
	"leadline/internal/playbook"
)

const sandboxURL = "http://127.0.0.1:9090"

func TestPlaybook_IsAcceptedWithItsGoldenLeads(t *testing.T) {
	t.Parallel()
	cfg, problems := playbook.Parse("demo.yaml", demo.Playbook(sandboxURL))
	for _, p := range problems {
		t.Errorf("%+v", p)
	}
	if playbook.Failed(problems) {
		t.FailNow()
	}
	for _, p := range playbook.Check(cfg) {
		t.Errorf("%+v", p)
	}
}

// shown is the part of the playbook that the demo's promises are about.
type shown struct {
	Reps []struct {
		Email string
		Hours string
	}
	Pools []struct {
		Slug     string
		Strategy string
		Hours    string
		Members  []struct {
			Rep string
			Cap map[string]int
		}
		Offer struct{ Exclusive string }
	}
	Connections []struct {
		Kind    string
		BaseURL string `yaml:"base_url"`
		Secret  string
		Token   string
	}
}

func TestPlaybook_ShowsEveryLeadToTheRepWhoSignsInAtAnyHour(t *testing.T) {
	t.Parallel()
	var text shown
	if err := yaml.Unmarshal(demo.Playbook(sandboxURL), &text); err != nil {
		t.Fatal(err)
	}
	rep := demo.People[0].Email
	for _, p := range text.Pools {
		in := false
		for _, m := range p.Members {
			in = in || m.Rep == rep && m.Cap == nil
		}
		if !in || p.Hours != "" || (p.Strategy != "pull" && p.Offer.Exclusive != "20s") {
			t.Errorf("pool %s: %s would not see its leads at once", p.Slug, rep)
		}
	}
	for _, r := range text.Reps {
		if r.Email == rep && r.Hours != "Mon-Sun 00:00-24:00" {
			t.Errorf("%s is on %q only", rep, r.Hours)
		}
	}
	if len(text.Reps) != 8 {
		t.Errorf("%d reps", len(text.Reps))
	}
	for _, c := range text.Connections {
		if !strings.HasPrefix(c.BaseURL, sandboxURL+"/") || (c.Secret != "env:"+demo.WebhookSecretName && c.Token != "env:"+demo.SlackTokenName) {
			t.Errorf("connection %+v", c)
		}
	}
}
