package playbook

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"leadline/internal/lead"
	"leadline/internal/privacy"
	"leadline/internal/rep"
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
	b.cfg.Rules = make([]routing.Rule, 0, len(b.doc.Rules))
	for i := range b.doc.Rules {
		d := &b.doc.Rules[i]
		path := names.add(i, d.Name)
		what := fmt.Sprintf("rule %q", d.Name)
		rule := routing.Rule{
			Name: d.Name, Priority: d.Priority,
			Band: routing.Band(b.word(path+".band", what+": band", &d.Band, string(routing.Match), string(routing.Override), string(routing.Default))),
			When: b.condition(path+".when", what, &d.When),
			From: b.moment(path+".from", what+": from", &d.From), Until: b.moment(path+".until", what+": until", &d.Until),
			Hours: b.hours(path+".hours", what, &d.Hours, b.zone(path+".timezone", what, &d.Timezone)),
			Then: routing.Target{
				Pool: d.Then.Pool, Rep: b.email(path+".then.rep", what, &d.Then.Rep), Hold: d.Then.Hold,
				Points: b.points(path+".then.points", what, &d.Then.Points),
			},
		}
		if d.Timezone != "" && d.Hours == "" {
			b.fail(path+".timezone", "unused", "add hours, or remove it", "%s has a time zone and no hours", what)
		}
		d.Then.Needs = b.tags(path+".then.needs", what, d.Then.Needs)
		rule.Then.Needs = d.Then.Needs
		for j := range d.Any {
			rule.Any = append(rule.Any, b.condition(fmt.Sprintf("%s.any[%d]", path, j), what, &d.Any[j]))
		}
		if d.Except != nil {
			except := b.condition(path+".except", what, d.Except)
			rule.Except = &except
		}
		b.cfg.Rules = append(b.cfg.Rules, rule)
	}
}

// channels are those for which visitors can give their consent.
var channels = []string{"phone", "sms", "email"}

// zoneName checks a time zone that leads may be in.
func (b *builder) zoneName(path, what, zone string) {
	if _, err := rep.Zone(zone); err != nil || zone == "" {
		b.fail(path, "timezone", "write it like Europe/Berlin", "%s: there is no time zone %q", what, zone)
	}
}

// condition reads what a rule asks for.
func (b *builder) condition(path, what string, w *whenDoc) routing.Condition {
	upper(w.Country)
	upper(w.Region)
	upper(w.PostalCode)
	upper(w.PhoneCountry)
	lower(w.Domain)
	b.known(path+".consent", what+": consent", w.Consent, channels...)
	b.known(path+".spam", what+": spam", w.Spam, routing.SpamClean, routing.SpamReleased)
	for _, zone := range w.Timezone {
		b.zoneName(path+".timezone", what, zone)
	}
	b.known(path+".intent", what+": intent", w.Intent, lead.IntentHigh, lead.IntentLow)
	b.known(path+".domain_class", what+": domain_class", w.DomainClass, lead.DomainBusiness, lead.DomainFree, lead.DomainDisposable)
	return routing.Condition{
		AccountList: w.AccountList, Set: w.Set, DomainList: w.DomainList, Domain: w.Domain, Territory: w.Territory, Postal: w.PostalCode, Region: w.Region, Country: w.Country,
		Product: w.Product, Intent: w.Intent, DomainClass: w.DomainClass, Form: w.Form, Source: w.Source, Language: w.Language,
		Campaign: w.Campaign, PhoneCountry: w.PhoneCountry, Timezone: w.Timezone, Consent: w.Consent, Spam: w.Spam,
	}
}

// moment reads a day, which begins at midnight UTC, or a time of RFC 3339, and writes it in UTC in the shortest way.
func (b *builder) moment(path, what string, text *string) time.Time {
	if *text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.DateOnly, *text)
	if err != nil {
		at, err = time.Parse(time.RFC3339, *text)
	}
	if err != nil || at.Year() < 2000 || at.Year() > 9998 {
		b.fail(path, "date", "write a day like 2026-12-24, which begins at midnight UTC, or a time like 2026-12-24T18:00:00+01:00", "%s cannot be %q", what, *text)
		return time.Time{}
	}
	at = at.UTC().Truncate(time.Second)
	*text = at.Format(time.RFC3339)
	if at.Equal(at.Truncate(24 * time.Hour)) {
		*text = at.Format(time.DateOnly)
	}
	return at
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

func (b *builder) sets() {
	names := b.names("sets", "slug")
	for i := range b.doc.Sets {
		d := &b.doc.Sets[i]
		path := names.add(i, d.Slug)
		if d.Dimension == "" {
			b.fail(path, "missing", "use "+strings.Join(routing.SetDimensions(), ", "), "set %q needs a dimension", d.Slug)
		}
		switch d.Dimension {
		case "country", "region", "postal_code", "phone_country":
			upper(d.Values)
		case "domain":
			lower(d.Values)
		case "intent":
			b.known(path+".values", fmt.Sprintf("set %q", d.Slug), d.Values, lead.IntentHigh, lead.IntentLow)
		case "consent":
			b.known(path+".values", fmt.Sprintf("set %q", d.Slug), d.Values, channels...)
		case "spam":
			b.known(path+".values", fmt.Sprintf("set %q", d.Slug), d.Values, routing.SpamClean, routing.SpamReleased)
		case "timezone":
			for _, zone := range d.Values {
				b.zoneName(path+".values", fmt.Sprintf("set %q", d.Slug), zone)
			}
		case "domain_class":
			b.known(path+".values", fmt.Sprintf("set %q", d.Slug), d.Values, lead.DomainBusiness, lead.DomainFree, lead.DomainDisposable)
		}
		b.cfg.Sets = append(b.cfg.Sets, routing.Set{Slug: d.Slug, Dimension: d.Dimension, Values: d.Values})
	}
}

func (b *builder) lists() {
	names := b.names("lists", "slug")
	for i := range b.doc.Lists {
		d := &b.doc.Lists[i]
		path := names.add(i, d.Slug)
		lower(d.Domains)
		owner := b.email(path+".owner", fmt.Sprintf("list %q", d.Slug), &d.Owner)
		b.cfg.Lists = append(b.cfg.Lists, routing.List{Slug: d.Slug, Domains: d.Domains, Companies: d.Companies, Owner: owner})
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
		b.known(path+".lead.consent", what+": consent", d.Lead.Consent, channels...)
		if d.Expect == (expectDoc{}) {
			b.fail(path+".expect", "missing", "add expect: {pool: SLUG}", "%s expects nothing", what)
		}
		b.cfg.Tests = append(b.cfg.Tests, Test{
			Name: d.Name, Form: d.Lead.Form, At: b.moment(path+".at", what+": at", &d.At),
			Lead: lead.Raw{
				Email: privacy.Text(d.Lead.Email), Country: d.Lead.Country, Region: d.Lead.Region, PostalCode: d.Lead.PostalCode, Product: d.Lead.Product,
				Phone: privacy.Text(d.Lead.Phone), Company: privacy.Text(d.Lead.Company),
				Context: lead.Context{UTMSource: d.Lead.Source, UTMCampaign: d.Lead.Campaign, Locale: d.Lead.Language, Timezone: d.Lead.Timezone},
				Consent: lead.Consent{Phone: slices.Contains(d.Lead.Consent, "phone"), SMS: slices.Contains(d.Lead.Consent, "sms"), Email: slices.Contains(d.Lead.Consent, "email")},
			},
			Expect: Expectation{Pool: d.Expect.Pool, Rep: b.email(path+".expect.rep", what, &d.Expect.Rep), Rule: d.Expect.Rule},
		})
		b.circumstances(path, what, d, &b.cfg.Tests[i])
	}
}
