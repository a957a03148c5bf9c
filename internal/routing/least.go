package routing

// Least gives the least that must be known of a lead for the table to decide the same again: the same rule, band, pool and person.
// It is what remains of the facts when a person is erased. The e-mail domain, company, source, campaign, language, product, region, time zone, country of
// the number, consent and spam band go unless the winning rule asked for them, and of a postal code only the start that it compared stays. Form, intent, country, class of the
// domain and the moment are kept: they are no one's.
//
// Knowing less makes fewer rules match, unless a rule leaves out leads of which more is known; so each step is checked.
func Least(table *Table, f Facts) Facts {
	want, account := table.Decide(f, f.AcceptedAt), table.accountOwner(f)
	same := func(f Facts) bool {
		return want.agrees(table.Decide(f, f.AcceptedAt)) && table.accountOwner(f) == account
	}
	for _, fact := range []func(*Facts) *string{
		func(f *Facts) *string { return &f.Company },
		func(f *Facts) *string { return &f.Source },
		func(f *Facts) *string { return &f.Product },
		func(f *Facts) *string { return &f.Language },
		func(f *Facts) *string { return &f.Region },
		func(f *Facts) *string { return &f.Campaign },
		func(f *Facts) *string { return &f.PhoneCountry },
		func(f *Facts) *string { return &f.Timezone },
		func(f *Facts) *string { return &f.Consent },
		func(f *Facts) *string { return &f.Spam },
	} {
		without := f
		if *fact(&without) = ""; same(without) {
			f = without
		}
	}
	for _, domain := range shortest(suffixes(folded(f.EmailDomain))) {
		less := f
		if less.EmailDomain = domain; same(less) {
			f = less
			break
		}
	}
	postal := comparedPostal(f.PostalCode)
	for n := range postal {
		less := f
		if less.PostalCode = postal[:n]; same(less) {
			return less
		}
	}
	return f
}

// shortest are the domains to try, nothing at all first.
func shortest(longestFirst []string) []string {
	tries := []string{""}
	for i := len(longestFirst) - 1; i >= 0; i-- {
		tries = append(tries, longestFirst[i])
	}
	return tries
}

// agrees tells whether two decisions send a lead to the same place for the same reason.
func (d Decision) agrees(e Decision) bool {
	return d.Version == e.Version && d.Rule == e.Rule && d.Band == e.Band && d.Pool == e.Pool && d.Rep == e.Rep && d.Hold == e.Hold
}
