package spam_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/privacy"
	"leadline/internal/spam"
)

func newGuard(t *testing.T, change func(*spam.Options)) (*spam.Guard, *clock) {
	t.Helper()
	now := &clock{time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)}
	o := spam.Options{Secret: []byte(strings.Repeat("s", 32)), Now: now.now}
	if change != nil {
		change(&o)
	}
	guard, err := spam.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return guard, now
}

func TestAdmit_KeepsEachLimitAndSaysWhenToComeAgain(t *testing.T) {
	guard, now := newGuard(t, nil)
	minute := func(n int) lead.Rate { return lead.Rate{Events: n, Per: time.Minute} }
	wide := &lead.Form{Slug: "wide", PerNetwork: minute(3)}
	for _, c := range []struct {
		name      string
		form      *lead.Form
		addresses []string // the last one is one too many
		also      string   // and this one still fits
	}{
		{"address", &lead.Form{Slug: "a", PerIP: minute(2)}, []string{"192.0.2.1", "192.0.2.1", "192.0.2.1"}, "192.0.2.2"},
		{"household", &lead.Form{Slug: "b", PerIP: minute(2)}, []string{"2001:db8::1", "2001:db8::2", "2001:db8::3"}, "2001:db8:0:1::1"},
		{"network", wide, []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}, "192.0.3.1"},
		{"wide network", &lead.Form{Slug: "c", PerNetwork: minute(2)}, []string{"2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1"}, "2001:db8:1::1"},
		{"same form through a proxy of IPv6", &lead.Form{Slug: "d", PerIP: minute(1)}, []string{"::ffff:192.0.2.1", "192.0.2.1"}, "192.0.2.9"},
	} {
		last := len(c.addresses) - 1
		for i, address := range c.addresses {
			err := guard.Admit(c.form, address)
			if i < last && err != nil || i == last && !fault.Is(err, fault.Throttled) {
				t.Errorf("%s, number %d: %v", c.name, i+1, err)
			}
		}
		if err := guard.Admit(c.form, c.also); err != nil {
			t.Errorf("%s: somebody else was refused: %v", c.name, err)
		}
	}
	now.advance(21 * time.Second)
	if err := guard.Admit(wide, "192.0.2.9"); err != nil {
		t.Errorf("after a third of the time: %v", err)
	}
	all := &lead.Form{Slug: "all", PerForm: minute(2)}
	for i := range 3 {
		if err := guard.Admit(all, fmt.Sprintf("198.51.%d.1", i)); (err != nil) != (i == 2) {
			t.Errorf("form, number %d: %v", i+1, err)
		}
	}
	free := &lead.Form{Slug: "free"}
	for range 10_000 {
		if err := guard.Admit(free, "127.0.0.1"); err != nil {
			t.Fatalf("a form without limits: %v", err)
		}
	}
}

func TestAdmit_MillionsOfAddressesDoNotGrowItsMemory(t *testing.T) {
	guard, _ := newGuard(t, nil)
	form := &lead.Form{Slug: "a", PerIP: lead.Rate{Events: 1, Per: time.Hour}}
	for i := range 400_000 {
		_ = guard.Admit(form, fmt.Sprintf("%d.%d.%d.%d", 1+i>>24, i>>16&255, i>>8&255, i&255))
	}
	if n := guard.Counters(); n > 64*2048 {
		t.Errorf("%d counters", n)
	}
}

// What an operator sees on the page of held leads, one reason at a time.
func TestJudge_NamesItsReasons(t *testing.T) {
	for _, c := range []struct {
		reason spam.Reason
		bend   func(*lead.Raw, *spam.Guard, *clock)
		want   spam.Verdict
	}{
		{"", func(*lead.Raw, *spam.Guard, *clock) {}, spam.Accept},
		{spam.HiddenField, func(r *lead.Raw, _ *spam.Guard, _ *clock) { r.Trap.Honey = "x" }, spam.Hold},
		{spam.ForgedToken, func(r *lead.Raw, _ *spam.Guard, _ *clock) { r.Trap.Token = "x" }, spam.Hold},
		{spam.ForgedToken, func(r *lead.Raw, g *spam.Guard, _ *clock) { r.Trap.Token = g.Token("another") }, spam.Hold},
		{spam.TooFast, func(r *lead.Raw, g *spam.Guard, _ *clock) { r.Trap.Token = g.Token("demo") }, spam.Hold},
		{spam.OldPage, func(_ *lead.Raw, _ *spam.Guard, c *clock) { c.advance(25 * time.Hour) }, spam.Accept},
		{spam.NoToken, func(r *lead.Raw, _ *spam.Guard, _ *clock) { r.Trap.Token = "" }, spam.Accept},
		{spam.Disposable, func(r *lead.Raw, _ *spam.Guard, _ *clock) { r.Email = "x@a.mailinator.com" }, spam.Hold},
		{spam.Links, func(r *lead.Raw, _ *spam.Guard, _ *clock) { r.Name = "see https://spam.example" }, spam.Hold},
		{spam.Links, func(r *lead.Raw, _ *spam.Guard, _ *clock) { r.Notes = "see https://acme.example" }, spam.Accept},
		{spam.Markup, func(r *lead.Raw, _ *spam.Guard, _ *clock) { r.Notes = `<a href="x">y</a>` }, spam.Hold},
		{spam.SpamWords, func(r *lead.Raw, _ *spam.Guard, _ *clock) { r.Notes = "Buy backlinks, best casino" }, spam.Hold},
		{spam.SameText, func(r *lead.Raw, _ *spam.Guard, _ *clock) { r.Company = r.Name }, spam.Accept},
		{spam.Gibberish, func(r *lead.Raw, _ *spam.Guard, _ *clock) { r.Name, r.Company = "wGtKjHqPzXc", "ZrTqWpLkMnBv" }, spam.Hold},
		{spam.Denied, func(r *lead.Raw, _ *spam.Guard, _ *clock) { r.Email = "x@mail.bad.example" }, spam.Hold},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "deny.txt"), []byte("bad.example\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		guard, now := newGuard(t, func(o *spam.Options) { o.Dir = dir })
		if err := guard.Load(); err != nil {
			t.Fatal(err)
		}
		raw := &lead.Raw{Name: "Anna Berg", Company: "Acme", Email: "anna@acme.example", ClientKey: "k", Trap: lead.Trap{Token: guard.Token("demo")}}
		now.advance(2 * time.Second)
		c.bend(raw, guard, now)
		got := guard.Judge(t.Context(), spam.Visit{Form: &lead.Form{Slug: "demo"}, Raw: raw, Address: "192.0.2.1"})
		named := len(got.Reasons) == 1 && got.Reasons[0] == c.reason || c.reason == "" && len(got.Reasons) == 0
		if got.Verdict != c.want || !named {
			t.Errorf("%s: %s, %v (%d)", c.reason, got.Verdict, got.Reasons, got.Score)
		}
	}
}

func TestJudge_OnePersonAgainAndAgainIsNeverRefused(t *testing.T) {
	guard, now := newGuard(t, nil)
	form := &lead.Form{Slug: "demo", PerPerson: lead.Rate{Events: 5, Per: 10 * time.Minute}}
	send := func(email string) spam.Verdict {
		now.advance(time.Second)
		return guard.Judge(t.Context(), spam.Visit{Form: form, Raw: &lead.Raw{Email: privacy.Text(email)}, Address: "192.0.2.1"}).Verdict
	}
	for range 5 {
		if v := send("anna@acme.example"); v != spam.Accept {
			t.Fatalf("the first five: %s", v)
		}
	}
	if v := send("Anna@acme.example "); v != spam.Hold {
		t.Errorf("the sixth: %s", v)
	}
	if v := send("ben@acme.example"); v != spam.Accept {
		t.Errorf("somebody else: %s", v)
	}
}

// TestJudge_ARetryIsNoFurtherSubmission: whoever sends the same again and again while the database is away must not be held for it.
func TestJudge_ARetryIsNoFurtherSubmission(t *testing.T) {
	g, _ := newGuard(t, nil)
	form := &lead.Form{Slug: "demo", PerPerson: lead.Rate{Events: 5, Per: 10 * time.Minute}}
	judge := func(key string) spam.Verdict {
		raw := &lead.Raw{Email: "anna@acme.example", ClientKey: key}
		return g.Judge(t.Context(), spam.Visit{Form: form, Raw: raw, Address: "127.0.0.1"}).Verdict
	}
	for i := range 50 {
		if got := judge("one-and-the-same-key-000000"); got != spam.Accept {
			t.Fatalf("retry %d: %s", i, got)
		}
	}
	held := 0
	for i := range 20 {
		if judge(fmt.Sprintf("another-key-%022d", i)) == spam.Hold {
			held++
		}
	}
	if held == 0 {
		t.Error("twenty different submissions of one person are not noticed")
	}
}

func TestLists_AreReadAgainAndSurviveTypos(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	guard, _ := newGuard(t, func(o *spam.Options) { o.Dir, o.Log = dir, slog.New(slog.NewTextHandler(&log, nil)) })
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := guard.Load(); err != nil {
			t.Fatal(err)
		}
	}
	verdict := func(address, email string) spam.Verdict {
		return guard.Judge(t.Context(), spam.Visit{Form: &lead.Form{Slug: "demo"}, Raw: &lead.Raw{Email: privacy.Text(email)}, Address: address}).Verdict
	}
	write("deny-networks.txt", "# known\n203.0.113.0/24 # a farm\n2001:db8:bad::/48\n300.1.1.1/99\nnot a domain\nbad.example\n")
	for address, want := range map[string]spam.Verdict{
		"203.0.113.200": spam.Hold, "::ffff:203.0.113.1": spam.Hold, "2001:db8:bad:1::1": spam.Hold, "203.0.114.1": spam.Accept, "nonsense": spam.Accept, "127.0.0.1": spam.Accept,
	} {
		if got := verdict(address, "anna@acme.example"); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	if verdict("192.0.2.1", "x@bad.example") != spam.Hold || verdict("192.0.2.1", "x@notbad.example") != spam.Accept {
		t.Error("the domain does not count, or too much of it")
	}
	for _, line := range []string{"line=4", "line=5"} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log does not name %s:\n%s", line, log.String())
		}
	}
	if strings.Contains(log.String(), "300.1.1.1") {
		t.Error("the log repeats what stands in the file")
	}
	write("allow.txt", "203.0.113.7\n@mailinator.com\n")
	if verdict("203.0.113.7", "x@bad.example") != spam.Accept || verdict("192.0.2.1", "x@mailinator.com") != spam.Accept || verdict("203.0.113.8", "x@acme.example") != spam.Hold {
		t.Error("allowing does not win, or wins too much")
	}
	write("deny-networks.txt", "")
	if verdict("203.0.113.8", "x@acme.example") != spam.Accept {
		t.Error("a line that was taken out still counts")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if guard.Load() == nil || verdict("203.0.113.7", "x@mailinator.com") != spam.Accept {
		t.Error("a lost directory takes the lists along")
	}
}
