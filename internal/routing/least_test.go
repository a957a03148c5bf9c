package routing_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"leadline/internal/routing"
)

// poolsOf are pools with one member.
func poolsOf(slugs ...string) []*routing.Pool {
	pools := make([]*routing.Pool, len(slugs))
	for i, slug := range slugs {
		pools[i] = &routing.Pool{Slug: slug, Members: []routing.Member{{Rep: "mia@example.com"}}}
	}
	return pools
}

func TestLeast_KeepsWhatTheWinningRuleAskedFor(t *testing.T) {
	table, problems := routing.Compile(4, poolsOf("all", "berlin", "partners", "ads", "swiss"),
		[]routing.Rule{
			{Name: "partners", Band: routing.Override, When: routing.Condition{DomainList: []string{"partners"}}, Then: routing.Target{Pool: "partners"}},
			{Name: "berlin", When: routing.Condition{Postal: []string{"DE:10", "DE:1011"}}, Then: routing.Target{Pool: "berlin"}},
			{Name: "ads", When: routing.Condition{Source: []string{"ads"}, Product: []string{"crm"}}, Then: routing.Target{Pool: "ads"}},
			{Name: "swiss french", When: routing.Condition{Country: []string{"CH"}, Language: []string{"fr"}}, Then: routing.Target{Pool: "swiss"}},
			{Name: "callers", When: routing.Condition{PhoneCountry: []string{"MT"}, Consent: []string{"sms", "phone"}}, Then: routing.Target{Pool: "swiss"}},
			{Name: "accounts", When: routing.Condition{AccountList: []string{"accounts"}}, Then: routing.Target{Pool: "ads"}},
			{Name: "rest", Band: routing.Default, Then: routing.Target{Pool: "all"}},
		}, nil, []routing.List{
			{Slug: "partners", Domains: []string{"acme.example"}},
			{Slug: "accounts", Companies: []string{"Globex"}},
			{Slug: "owned", Domains: []string{"owned.example"}, Companies: []string{"Initech"}, Owner: "mia@example.com"},
		})
	if table == nil {
		t.Fatal(problems)
	}
	at := time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)
	full := routing.Facts{
		Form: "demo", Intent: "high", Product: "mine", Country: "DE", Region: "DE-BE", PostalCode: "10 115", EmailDomain: "sales.berlin.example",
		Company: "anna's bakery", DomainClass: "business", Source: "a friend", Language: "de-AT", AcceptedAt: at,
		Campaign: "birthday of anna", PhoneCountry: "PT", Timezone: "Europe/Vienna", Consent: "email,phone", Spam: routing.SpamReleased,
	}
	kept := routing.Facts{Form: "demo", Intent: "high", Country: "DE", DomainClass: "business", AcceptedAt: at}
	for name, c := range map[string]struct{ change, want func(*routing.Facts) }{
		"postal code":  {func(*routing.Facts) {}, func(f *routing.Facts) { f.PostalCode = "10" }},
		"nothing":      {func(f *routing.Facts) { f.PostalCode = "20095" }, func(*routing.Facts) {}},
		"domain":       {func(f *routing.Facts) { f.EmailDomain = "eu.mail.acme.example" }, func(f *routing.Facts) { f.EmailDomain = "acme.example" }},
		"account":      {func(f *routing.Facts) { f.PostalCode, f.Company = "", "globex" }, func(f *routing.Facts) { f.Company = "globex" }},
		"whose it is":  {func(f *routing.Facts) { f.PostalCode, f.Company = "", "initech" }, func(f *routing.Facts) { f.Company = "initech" }},
		"two facts":    {func(f *routing.Facts) { f.PostalCode, f.Source, f.Product = "", "Ads", "CRM" }, func(f *routing.Facts) { f.Source, f.Product = "Ads", "CRM" }},
		"the number":   {func(f *routing.Facts) { f.PostalCode, f.PhoneCountry = "", "MT" }, func(f *routing.Facts) { f.PhoneCountry, f.Consent = "MT", "email,phone" }},
		"the language": {func(f *routing.Facts) { f.Country, f.Language = "CH", "fr-CH" }, func(f *routing.Facts) { f.Country, f.Language = "CH", "fr-CH" }},
	} {
		facts, want := full, kept
		c.change(&facts)
		c.want(&want)
		if got := routing.Least(table, facts); got != want {
			t.Errorf("%s: got %+v\nwant %+v", name, got, want)
		}
	}
	if got := routing.Least(&routing.Table{}, full); got != kept {
		t.Errorf("a table without rules needs nothing: %+v", got)
	}
}

// TestLeast_DecidesTheSameAndKnowsNoMore compares random facts under random rules before and after.
func TestLeast_DecidesTheSameAndKnowsNoMore(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 14))
	pick := func(all ...string) string { return all[rng.IntN(len(all))] }
	some := func(all ...string) []string {
		if rng.IntN(3) > 0 {
			return nil
		}
		return []string{pick(all...)}
	}
	for range 200 {
		rules := []routing.Rule{{Name: "rest", Band: routing.Default, Then: routing.Target{Pool: "p0"}}}
		for i := range 12 {
			rules = append(rules, routing.Rule{
				Name: fmt.Sprintf("r%d", i), Priority: i, Then: routing.Target{Pool: fmt.Sprintf("p%d", rng.IntN(4))},
				When: routing.Condition{
					Domain: some("a.example", "b.example"), Postal: some("DE:1", "DE:10", "DE:101"), Region: some("DE-BE", "DE-BY"),
					Product: some("x", "y"), Source: some("ads", "mail"), Language: some("de", "en"), Intent: some("high"), Form: some("demo"),
				},
			})
		}
		table, problems := routing.Compile(1, poolsOf("p0", "p1", "p2", "p3"), rules, nil, nil)
		if table == nil {
			t.Fatal(problems)
		}
		for range 50 {
			full := routing.Facts{
				Form: "demo", Intent: pick("high", "low"), Country: "DE", Region: pick("", "DE-BE", "DE-BY"), PostalCode: pick("", "10115", "10 999", "20095"),
				EmailDomain: pick("", "a.example", "x.b.example"), Product: pick("", "x", "y", "z"), Source: pick("", "ads", "web"), Language: pick("", "de-CH", "en"),
			}
			least := routing.Least(table, full)
			before, after := table.Decide(full, full.AcceptedAt), table.Decide(least, full.AcceptedAt)
			if before.Rule != after.Rule || before.Pool != after.Pool || before.Rep != after.Rep {
				t.Fatalf("%+v went to %s, %+v to %s", full, before.Rule, least, after.Rule)
			}
			if again := routing.Least(table, least); again != least {
				t.Fatalf("less was possible: %+v after %+v", again, least)
			}
		}
	}
}
