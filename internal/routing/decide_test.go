package routing_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"leadline/internal/rep"
	"leadline/internal/routing"
)

func pool(slug string) *routing.Pool {
	return &routing.Pool{Slug: slug, Members: []routing.Member{{Rep: "mia@example.com"}}}
}

func pools(slugs ...string) []*routing.Pool {
	var all []*routing.Pool
	for _, s := range slugs {
		all = append(all, pool(s))
	}
	return all
}

var catchAll = routing.Rule{Name: "Everything else", Band: routing.Default, Then: routing.Target{Pool: "rest"}}

var (
	world = []routing.Territory{
		{Slug: "dach", Places: []string{"DE", "AT", "CH"}},
		{Slug: "bavaria", Within: "dach", Places: []string{"DE-BY"}},
		{Slug: "berlin", Within: "dach", Places: []string{"DE:10", "DE:12"}},
		{Slug: "mitte", Within: "berlin", Places: []string{"DE:101"}},
		{Slug: "alps", Within: "dach", Places: []string{"CH", "AT"}},
	}
	partners = []routing.List{{Slug: "partners", Domains: []string{"partner.example"}, Companies: []string{"Globex, Inc."}}, {Slug: "friends", Domains: []string{"acme.example", "mail.partner.example"}}}
	south    = []routing.Set{{Slug: "south", Dimension: "country", Values: []string{"AT", "CH"}}, {Slug: "shop", Dimension: "intent", Values: []string{"low"}}}
)

func compile(t testing.TB, rules []routing.Rule) *routing.Table {
	t.Helper()
	var slugs []string
	for _, r := range rules {
		if r.Then.Pool != "" && !slices.Contains(slugs, r.Then.Pool) {
			slugs = append(slugs, r.Then.Pool)
		}
	}
	table, problems := routing.Compile(7, pools(slugs...), rules, world, partners, south...)
	if table == nil {
		t.Fatalf("compile: %+v", problems)
	}
	return table
}

func TestDecide_TheMoreSpecificRuleWinsWhereverItStands(t *testing.T) {
	t.Parallel()
	to := func(pool string) routing.Target { return routing.Target{Pool: pool} }
	rules := []routing.Rule{
		catchAll,
		{Name: "DACH", When: routing.Condition{Territory: []string{"dach"}}, Then: to("dach")},
		{Name: "Bavaria", When: routing.Condition{Territory: []string{"bavaria"}}, Then: to("bavaria")},
		{Name: "Berlin", When: routing.Condition{Territory: []string{"berlin"}}, Then: to("berlin")},
		{Name: "Mitte", When: routing.Condition{Territory: []string{"mitte"}}, Then: to("mitte")},
		{Name: "Alps", When: routing.Condition{Territory: []string{"alps"}}, Then: to("alps")},
		{Name: "German analytics", When: routing.Condition{Country: []string{"DE"}, Product: []string{"Analytics"}}, Then: to("analytics")},
		{Name: "Partners", When: routing.Condition{DomainList: []string{"partners"}}, Then: to("partners")},
		{Name: "Key account", Band: routing.Override, When: routing.Condition{Domain: []string{"key.example"}}, Then: routing.Target{Rep: "Sam@example.com"}},
		{Name: "French speakers", When: routing.Condition{Language: []string{"fr"}}, Then: to("french")},
		{Name: "French speakers, preferred", Priority: 1, When: routing.Condition{Language: []string{"fr"}, Source: []string{"Ads"}}, Then: to("french-ads")},
	}
	table := compile(t, rules)
	cases := []struct {
		name  string
		facts routing.Facts
		rule  string
	}{
		{"nothing known", routing.Facts{}, "Everything else"},
		{"country", routing.Facts{Country: "DE"}, "DACH"},
		{"region beats country", routing.Facts{Country: "DE", Region: "DE-BY"}, "Bavaria"},
		{"postal beats region", routing.Facts{Country: "DE", Region: "DE-BY", PostalCode: "12 055"}, "Berlin"},
		{"longer postal wins", routing.Facts{Country: "DE", PostalCode: "10115"}, "Mitte"},
		{"nested beats outer at the same place", routing.Facts{Country: "CH"}, "Alps"},
		{"product adds to country", routing.Facts{Country: "DE", Product: "analytics"}, "German analytics"},
		{"a domain list beats places", routing.Facts{Country: "DE", PostalCode: "10115", EmailDomain: "mail.partner.example"}, "Partners"},
		{"a domain that only ends alike is another", routing.Facts{EmailDomain: "notpartner.example"}, "Everything else"},
		{"override beats all", routing.Facts{Country: "DE", PostalCode: "10115", EmailDomain: "key.example"}, "Key account"},
		{"postal code of another country", routing.Facts{Country: "FR", PostalCode: "10115"}, "Everything else"},
		{"language without its country", routing.Facts{Language: "fr-CA"}, "French speakers"},
		{"more conditions win", routing.Facts{Language: "fr", Source: "ads"}, "French speakers, preferred"},
	}
	for _, c := range cases {
		d := table.Decide(c.facts, start)
		if d.Rule != c.rule {
			t.Errorf("%s: rule %q, want %q (%+v)", c.name, d.Rule, c.rule, d)
		}
	}
	d := table.Decide(routing.Facts{EmailDomain: "key.example", Country: "DE"}, start)
	if d.Rep != "sam@example.com" || d.Pool != "rest" || d.Version != 7 || d.Band != "override" {
		t.Errorf("a rule that names a person: %+v", d)
	}
	want := []routing.RunnerUp{{Rule: "DACH", Lost: "band"}, {Rule: "Everything else", Lost: "band"}}
	if !reflect.DeepEqual(d.RunnersUp, want) {
		t.Errorf("runners-up %+v", d.RunnersUp)
	}
	if d := table.Decide(routing.Facts{Country: "DE", PostalCode: "10115"}, start); d.RunnersUp[0].Rule != "Berlin" || d.RunnersUp[0].Lost != "postal code" {
		t.Errorf("runners-up %+v", d.RunnersUp)
	}
}

func TestCompile_RefusesWhatCouldLoseOrMisplaceALead(t *testing.T) {
	t.Parallel()
	de := routing.Condition{Country: []string{"DE"}}
	cases := map[string]struct {
		rules []routing.Rule
		pools []*routing.Pool
		lands []routing.Territory
		says  string
	}{
		"no default":            {rules: []routing.Rule{{Name: "A", When: de, Then: routing.Target{Pool: "a"}}}, says: "no rule of band default"},
		"tie":                   {rules: []routing.Rule{catchAll, {Name: "A", When: de, Then: routing.Target{Pool: "a"}}, {Name: "B", When: de, Then: routing.Target{Pool: "b"}}}, says: `rules "A" and "B" are equally strong and disagree about a lead from DE`},
		"tie through territory": {rules: []routing.Rule{catchAll, {Name: "A", When: de, Then: routing.Target{Pool: "a"}}, {Name: "B", When: routing.Condition{Territory: []string{"dach"}}, Then: routing.Target{Pool: "b"}}}, lands: world, says: "a lead from DE"},
		"tie of domains":        {rules: []routing.Rule{catchAll, {Name: "A", When: routing.Condition{Domain: []string{"a.example"}}, Then: routing.Target{Pool: "a"}}, {Name: "B", When: routing.Condition{Domain: []string{"x.a.example"}}, Then: routing.Target{Pool: "b"}}}, says: "e-mail domain x.a.example"},
		"two defaults":          {rules: []routing.Rule{catchAll, {Name: "B", Band: routing.Default, Then: routing.Target{Pool: "b"}}}, says: "every lead"},
		"unknown pool":          {rules: []routing.Rule{{Name: "A", Band: routing.Default, Then: routing.Target{Pool: "c"}}}, says: `there is no pool "c"`},
		"unknown territory":     {rules: []routing.Rule{catchAll, {Name: "A", When: routing.Condition{Territory: []string{"dahc"}}, Then: routing.Target{Pool: "a"}}}, lands: world, says: `there is no territory "dahc"`},
		"unknown country":       {rules: []routing.Rule{catchAll, {Name: "A", When: routing.Condition{Country: []string{"UK"}}, Then: routing.Target{Pool: "a"}}}, says: `there is no country "UK"`},
		"default names a person": {
			rules: []routing.Rule{{Name: "A", Band: routing.Default, Then: routing.Target{Rep: "mia@example.com"}}}, says: "names only a person",
		},
		"overflow ring":  {rules: []routing.Rule{catchAll}, pools: []*routing.Pool{{Slug: "x", Overflow: "y", Members: pool("").Members}, {Slug: "y", Overflow: "x", Members: pool("").Members}}, says: "x → y → x"},
		"territory ring": {rules: []routing.Rule{catchAll, {Name: "A", When: routing.Condition{Territory: []string{"x"}}, Then: routing.Target{Pool: "a"}}}, lands: []routing.Territory{{Slug: "x", Within: "y", Places: []string{"DE"}}, {Slug: "y", Within: "x", Places: []string{"DE"}}}, says: "lies within itself"},
		"empty pool":     {rules: []routing.Rule{catchAll}, pools: []*routing.Pool{{Slug: "x"}}, says: `pool "x" has no members`},
		"contradiction":  {rules: []routing.Rule{catchAll, {Name: "A", When: routing.Condition{Country: []string{"FR"}, Territory: []string{"dach"}}, Then: routing.Target{Pool: "a"}}}, lands: world, says: "nothing in common"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table, problems := routing.Compile(1, append(pools("rest", "a", "b"), c.pools...), c.rules, c.lands, nil)
			if table != nil {
				t.Fatal("it compiled")
			}
			if !slices.ContainsFunc(problems, func(p routing.Problem) bool { return !p.Warning && strings.Contains(p.Message, c.says) }) {
				t.Errorf("no problem says %q: %+v", c.says, problems)
			}
		})
	}
}

func TestCompile_EqualRulesMayAgreeOrBeRanked(t *testing.T) {
	t.Parallel()
	de := routing.Condition{Country: []string{"DE"}}
	rules := []routing.Rule{
		catchAll,
		{Name: "B", When: de, Then: routing.Target{Pool: "a"}},
		{Name: "A", When: de, Then: routing.Target{Pool: "a"}},
		{Name: "C", When: de, Priority: -1, Then: routing.Target{Pool: "c"}},
	}
	d := compile(t, rules).Decide(routing.Facts{Country: "DE"}, start)
	if d.Rule != "A" || d.RunnersUp[0].Lost != "same result" || d.RunnersUp[1].Lost != "priority" {
		t.Errorf("%+v", d)
	}
}

// random makes rules and facts out of few values, so that they often meet.
type random struct{ *rand.Rand }

func (r random) some(values ...string) []string {
	if r.IntN(3) > 0 {
		return nil
	}
	r.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
	return values[:min(len(values), 1+r.IntN(2))]
}

func (r random) one(values ...string) string { return values[r.IntN(len(values))] }

func (r random) rules(n int) []routing.Rule {
	rules := []routing.Rule{catchAll}
	for i := range n {
		rule := routing.Rule{
			Name: fmt.Sprintf("rule %03d", i), Band: routing.Band(r.one("", "", "match", "override", "default")), Priority: r.IntN(4),
			When: routing.Condition{
				DomainList: r.some("partners", "friends"), Domain: r.some("acme.example", "de.acme.example"), Territory: r.some("dach", "bavaria", "berlin", "mitte", "alps"),
				Postal: r.some("DE:1", "DE:10", "AT:10"), Region: r.some("DE-BY", "DE-BE"), Country: r.some("DE", "AT", "CH", "FR"),
				Product: r.some("platform", "analytics"), Intent: r.some("high", "low"), Form: r.some("demo", "contact"), Language: r.some("de", "de-at", "fr"), Source: r.some("ads", "mail"),
			},
			Then: routing.Target{Pool: fmt.Sprintf("p%d", r.IntN(4))},
		}
		if r.IntN(4) == 0 {
			rule.Any = []routing.Condition{{Source: []string{"ads"}}, {Product: []string{"platform"}, Form: []string{"demo"}}}
			rule.When.Source, rule.When.Product, rule.When.Form = nil, nil, nil
		}
		if r.IntN(4) == 0 {
			rule.Except = &routing.Condition{Language: r.some("de", "de-at"), Territory: []string{r.one("bavaria", "berlin", "alps")}}
		}
		if r.IntN(5) == 0 {
			rule.From, rule.Until = start.Add(time.Duration(r.IntN(5)-2)*time.Hour), start.Add(time.Duration(r.IntN(3)+3)*time.Hour)
		}
		if r.IntN(8) == 0 {
			rule.When.AccountList = r.some("partners", "friends")
		}
		if r.IntN(8) == 0 {
			rule.Hours, _ = rep.ParseHours("Mon-Sun 12:00-16:00", "UTC")
		}
		if r.IntN(5) == 0 {
			rule.When.Set = []string{r.one("south", "shop")}
		}
		rules = append(rules, rule)
	}
	return rules
}

func (r random) facts() routing.Facts {
	return routing.Facts{
		Form: r.one("demo", "contact"), Intent: r.one("high", "low"), Product: r.one("", "Platform", "analytics"), Country: r.one("", "DE", "AT", "CH", "FR"),
		Region: r.one("", "DE-BY", "DE-BE"), PostalCode: r.one("", "10115", "12055", "1010", "80331"), EmailDomain: r.one("", "acme.example", "mail.de.acme.example", "partner.example"),
		Language: r.one("", "de", "de-AT", "fr"), Source: r.one("", "ads", "mail"), Company: r.one("", "GLOBEX Inc", "globex gmbh & co. kg", "Initech"),
	}
}

// usable leaves out the rules that the compiler refuses, such as those about two countries at once.
func usable(rules []routing.Rule) []routing.Rule {
	all := pools("rest", "p0", "p1", "p2", "p3")
	for {
		table, problems := routing.Compile(1, all, rules, world, partners, south...)
		if table != nil {
			return rules
		}
		rules = slices.DeleteFunc(rules, func(r routing.Rule) bool {
			return slices.ContainsFunc(problems, func(p routing.Problem) bool { return p.Section == "rules" && p.Name == r.Name && !p.Warning })
		})
	}
}

func TestDecide_EveryLeadLandsInExactlyOnePoolWhateverTheOrderOfRules(t *testing.T) {
	t.Parallel()
	for seed := range uint64(15) {
		r := random{rand.New(rand.NewPCG(seed, 9))}
		rules := usable(r.rules(1 + r.IntN(60)))
		tables := []*routing.Table{}
		for range 3 {
			r.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
			table, problems := routing.Compile(1, pools("p3", "p2", "p1", "p0", "rest"), rules, world, partners, south...)
			if table == nil {
				t.Fatalf("seed %d: %+v", seed, problems)
			}
			tables = append(tables, table)
		}
		for n := range 200 {
			f := r.facts()
			first := tables[0].Decide(f, start)
			if tables[0].Pool(first.Pool) == nil {
				t.Fatalf("seed %d: %+v lands in %q", seed, f, first.Pool)
			}
			for _, other := range tables[1:] {
				if again := other.Decide(f, start); !reflect.DeepEqual(again, first) {
					t.Fatalf("seed %d: %+v\n%+v\n%+v", seed, f, first, again)
				}
			}
			if n >= 20 {
				continue
			}
			if brute := strongest(t, rules, f); brute != first.Rule {
				t.Fatalf("seed %d: %+v went by %q, but alone against all it is %q", seed, f, first.Rule, brute)
			}
		}
	}
}

// TestDecide_FollowsDatesRowsExceptionsAndSets asks rules with each of them about leads on both sides of the line.
func TestDecide_FollowsDatesRowsExceptionsAndSets(t *testing.T) {
	t.Parallel()
	to := func(pool string) routing.Target { return routing.Target{Pool: pool} }
	table := compile(t, []routing.Rule{
		catchAll,
		{Name: "South", When: routing.Condition{Set: []string{"south"}}, Except: &routing.Condition{DomainClass: []string{"free"}, Form: []string{"demo"}}, Then: to("south")},
		{Name: "Winter", When: routing.Condition{Country: []string{"DE"}}, From: start, Until: start.Add(time.Hour), Then: to("winter")},
		{Name: "Latin", Any: []routing.Condition{{Country: []string{"ES"}}, {Country: []string{"FR"}, Language: []string{"fr"}}}, Then: to("latin")},
		{Name: "Demos from Spain", When: routing.Condition{Form: []string{"demo"}, Country: []string{"ES"}}, Then: to("spain")},
	})
	for _, c := range []struct {
		facts routing.Facts
		after time.Duration
		rule  string
	}{
		{routing.Facts{Country: "AT"}, 0, "South"},
		{routing.Facts{Country: "AT", DomainClass: "free"}, 0, "South"},
		{routing.Facts{Country: "AT", DomainClass: "free", Form: "demo"}, 0, "Everything else"},
		{routing.Facts{Country: "DE"}, -time.Second, "Everything else"},
		{routing.Facts{Country: "DE"}, 0, "Winter"},
		{routing.Facts{Country: "DE"}, time.Hour, "Everything else"},
		{routing.Facts{Country: "ES"}, 0, "Latin"},
		{routing.Facts{Country: "FR"}, 0, "Everything else"},
		{routing.Facts{Country: "FR", Language: "fr-CA"}, 0, "Latin"},
		{routing.Facts{Country: "ES", Form: "demo"}, 0, "Demos from Spain"},
	} {
		if d := table.Decide(c.facts, start.Add(c.after)); d.Rule != c.rule {
			t.Errorf("%+v after %v: rule %q, want %q", c.facts, c.after, d.Rule, c.rule)
		}
	}
	without := table.Without("Demos from Spain", routing.Facts{Country: "ES", Form: "demo"}, start)
	if without.Rule != "Latin" || table.Without("Everything else", routing.Facts{}, start).Pool != "" {
		t.Errorf("without the winner: %+v", without)
	}
}

// TestCompile_FilesConditionsOfManyValuesOnce makes a rule whose values multiply to more rows than are worth filing.
func TestCompile_FilesConditionsOfManyValuesOnce(t *testing.T) {
	t.Parallel()
	var products, sources []string
	for i := range 300 {
		products, sources = append(products, fmt.Sprintf("product %d", i)), append(sources, fmt.Sprintf("source %d", i))
	}
	large := routing.Condition{Product: products, Source: sources}
	table := compile(t, []routing.Rule{catchAll, {Name: "Large", When: large, Then: routing.Target{Pool: "large"}}})
	if d := table.Decide(routing.Facts{Product: "Product 299", Source: "source 7"}, start); d.Rule != "Large" {
		t.Errorf("%+v", d)
	}
	if d := table.Decide(routing.Facts{Product: "Product 300", Source: "source 7"}, start); d.Rule != "Everything else" {
		t.Errorf("%+v", d)
	}
	_, problems := routing.Compile(1, pools("rest", "large", "other"), []routing.Rule{
		catchAll,
		{Name: "Large", When: large, Then: routing.Target{Pool: "large"}},
		{Name: "One", When: routing.Condition{Product: products[:1], Source: sources[:1]}, Then: routing.Target{Pool: "other"}},
	}, nil, nil)
	if !slices.ContainsFunc(problems, func(p routing.Problem) bool { return p.Code == "tie" }) {
		t.Errorf("no tie: %+v", problems)
	}
}

// strongest finds the winner without any index: rules that match alone, then the one that wins each duel.
func strongest(t *testing.T, rules []routing.Rule, f routing.Facts) string {
	t.Helper()
	duel := func(names ...routing.Rule) string {
		if !slices.ContainsFunc(names, func(r routing.Rule) bool { return r.Name == catchAll.Name }) {
			names = append(names, catchAll)
		}
		table, problems := routing.Compile(1, pools("rest", "p0", "p1", "p2", "p3"), names, world, partners, south...)
		if table == nil {
			t.Fatalf("%+v", problems)
		}
		return table.Decide(f, start).Rule
	}
	best := catchAll
	for _, r := range rules {
		if r.Name != catchAll.Name && duel(best, r) == r.Name {
			best = r
		}
	}
	return best.Name
}

func FuzzDecide_AnyFactsFindAPool(f *testing.F) {
	table := compile(f, append(usable(random{rand.New(rand.NewPCG(5, 6))}.rules(80)), routing.Rule{Name: "x", Priority: 99999, When: routing.Condition{Form: []string{"demo"}}, Then: routing.Target{Pool: "rest"}}))
	f.Add("demo", "DE", "DE-BY", "10115", "acme.example", "de-AT")
	f.Add("", "d\xff", "-", ":::", "....", "_-_")
	f.Fuzz(func(t *testing.T, form, country, region, postal, domain, language string) {
		d := table.Decide(routing.Facts{Form: form, Country: country, Region: region, PostalCode: postal, EmailDomain: domain, Language: language}, time.Time{})
		if table.Pool(d.Pool) == nil {
			t.Errorf("no pool: %+v", d)
		}
	})
}
