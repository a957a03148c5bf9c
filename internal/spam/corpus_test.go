package spam_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"leadline/internal/lead"
	"leadline/internal/privacy"
	"leadline/internal/spam"
)

// clock is a time that tests move.
type clock struct{ at time.Time }

func (c *clock) now() time.Time          { return c.at }
func (c *clock) advance(d time.Duration) { c.at = c.at.Add(d) }

// corpus sends visits to a guard whose time it moves, and counts what became of them.
type corpus struct {
	t     *testing.T
	guard *spam.Guard
	clock *clock
	rng   *rand.Rand
	form  *lead.Form
	n     int

	sent, held, challenged, refused int
	why                             map[string]int
}

func newCorpus(t *testing.T) *corpus {
	t.Helper()
	c := &corpus{t: t, clock: &clock{time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)}, rng: rand.New(rand.NewPCG(7, 11)), why: map[string]int{}}
	var err error
	c.guard, err = spam.New(spam.Options{Secret: []byte(strings.Repeat("s", 32)), Now: c.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	c.form = &lead.Form{
		Slug: "demo", PerPerson: lead.Rate{Events: 5, Per: 10 * time.Minute},
		PerIP: lead.Rate{Events: 60, Per: time.Minute}, PerNetwork: lead.Rate{Events: 600, Per: time.Minute},
	}
	return c
}

func (c *corpus) send(raw lead.Raw, address string, page bool) {
	c.sent++
	if c.guard.Admit(c.form, address) != nil {
		c.refused++
	}
	j := c.guard.Judge(context.Background(), spam.Visit{Form: c.form, Raw: &raw, Address: address, Page: page})
	switch j.Verdict {
	case spam.Hold:
		c.held++
	case spam.Challenge:
		c.challenged++
	}
	if j.Verdict != spam.Accept {
		c.why[fmt.Sprint(j.Reasons)]++
	}
}

func pick[T any](c *corpus, of ...T) T { return of[c.rng.IntN(len(of))] }

func (c *corpus) between(least, most time.Duration) time.Duration {
	return least + time.Duration(c.rng.Int64N(int64(most-least)))
}

// address is one of a household somewhere.
func (c *corpus) address() string {
	if c.rng.IntN(4) == 0 {
		return fmt.Sprintf("2001:db8:%x:%x::%x", c.rng.IntN(1<<16), c.rng.IntN(1<<16), c.rng.IntN(1<<16))
	}
	return fmt.Sprintf("%d.%d.%d.%d", 1+c.rng.IntN(120), c.rng.IntN(256), c.rng.IntN(256), c.rng.IntN(256))
}

var (
	people = []string{
		"Anna Berg", "Jürgen Müller-Lüdenscheidt", "Ronald McDonald", "Siobhán O'Connor", "Jean-Luc DeVries", "Grzegorz Brzęczyszczykiewicz", "李小龍", "山田 太郎", "김민수",
		"Иван Петров", "Ελένη Παπαδοπούλου", "محمد علي", "דוד כהן", "ราตรี สุขใจ", "Nguyễn Thị Minh Khai", "María José García-López", "Þór Ægisson", "Mbeki wa Thiong'o", "X Æ A-12", "LaToya MacKenzie",
	}
	companies = []string{"", "", "Acme GmbH", "Deutsche Angstschweiß AG", "株式会社山田", "ООО Ромашка", "شركة النور", "O2", "McKinsey & Company", "eBay", "SAP SE", "YouTube LLC", "Berg", "iFixit", "SimCorp A/S", "PwC"}
	notes     = []string{
		"", "", "We need a demo for 40 people next week.", "Please call after 16:00.", "我们想了解价格。", "Можно ли получить консультацию?", "Wir vergleichen drei Anbieter, siehe https://www.example.com/ausschreibung",
		"Do you integrate with https://crm.example.com and http://erp.example.com?", "نود معرفة المزيد", "How do you compare on SEO? We are an agency.", "Our bank offers loans; does your tool do scoring?", "お見積りをお願いします。",
	}
)

// human is what somebody sends. page is when it was opened, or zero for pages without a token.
func (c *corpus) human() lead.Raw {
	c.n++
	raw := lead.Raw{
		Name: privacy.Text(pick(c, people...)), Company: privacy.Text(pick(c, companies...)), Notes: privacy.Text(pick(c, notes...)),
		Email: privacy.Text(fmt.Sprintf("person%d@%s", c.n, pick(c, "acme.example", "gmail.com", "example.co.jp", "пример.рф"))), ClientKey: fmt.Sprint("key", c.n),
	}
	if c.rng.IntN(20) == 0 {
		raw.Company = raw.Name // works alone
	}
	if c.rng.IntN(6) == 0 {
		raw.Email, raw.Phone = "", privacy.Text(fmt.Sprintf("+49 30 %07d", c.n))
	}
	return raw
}

// fills opens a page, lets time pass and sends it.
func (c *corpus) fills(raw lead.Raw, dwell time.Duration, scripts bool, address string) {
	raw.Trap.Token = c.guard.Token(c.form.Slug)
	c.clock.advance(dwell)
	if scripts {
		raw.Trap.Solution = spam.SolverReady
	}
	c.send(raw, address, !scripts)
}

// humans sends 5,000 traces of people.
func (c *corpus) humans() {
	for range 4000 {
		c.clock.advance(c.between(0, 4*time.Second))
		raw, address := c.human(), c.address()
		switch c.rng.IntN(10) {
		case 0: // the browser fills everything in at once
			c.fills(raw, c.between(850*time.Millisecond, 1500*time.Millisecond), true, address)
		case 1: // a password manager
			c.fills(raw, c.between(time.Second, 3*time.Second), true, address)
		case 2: // a screen reader
			c.fills(raw, c.between(time.Minute, 9*time.Minute), true, address)
		case 3: // no scripts, our own page
			c.fills(raw, c.between(3*time.Second, 2*time.Minute), false, address)
		case 4: // no scripts, somebody else's page
			c.send(raw, address, true)
		case 5: // a plain integration: one address, whatever the visitors' are
			c.send(raw, "198.51.100.7", false)
		case 6: // back after hours, or the next day
			c.fills(raw, c.between(time.Hour, 40*time.Hour), true, address)
		case 7: // pressed back and sent something else
			raw.Trap.Token, raw.Trap.Solution = c.guard.Token(c.form.Slug), spam.SolverReady
			c.clock.advance(20 * time.Second)
			c.send(raw, address, false)
			raw.ClientKey += "b"
			c.clock.advance(20 * time.Second)
			c.send(raw, address, false)
		default: // a keyboard and a minute
			c.fills(raw, c.between(5*time.Second, 3*time.Minute), true, address)
		}
	}
	for range 4 { // offices: 200 people on one address within ten minutes
		address := c.address()
		for range 200 {
			raw := c.human()
			raw.Trap.Token, raw.Trap.Solution = c.guard.Token(c.form.Slug), spam.SolverReady
			c.clock.advance(3 * time.Second)
			c.send(raw, address, false)
		}
	}
}

// bots sends 20,000 posts of programs in runs of 200.
func (c *corpus) bots() {
	for run := range 100 {
		c.clock.advance(30 * time.Minute)
		page, forged := c.guard.Token(c.form.Slug), c.guard.Token("another")
		network := fmt.Sprintf("203.%d.%d.", run%250, c.rng.IntN(256))
		c.clock.advance(2 * time.Second)
		for i := range 200 {
			raw, address := c.human(), c.address()
			c.clock.advance(c.between(50*time.Millisecond, 500*time.Millisecond))
			raw.Trap.Solution = pick(c, "", "", spam.SolverReady, spam.SolverMissing)
			switch run % 8 {
			case 0: // posts what it has just fetched
				raw.Trap.Token = c.guard.Token(c.form.Slug)
				c.clock.advance(c.between(5*time.Millisecond, 600*time.Millisecond))
			case 1: // fills in everything there is
				raw.Trap.Token, raw.Trap.Honey = page, "http://spam.example"
			case 2: // one page for all
				raw.Trap.Token = page
			case 3: // a token of another form, bent or invented
				raw.Trap.Token = pick(c, forged, page[:len(page)-1]+"A", "x", strings.Repeat("A", 43))
			case 4: // advertising
				raw.Notes = privacy.Text(pick(c,
					"Increase your website traffic, see https://a.example https://b.example https://c.example", `<a href="http://spam.example">cheap</a>`,
					"Buy backlinks and rank higher on google https://spam.example", "[url=http://spam.example]best casino[/url]", "Dear website owner, we sell SEO services and guest post packages"))
			case 5: // mailboxes for minutes
				raw.Email = privacy.Text(fmt.Sprintf("x%d@%s", c.n, pick(c, "mailinator.com", "10minutemail.com", "a.mailinator.com")))
			case 6: // one network, one address after the other
				address = network + fmt.Sprint(i%250)
			case 7: // links in names
				raw.Name, raw.Notes = privacy.Text("Win now https://spam.example/"+fmt.Sprint(i)), "viagra"
			}
			c.send(raw, address, false)
		}
	}
}

func (c *corpus) percent(n int) float64 { return 100 * float64(n) / float64(c.sent) }

func TestCorpus_PeopleAreNeitherHeldNorRefused(t *testing.T) {
	c := newCorpus(t)
	c.humans()
	t.Logf("%d human traces: %.3f %% held, %.3f %% asked for a proof, %d refused; why: %v", c.sent, c.percent(c.held), c.percent(c.challenged), c.refused, c.why)
	if c.sent < 5000 || c.percent(c.held) > 0.1 || c.refused > 0 || c.percent(c.challenged) > 2 {
		t.Error("want 5,000 traces, at most 0.1 % held, at most 2 % asked, none refused")
	}
}

func TestCorpus_ProgramsAreCaught(t *testing.T) {
	c := newCorpus(t)
	c.bots()
	caught := c.percent(c.held + c.challenged)
	t.Logf("%d posts of programs: %.2f %% caught (%d held, %d asked for a proof)", c.sent, caught, c.held, c.challenged)
	if c.sent < 20000 || caught < 98 {
		t.Error("want 20,000 posts and 98 % caught")
	}
}

// BenchmarkJudge measures what judging adds to a submission of a person: about the limits of a form as well.
func BenchmarkJudge(b *testing.B) {
	now := &clock{time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)}
	guard, err := spam.New(spam.Options{Secret: []byte(strings.Repeat("s", 32)), Now: now.now})
	if err != nil {
		b.Fatal(err)
	}
	form := &lead.Form{Slug: "demo", PerPerson: lead.Rate{Events: 5, Per: 10 * time.Minute}, PerIP: lead.Rate{Events: 60, Per: time.Minute}}
	took := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	for i := range b.N {
		token := guard.Token("demo")
		now.advance(2 * time.Second)
		raw := lead.Raw{
			Name: "Anna Berg", Email: privacy.Text(fmt.Sprintf("anna%d@acme.example", i)), Company: "Acme", ClientKey: fmt.Sprint(i),
			Notes: privacy.Text(strings.Repeat("We need a demo for forty people next week. ", 20)), Trap: lead.Trap{Token: token, Solution: spam.SolverReady},
		}
		began := time.Now()
		_ = guard.Admit(form, fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255))
		guard.Judge(context.Background(), spam.Visit{Form: form, Raw: &raw, Address: fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255)})
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
