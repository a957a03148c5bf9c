package routing_test

import (
	"testing"

	"leadline/internal/routing"
)

func TestCompanyName_LeavesWhatTellsCompaniesApart(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		"":                          "",
		"Globex, Inc.":              "globex",
		"GLOBEX GmbH & Co. KG":      "globex",
		"Acme-Widgets  S.A.":        "acme widgets",
		"Müller & Söhne oHG":        "müller söhne",
		"株式会社トヨタ":                   "株式会社トヨタ",
		"Limited Brands":            "limited brands",
		"Limited":                   "limited",
		"3M":                        "3m",
		"& & &":                     "",
		"Société Générale (France)": "société générale france",
	} {
		if got := routing.CompanyName(written); got != want {
			t.Errorf("%q: got %q, want %q", written, got, want)
		}
		if again := routing.CompanyName(routing.CompanyName(written)); again != want {
			t.Errorf("%q: %q the second time", written, again)
		}
	}
}
