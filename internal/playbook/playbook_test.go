package playbook_test

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"leadline/internal/lead"
	"leadline/internal/outbox"
	"leadline/internal/playbook"
	"leadline/internal/routing"
)

// sales is a configuration with everything in it, oddly written on purpose: comments, odd order, defaults spelt out.
const sales = `# our sales
rules:
  - {name: Everything else, band: default, when: {}, then: {pool: global}}   # last
  - {name: Poland, when: {country: PL}, then: {pool: global}}
  - name: DACH demos
    then: {pool: dach}
    when: {form: demo, territory: dach}
  - {name: Partners, band: override, priority: 10, when: {domain_list: partners}, then: {rep: Sam@Example.com}}
  - {name: Nordic analytics, when: {country: [no, SE], product: [analytics]}, then: {pool: global}}
  - name: Winter
    from: 2026-12-01T00:00:00Z
    until: 2026-12-24T18:00:00+01:00
    when: {form: demo, set: [alps]}
    any: [{product: platform}, {product: analytics, source: ads}]
    except: {domain_class: [free, disposable]}
    then: {pool: dach}
  - {name: Callers, when: {consent: phone, phone_country: at, campaign: [Spring], timezone: Europe/Vienna, spam: clean}, then: {pool: dach}}
sets:
  - {slug: alps, dimension: country, values: [it, SI]}
version: 1
forms:
  - slug: demo
    name: Demo request
    intent: high
    allowed_origins: ["https://www.Example.com/"]
    dedupe_window: 600s
    limits: {per_ip: 60/60s}
    fields:
      - {name: product, type: choice, options: [platform, analytics], required: false}
      - {name: seats, label: "How many seats?", type: number}
    consent: {text_version: v3}
    owners: [Ops@example.com]
  - {slug: news, intent: low, dedupe_window: 1h, limits: {per_ip: none}, paused: true}
teams:
  - {slug: dach, name: DACH, timezone: Europe/Berlin}
reps:
  - {email: Sam@example.com, name: Sam, team: dach, hours: "Mon-Sun 00:00-24:00"}
  - {email: mia@example.com, name: Mia, team: dach, phone: "+49 30 111222", timezone: Europe/Vienna, hours: "mon-fri 9:00-17:30"}
  - {email: old@example.com, name: "No: longer, #here", active: false}
pools:
  - slug: dach
    hours: "Mon-Fri 09:00-17:00"
    timezone: Europe/Berlin
    members: [{weight: 2, rep: mia@example.com, cap: {open: 3, per_day: 40}}]
    strategy: weighted
    offer: {exclusive: 20s, pool: 1m30s, attempts: 5}
    overflow: global
    sla: {first_touch: 120s, calendar: rep_hours}
  - {slug: global, members: [{rep: sam@example.com, weight: 1}], strategy: pull, last_resort: sam@example.com}
territories:
  - {slug: dach, places: [de, AT, CH]}
  - {slug: berlin, within: dach, places: ["DE:10", "DE:12"]}
lists:
  - {slug: partners, domains: [Partner.example]}
tests:
  - {name: Berlin demo, lead: {form: demo, country: Germany, postal_code: 10115, email: a@acme.example}, expect: {pool: dach, rule: DACH demos}}
  - {name: Norway is a country, lead: {form: demo, country: NO, product: analytics}, expect: {rule: Nordic analytics}}
  - {name: Winter in the Alps, at: 2026-12-03, lead: {form: demo, country: IT, product: platform, email: a@acme.example}, expect: {rule: Winter}}
  - {name: Spring in the Alps, at: 2026-12-24T17:00:00Z, lead: {form: demo, country: IT, product: platform, email: a@acme.example}, expect: {rule: Everything else}}
  - {name: Winter for a free mailbox, at: 2026-12-03, lead: {form: demo, country: SI, product: platform, email: a@gmail.com}, expect: {rule: Everything else}}
  - {name: A caller, lead: {form: news, phone: "+43 1 5131640", campaign: spring, timezone: Europe/Vienna, consent: [phone, email]}, expect: {rule: Callers}}
  - {name: A partner, lead: {form: news, email: x@eu.partner.example}, expect: {rep: sam@example.com, pool: global}}
connections:
  - {slug: any, kind: webhook, base_url: "https://crm.example.com/hooks/leads", secret: "env:CRM_SECRET", slots: 64}
  - {slug: chat, kind: slack, base_url: "http://127.0.0.1:9090/slack", token: "env:SLACK_TOKEN", channel: leads}
clients:
  - {slug: partner, forms: demo, keys: ["secret:partner", "env:PARTNER_NEXT"], limit: 600/60s}
  - {slug: ads, forms: [news, demo], keys: "env:ADS", limit: none}
`

func parse(t testing.TB, text string) *playbook.Config {
	t.Helper()
	cfg, problems := playbook.Parse("sales.yaml", []byte(text))
	if cfg == nil {
		t.Fatalf("parse: %v", problems)
	}
	if problems := playbook.Check(cfg); playbook.Failed(problems) || len(playbook.Unacknowledged(problems, []string{"priority", "uncovered"})) > 0 {
		t.Fatalf("check: %v", problems)
	}
	return cfg
}

func TestParse_ReadsWhatTheContractSays(t *testing.T) {
	t.Parallel()
	cfg := parse(t, sales)
	f := cfg.Forms[0]
	if f.Slug != "demo" || f.Intent != "high" || f.DedupeWindow != 10*time.Minute || f.PerIP.Events != 60 || f.PerIP.Per != time.Minute ||
		!slices.Equal(f.AllowedOrigins, []string{"https://www.example.com"}) || f.Owners[0] != "ops@example.com" || f.ConsentTextVersion != "v3" || len(f.Fields) != 2 {
		t.Errorf("form: %+v", f)
	}
	if news := cfg.Forms[1]; news.PerIP.Events != 0 || !news.Paused || news.DedupeWindow != time.Hour || news.Name != "news" {
		t.Errorf("form: %+v", news)
	}
	if sam := cfg.Reps[0]; sam.Email != "sam@example.com" || sam.Timezone != "Europe/Berlin" || !sam.Active {
		t.Errorf("a rep without a zone has the team's: %+v", sam)
	}
	if mia := cfg.Reps[1]; mia.Phone != "+4930111222" || mia.Hours != "Mon-Fri 09:00-17:30" || mia.Timezone != "Europe/Vienna" {
		t.Errorf("rep: %+v", mia)
	}
	p := cfg.Pools[0]
	if p.Members[0] != (routing.Member{Rep: "mia@example.com", Weight: 2, Limits: routing.Limits{Cap: routing.Caps{Open: 3, PerDay: 40}}}) || p.Offer != (routing.OfferTerms{
		Exclusive: 20 * time.Second, Hot: 20 * time.Second, Turns: 1, Pool: 90 * time.Second, Attempts: 5, Screen: time.Second,
	}) ||
		p.FirstTouch != 2*time.Minute || p.Calendar != routing.RepHours || p.Hours.String() != "Mon-Fri 09:00-17:00" {
		t.Errorf("pool: %+v", p)
	}
	if got := cfg.Rules[4].When.Country; !slices.Equal(got, []string{"NO", "SE"}) {
		t.Errorf("countries: %v", got)
	}
	if c := cfg.Clients; len(c) != 2 || !slices.Equal(c[0].Keys, []string{"secret:partner", "env:PARTNER_NEXT"}) || c[0].Limit != (lead.Rate{Events: 600, Per: time.Minute}) || len(c[1].Forms) != 2 || c[1].Limit.Events != 0 {
		t.Errorf("clients: %+v", c)
	}
	if names := cfg.ClientKeyNames(); !slices.Equal(names, []string{"partner"}) || !slices.Contains(cfg.SecretNames(), "partner") {
		t.Errorf("stored keys: %v of %v", names, cfg.SecretNames())
	}
	if c := cfg.Connections; c[0].Destination != outbox.CRM || c[1].Destination != outbox.Chat || c[1].Token != "env:SLACK_TOKEN" {
		t.Errorf("connections: %+v", c)
	}
}

func TestCanonical_ReadsBackToItself(t *testing.T) {
	t.Parallel()
	first := parse(t, sales).Canonical()
	cfg, problems := playbook.Parse("canonical", first)
	if cfg == nil {
		t.Fatalf("%v\n%s", problems, first)
	}
	if second := cfg.Canonical(); !bytes.Equal(first, second) {
		t.Errorf("canonical text changes:\n%s\n%s", first, second)
	}
	for _, gone := range []string{"reps:", "20s", "weighted", "#", "10m", "intent: high"} {
		if strings.Contains(string(first), gone) {
			t.Errorf("canonical text holds %q:\n%s", gone, first)
		}
	}
}

func TestParseFiles_SectionsAddUpAndProblemsNameTheirFile(t *testing.T) {
	t.Parallel()
	people := "version: 1\nteams:\n  - {slug: dach}\nreps:\n  - {email: mia@example.com, name: Mia, team: dach}\n"
	rest := "version: 1\nforms: [{slug: demo}]\npools: [{slug: p, members: [{rep: mia@example.com}]}]\nrules: [{name: All, band: default, then: {pool: p}}]\n"
	cfg, problems := playbook.ParseFiles([]playbook.File{{Name: "people.yaml", Source: []byte(people)}, {Name: "rest.yaml", Source: []byte(rest)}})
	if cfg == nil || len(playbook.Check(cfg)) > 0 || len(cfg.Reps) != 1 || len(cfg.Pools) != 1 {
		t.Fatalf("%v", problems)
	}
	_, problems = playbook.ParseFiles([]playbook.File{{Name: "people.yaml", Source: []byte(people)}, {Name: "more.yaml", Source: []byte("version: 1\nteams:\n  - {slug: sales}\n  - {slug: dach}\n")}})
	if len(problems) != 1 || problems[0].String() != `more.yaml:4: there are two teams called "dach"; the other is at people.yaml:3; rename or remove one of them` {
		t.Errorf("%v", problems)
	}
}

// minimal is the least that can be applied; PLACE marks where cases put more.
const minimal = `version: 1
forms:
  - {slug: demo}
reps:
  - {email: mia@example.com, name: Mia}
pools:
  - {slug: p, members: [{rep: mia@example.com}]}
rules:
  - {name: All, band: default, then: {pool: p}}
`

func TestProblems_NameTheLineAndWhatToDo(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, old, new, want string }{
		{"no YAML", "forms:", "forms: [", `x.yaml:\d+: this is no valid YAML`},
		{"empty", minimal, "", `x.yaml: the file is empty`},
		{"no version", "version: 1\n", "", `x.yaml: the file does not say its version`},
		{"other version", "version: 1", "version: 2", `x.yaml:1: version 2 is not known`},
		{"unknown section", "forms:", "form:", `x.yaml:2: the configuration has no key "form"; did you mean forms\?`},
		{"unknown key", "band: default", "bnad: default", `x.yaml:9: a rule has no key "bnad"; did you mean band\?`},
		{"key twice", "{slug: demo}", "{slug: demo, slug: demo}", `x.yaml:3: a form has the key "slug" twice`},
		{"anchor", "{slug: demo}", "&a {slug: demo}", `x.yaml:3: anchors and aliases are not understood`},
		{"wrong type", "members: [{rep: mia@example.com}]", "members: mia@example.com", `x.yaml:7: members needs a list`},
		{"bad slug", "{slug: demo}", "{slug: Demo Form}", `x.yaml:3: form "Demo Form": that is no slug`},
		{"no slug", "{slug: demo}", "{name: Demo}", `x.yaml:3: a form needs a slug`},
		{"window too long", "{slug: demo}", "{slug: demo, dedupe_window: 2h}", `x.yaml:3: form "demo": dedupe_window cannot be "2h"; use a time from 1m to 1h`},
		{"bad limit", "{slug: demo}", "{slug: demo, limits: {per_ip: lots}}", `x.yaml:3: form "demo": limits.per_ip cannot be "lots"; use a number per time, like 60/1m, or none`},
		{"bad origin", "{slug: demo}", "{slug: demo, allowed_origins: [www.example.com]}", `x.yaml:3: form "demo": "www.example.com" is no origin`},
		{"unsafe origin", "{slug: demo}", `{slug: demo, allowed_origins: ["http://www.example.com"]}`, `x.yaml:3: .* is not safe; use https://`},
		{"choice without options", "{slug: demo}", "{slug: demo, fields: [{name: size, type: choice}]}", `x.yaml:3: form "demo", field "size" leaves nothing to choose from`},
		{"field type", "{slug: demo}", "{slug: demo, fields: [{name: size, type: date}]}", `x.yaml:3: form "demo", field "size": type cannot be "date"; use text, choice, number, checkbox`},
		{"bad e-mail", "{email: mia@example.com,", "{email: mia,", `x.yaml:5: rep: "mia" is no e-mail address`},
		{"bad hours", "name: Mia}", `name: Mia, hours: "9 to 5"}`, `x.yaml:5: rep "mia@example.com": hours "9 to 5" are not understood`},
		{"bad zone", "name: Mia}", `name: Mia, timezone: Berlin}`, `x.yaml:5: rep "mia@example.com": there is no time zone "Berlin"`},
		{"unknown team", "name: Mia}", `name: Mia, team: dach}`, `x.yaml:5: rep "mia@example.com": there is no team "dach"`},
		{"weight", "{rep: mia@example.com}", "{rep: mia@example.com, weight: 0}", `x.yaml:7: pool "p": the weight of mia@example.com cannot be 0`},
		{"cap", "{rep: mia@example.com}", "{rep: mia@example.com, cap: {open: 0}}", `x.yaml:7: pool "p": mia@example.com: a limit cannot be 0`},
		{"strategy", "{slug: p,", "{slug: p, strategy: random,", `x.yaml:7: pool "p": strategy cannot be "random"; use weighted, least_loaded`},
		{"no members", "members: [{rep: mia@example.com}]", "strategy: pull", `x.yaml:7: pool "p" has no members`},
		{"overflow", "{slug: p,", "{slug: p, overflow: q,", `x.yaml:7: pool "p": there is no pool "q" to overflow into; did you mean p\?`},
		{"overflow into itself", "{slug: p,", "{slug: p, overflow: p,", `x.yaml:7: pool "p" overflows in a ring: p → p`},
		{"unknown pool", "then: {pool: p}", "then: {pool: dach}", `x.yaml:9: rule "All": there is no pool "dach"`},
		{"no default", "band: default, ", "", `x.yaml:8: no rule of band default without a condition`},
		{"unknown form", "rules:", "rules:\n  - {name: A, when: {form: dmeo}, then: {pool: p}}", `x.yaml:9: rule "A": there is no form "dmeo"; did you mean demo\?`},
		{"unknown country", "rules:", "rules:\n  - {name: A, when: {country: UK}, then: {pool: p}}", `x.yaml:9: rule "A": there is no country "UK"`},
		{"unknown place", "rules:", "territories:\n  - {slug: t, places: [XX]}\nrules:", `x.yaml:9: territory "t": there is no country "XX"`},
		{"tie", "rules:", "rules:\n  - {name: A, when: {country: FR}, then: {pool: p}}\n  - {name: B, when: {country: [DE, FR]}, then: {rep: mia@example.com}}", `x.yaml:10: rules "A" and "B" are equally strong and disagree about a lead from FR; make one of them more specific`},
		{"golden lead", "rules:", "tests:\n  - {name: T, lead: {form: demo}, expect: {pool: q}}\nrules:", `x.yaml:9: test "T" expects pool q, but rule "All" decides on p`},
		{"golden lead without form", "rules:", "tests:\n  - {name: T, lead: {form: other}, expect: {pool: p}}\nrules:", `x.yaml:9: test "T": there is no form "other"`},
		{"slots", "rules:", "connections:\n  - {slug: c, kind: webhook, base_url: \"https://crm.example.com\", secret: \"secret:c\", slots: 513}\nrules:", `x.yaml:9: connection "c": slots is 513; use 1 to 512, or leave it out for 64`},
		{"vendor", "rules:", "connections:\n  - {slug: c, kind: hubspot}\nrules:", `x.yaml:9: connection "c": kind "hubspot" is not in this version of Leadline; use webhook or slack`},
		{"stored secret without a name", "rules:", "connections:\n  - {slug: c, kind: webhook, base_url: \"https://x.example\", secret: \"secret:CRM key\"}\nrules:", `x.yaml:9: connection "c": secret does not name a stored secret; use small letters, digits, - and _, like secret:crm`},
		{"password in address", "rules:", "connections:\n  - {slug: c, kind: webhook, base_url: \"https://u:hunter2@x.example\", secret: \"env:S\"}\nrules:", `x.yaml:9: connection "c": its base_url is no web address`},
		{"webhook without secret", "rules:", "connections:\n  - {slug: c, kind: webhook, base_url: \"https://x.example\"}\nrules:", `x.yaml:9: connection "c" has no secret; add secret: secret:NAME`},
		{"client without forms", "rules:", "clients:\n  - {slug: a, keys: \"env:A\"}\nrules:", `x.yaml:9: client "a" has no form to post to; add forms: \[SLUG\]`},
		{"client of an unknown form", "rules:", "clients:\n  - {slug: a, forms: [dmeo], keys: \"env:A\"}\nrules:", `x.yaml:9: client "a": there is no form "dmeo"; did you mean demo\?`},
		{"client with a form twice", "rules:", "clients:\n  - {slug: a, forms: [demo, demo], keys: \"env:A\"}\nrules:", `x.yaml:9: client "a" has the form "demo" twice`},
		{"client without keys", "rules:", "clients:\n  - {slug: a, forms: [demo]}\nrules:", `x.yaml:9: client "a" has no key; add keys: \["secret:NAME"\]`},
		{"client with an empty key", "rules:", "clients:\n  - {slug: a, forms: [demo], keys: [\"\"]}\nrules:", `x.yaml:9: client "a" has an empty key`},
		{"client with three keys", "rules:", "clients:\n  - {slug: a, forms: [demo], keys: [\"env:A\", \"env:B\", \"env:C\"]}\nrules:", `x.yaml:9: client "a" has 3 keys; 2 are enough to exchange one`},
		{"client with a key twice", "rules:", "clients:\n  - {slug: a, forms: [demo], keys: [\"env:A\", \"env:A\"]}\nrules:", `x.yaml:9: client "a" has the key env:A twice`},
		{"clients that share a key", "rules:", "clients:\n  - {slug: a, forms: [demo], keys: \"env:A\"}\n  - {slug: b, forms: [demo], keys: \"env:A\"}\nrules:", `x.yaml:10: client "a" and client "b" share the key env:A; give each`},
		{"two clients of a name", "rules:", "clients:\n  - {slug: a, forms: [demo], keys: \"env:A\"}\n  - {slug: a, forms: [demo], keys: \"env:B\"}\nrules:", `x.yaml:10: there are two clients called "a"`},
		{"a key in the text", "rules:", "clients:\n  - {slug: a, forms: [demo], keys: \"whsec_aGlkZGVu\"}\nrules:", `x.yaml:9: client "a": a key holds something that is no reference; credentials never stand`},
		{"client's limit", "rules:", "clients:\n  - {slug: a, forms: [demo], keys: \"env:A\", limit: many}\nrules:", `x.yaml:9: client "a": limit cannot be "many"; use a number per time, like 60/1m, or none`},
		{"unknown rep warns", "{rep: mia@example.com}", "{rep: mai@example.com}", `x.yaml:7: warning: pool "p": mai@example.com is not among the reps of this text; did you mean mia@example.com\?`},
		{"cover warns", "name: Mia}", `name: Mia, hours: "Mon-Sat 00:00-24:00"}`, `x.yaml:7: warning: pool "p": none of its members works in 24h of its open hours a week, from Sun 00:00 on`},
		{"plain http warns", "rules:", "connections:\n  - {slug: c, kind: webhook, base_url: \"http://x.example\", secret: \"env:S\"}\nrules:", `x.yaml:9: warning: connection "c": leads would travel unprotected over http; use https://`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(minimal, c.old, c.new, 1)
			if text == minimal {
				t.Fatal("the case changes nothing")
			}
			cfg, problems := playbook.Parse("x.yaml", []byte(text))
			if cfg != nil {
				problems = append(problems, playbook.Check(cfg)...)
			}
			if playbook.Failed(problems) != !strings.Contains(c.want, "warning") {
				t.Errorf("failed: %v", playbook.Failed(problems))
			}
			want := regexp.MustCompile("^" + c.want)
			if !slices.ContainsFunc(problems, func(p playbook.Problem) bool { return want.MatchString(p.String()) }) {
				t.Errorf("got:\n%v\nwant %s", problems, c.want)
			}
		})
	}
}

func TestProblems_NeverRepeatACredential(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"xoxb-hunter2", "env:not a name hunter2", "hunter2"} {
		text := strings.Replace(minimal, "rules:", fmt.Sprintf("connections:\n  - {slug: c, kind: slack, channel: x, token: %q}\nrules:", token), 1)
		_, problems := playbook.Parse("x.yaml", []byte(text))
		if len(problems) != 1 || strings.Contains(problems[0].String(), "hunter2") {
			t.Errorf("%v", problems)
		}
	}
}

func TestDocumentation_ExamplesAreFineAndEveryKeyIsThere(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	example := ""
	for _, part := range strings.Split(string(text), "```yaml\n")[1:] {
		part, _, _ = strings.Cut(part, "```")
		example += part
	}
	parse(t, example)
	for key := range playbook.Keys() {
		if !regexp.MustCompile("`([a-z_]+\\.)?" + key + "[`.:]|\n## " + key + "\n").Match(text) {
			t.Errorf("key %q is not explained", key)
		}
	}
}

func FuzzParse_NeverFails(f *testing.F) {
	f.Add([]byte(sales))
	f.Add([]byte(minimal))
	f.Add([]byte("version: 1\nforms: [[{}]]\nrules: {a: &x [*x]}"))
	f.Fuzz(func(t *testing.T, src []byte) {
		cfg, problems := playbook.Parse("x", src)
		if cfg == nil {
			if !playbook.Failed(problems) {
				t.Fatal("neither a configuration nor a problem")
			}
			return
		}
		playbook.Check(cfg)
		first := cfg.Canonical()
		again, problems := playbook.Parse("y", first)
		if again == nil || !bytes.Equal(again.Canonical(), first) {
			t.Fatalf("canonical text changes: %v\n%s", problems, first)
		}
	})
}
