package playbook

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/routing"
)

// goldenLead is a test as the rules see it.
type goldenLead struct {
	Test
	facts routing.Facts
	at    time.Time
}

// golden runs every test through the decision that live leads get.
func (c *checker) golden(table *routing.Table) {
	for i, test := range c.cfg.Tests {
		path := fmt.Sprintf("tests[%d]", i)
		form := c.cfg.form(test.Form)
		if form == nil {
			c.fail(path+".lead.form", "unknown", "name one of the forms", "test %q: there is no form %q", test.Name, test.Form)
			continue
		}
		g, err := test.golden(form)
		if err != nil {
			c.fail(path+".lead", "lead", "correct the lead of the test", "test %q: its lead would be refused: %v", test.Name, err)
			continue
		}
		d := table.Decide(g.facts, g.at)
		for _, part := range test.Expect.misses(d) {
			got := part.got
			if got == "" {
				got = "none"
			}
			c.fail(path+".expect."+part.key, "golden", "change the rules or the test", "test %q expects %s %s, but rule %q decides on %s", test.Name, part.key, part.want, d.Rule, got)
		}
	}
}

func (c *Config) form(slug string) *lead.Form {
	if i := slices.IndexFunc(c.Forms, func(f *lead.Form) bool { return f.Slug == slug }); i >= 0 {
		return c.Forms[i]
	}
	return nil
}

// miss is a part of a decision that is not as a test expects it.
type miss struct{ key, want, got string }

// misses lists what a decision does otherwise than expected.
func (e Expectation) misses(d routing.Decision) []miss {
	return slices.DeleteFunc([]miss{{"pool", e.Pool, d.Pool}, {"rep", e.Rep, d.Rep}, {"rule", e.Rule, d.Rule}}, func(m miss) bool {
		return m.want == "" || m.want == m.got
	})
}

// GoldenResult is where a golden lead went when a version was published.
type GoldenResult struct {
	Name string `json:"name"`
	Rule string `json:"rule"`
	Pool string `json:"pool"`
	Rep  string `json:"rep,omitempty"` // e-mail address of the person that the rule names
}

// goldenResults sends every golden lead on its way. Call it for a configuration that passes Check.
func (c *Config) goldenResults() []GoldenResult {
	results := []GoldenResult{}
	table, _ := c.Table(0)
	for _, test := range c.Tests {
		form := c.form(test.Form)
		if table == nil || form == nil {
			continue
		}
		g, err := test.golden(form)
		if err != nil {
			continue // Check has said so
		}
		d := table.Decide(g.facts, g.at)
		results = append(results, GoldenResult{Name: test.Name, Rule: d.Rule, Pool: d.Pool, Rep: d.Rep})
	}
	return results
}

// golden treats the lead of a test as intake would treat it.
func (t Test) golden(form *lead.Form) (goldenLead, error) {
	facts, err := factsOf(form, t.Lead)
	if err != nil {
		return goldenLead{}, err
	}
	at := t.At
	if at.IsZero() {
		at = aWeek
	}
	return goldenLead{Test: t, at: at, facts: facts}, nil
}

// factsOf is what rules may look at of a lead, as intake would find it.
func factsOf(form *lead.Form, raw lead.Raw) (routing.Facts, error) {
	sub, err := lead.NormaliseAnswers(form, raw)
	if err != nil {
		var f *fault.Error
		if errors.As(err, &f) && len(f.Fields) > 0 {
			return routing.Facts{}, fmt.Errorf("%s: %s", f.Fields[0].Field, f.Fields[0].Message)
		}
		return routing.Facts{}, err
	}
	return routing.Facts{
		Form: sub.Form, Intent: sub.Intent, Product: sub.Product, Country: sub.Country, Region: sub.Region, PostalCode: sub.PostalCode,
		CountryFrom: sub.CountryFrom, Company: routing.CompanyName(sub.Contact.Company.Plain()), EmailDomain: sub.EmailDomain, DomainClass: sub.DomainClass, Source: sub.Source, Language: sub.Language,
		Campaign: sub.Contact.Context.UTMCampaign, PhoneCountry: lead.PhoneCountry(sub.Contact.Phone.Plain()), Timezone: sub.Timezone,
		Consent: sub.Contact.Consent.Given(), Spam: routing.SpamClean,
	}, nil
}
