package playbook_test

import (
	"strings"
	"testing"
	"time"

	"leadline/internal/playbook"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/routing"
)

const offered = `version: 1
forms:
  - slug: demo
reps:
  - {email: mia@example.com, name: Mia}
  - {email: max@example.com, name: Max}
pools:
  - slug: all
    members:
      - {rep: mia@example.com}
    offer: {exclusive: 1m, hot: 15s, turns: 3, pool: 45s, attempts: 7, total: 10m, manager: Max@example.com, screen: 2s, window: 150ms}
rules:
  - {name: all, band: default, when: {}, then: {pool: all}}
`

func TestExport_OfferTermsComeBackAsTheyAreMeant(t *testing.T) {
	t.Parallel()
	if got, want := parse(t, offered).Pools[0].Offer, (routing.OfferTerms{
		Exclusive: time.Minute, Hot: 15 * time.Second, Turns: 3, Pool: 45 * time.Second, Attempts: 7, Total: 10 * time.Minute, Manager: "max@example.com",
		Screen: 2 * time.Second, Window: 150 * time.Millisecond,
	}); got != want {
		t.Errorf("read %+v, want %+v", got, want)
	}
	db := pgtest.New(t)
	apply(t, db, offered)
	text := string(export(t, db))
	if want := "offer: {exclusive: 1m, hot: 15s, turns: 3, pool: 45s, attempts: 7, total: 10m, manager: max@example.com, screen: 2s, window: 150ms}"; !strings.Contains(text, want) {
		t.Errorf("exported:\n%s\nwant in it %s", text, want)
	}
	if _, changed := apply(t, db, text); changed || string(export(t, db)) != text {
		t.Error("applying what was exported changes something")
	}
	// What says the default is left out; what switches something off stays.
	plain := strings.Replace(offered, offered[strings.Index(offered, "offer: {"):strings.Index(offered, "150ms}")+6], "offer: {exclusive: 20s, hot: 20s, turns: 1, screen: none, window: none}", 1)
	apply(t, db, plain)
	if text := string(export(t, db)); !strings.Contains(text, "offer: {screen: none}") {
		t.Errorf("exported:\n%s", text)
	}
}

func TestParse_RefusesOfferTermsThatCannotBe(t *testing.T) {
	t.Parallel()
	for bad, want := range map[string]string{
		"hot: 10ms": "offer.hot cannot be", "turns: 0": "offer.turns cannot be 0", "attempts: 101": "offer.attempts cannot be 101", "total: 1y": "offer.total cannot be",
		"manager: max": "is no e-mail address", "screen: 20s": "offer.screen cannot be", "window: 251ms": "offer.window cannot be", "window: 1ms": "offer.window cannot be",
	} {
		text := offered[:strings.Index(offered, "offer: {")] + "offer: {" + bad + "}\n" + offered[strings.Index(offered, "rules:"):]
		_, problems := playbook.Parse("test.yaml", []byte(text))
		if !playbook.Failed(problems) || !strings.Contains(problems[0].Message, want) {
			t.Errorf("%s: %v, want %q", bad, problems, want)
		}
	}
	misspelt := strings.Replace(offered, "manager: Max@example.com", "manager: moritz@example.com", 1)
	cfg, problems := playbook.Parse("test.yaml", []byte(misspelt))
	if playbook.Failed(problems) {
		t.Fatal(problems)
	}
	found := false
	for _, p := range playbook.Check(cfg) {
		found = found || p.Code == "unknown_rep" && strings.Contains(p.Path, "offer.manager")
	}
	if !found {
		t.Error("nobody says that the manager does not exist")
	}
}
