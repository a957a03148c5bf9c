package routing

import (
	"slices"
	"strings"
	"unicode"
)

// legalForms are words at the end of a company's name that say nothing about which company it is, in compared form.
var legalForms = []string{
	"ab", "ag", "as", "asa", "bv", "co", "corp", "corporation", "doo", "eg", "ek", "ev", "gbr", "gmbh", "inc", "incorporated", "kg", "kgaa", "kk", "limited",
	"llc", "llp", "ltd", "mbh", "nv", "ohg", "oy", "oyj", "plc", "pte", "pty", "sa", "sarl", "sas", "se", "sl", "spa", "srl", "spzoo", "ug",
}

// ListsCompanies tells whether any list holds companies by name.
func (t *Table) ListsCompanies() bool { return t != nil && len(t.companies) > 0 }

// CompanyName is the form in which names of companies are compared: small letters and digits of its words, without what stands for the legal
// form: "ACME Widgets, Inc." is "acme widgets", as is "Acme-Widgets GmbH & Co. KG". Of a name that is nothing but that, it stays.
func CompanyName(s string) string {
	s = strings.ReplaceAll(strings.ToLower(s), ".", "")
	words := strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
	end := len(words)
	for end > 1 && slices.Contains(legalForms, words[end-1]) {
		end--
	}
	return strings.Join(words[:end], " ")
}

// accountOwner is the rep named by the first list that holds the lead's company: by the longest domain, then by its name, then by the list's slug.
func (t *Table) accountOwner(f Facts) string {
	if t == nil || len(t.listOwners) == 0 {
		return ""
	}
	for _, domain := range suffixes(folded(f.EmailDomain)) {
		if rep := t.ownerAmong(t.lists[domain]); rep != "" {
			return rep
		}
	}
	return t.ownerAmong(t.companies[CompanyName(f.Company)])
}

func (t *Table) ownerAmong(lists []string) string {
	for _, list := range lists {
		if rep := t.listOwners[list]; rep != "" {
			return rep
		}
	}
	return ""
}
