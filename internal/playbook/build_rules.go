package playbook

import (
	"fmt"
	"strings"

	"leadline/internal/lead"
	"leadline/internal/privacy"
	"leadline/internal/routing"
)

func (b *builder) territories() {
	names := b.names("territories", "slug")
	for i := range b.doc.Territories {
		d := &b.doc.Territories[i]
		names.add(i, d.Slug)
		for j := range d.Places {
			d.Places[j] = strings.ToUpper(d.Places[j])
		}
		b.cfg.Territories = append(b.cfg.Territories, routing.Territory{Slug: d.Slug, Within: d.Within, Places: d.Places})
	}
}

func (b *builder) rules() {
	names := b.names("rules", "name")
	for i := range b.doc.Rules {
		d := &b.doc.Rules[i]
		path := names.add(i, d.Name)
		what := fmt.Sprintf("rule %q", d.Name)
		w := &d.When
		upper(w.Country)
		upper(w.Region)
		upper(w.PostalCode)
		lower(w.Domain)
		b.cfg.Rules = append(b.cfg.Rules, routing.Rule{
			Name: d.Name, Priority: d.Priority,
			Band: routing.Band(b.word(path+".band", what+": band", &d.Band, string(routing.Match), string(routing.Override), string(routing.Default))),
			When: routing.Condition{
				DomainList: w.DomainList, Domain: w.Domain, Territory: w.Territory, Postal: w.PostalCode, Region: w.Region, Country: w.Country,
				Product: w.Product, Intent: w.Intent, DomainClass: w.DomainClass, Form: w.Form, Source: w.Source, Language: w.Language,
			},
			Then: routing.Target{Pool: d.Then.Pool, Rep: b.email(path+".then.rep", what, &d.Then.Rep)},
		})
		b.known(path+".when.intent", what+": intent", w.Intent, lead.IntentHigh, lead.IntentLow)
		b.known(path+".when.domain_class", what+": domain_class", w.DomainClass, lead.DomainBusiness, lead.DomainFree, lead.DomainDisposable)
	}
}

func upper(values []string) {
	for i := range values {
		values[i] = strings.ToUpper(values[i])
	}
}

func lower(values []string) {
	for i := range values {
		values[i] = strings.ToLower(values[i])
	}
}

// known checks values out of a few, without a default.
func (b *builder) known(path, what string, values []string, known ...string) {
	for _, value := range values {
		if value == "" {
			b.fail(path, "missing", "use "+strings.Join(known, ", "), "%s is empty", what)
			continue
		}
		copied := value
		b.word(path, what, &copied, known...)
	}
}

func (b *builder) lists() {
	names := b.names("lists", "slug")
	for i := range b.doc.Lists {
		d := &b.doc.Lists[i]
		names.add(i, d.Slug)
		lower(d.Domains)
		b.cfg.Lists = append(b.cfg.Lists, routing.List{Slug: d.Slug, Domains: d.Domains})
	}
}

func (b *builder) tests() {
	names := b.names("tests", "name")
	for i := range b.doc.Tests {
		d := &b.doc.Tests[i]
		path := names.add(i, d.Name)
		what := fmt.Sprintf("test %q", d.Name)
		if d.Lead.Form == "" {
			b.fail(path+".lead", "missing", "add form: SLUG", "%s: its lead has no form", what)
		}
		if d.Expect == (expectDoc{}) {
			b.fail(path+".expect", "missing", "add expect: {pool: SLUG}", "%s expects nothing", what)
		}
		b.cfg.Tests = append(b.cfg.Tests, Test{
			Name: d.Name, Form: d.Lead.Form,
			Lead: lead.Raw{
				Email: privacy.Text(d.Lead.Email), Country: d.Lead.Country, Region: d.Lead.Region, PostalCode: d.Lead.PostalCode, Product: d.Lead.Product,
				Context: lead.Context{UTMSource: d.Lead.Source, Locale: d.Lead.Language},
			},
			Expect: Expectation{Pool: d.Expect.Pool, Rep: b.email(path+".expect.rep", what, &d.Expect.Rep), Rule: d.Expect.Rule},
		})
	}
}
