package lead_test

import (
	"testing"

	"leadline/internal/lead"
	"leadline/internal/privacy"
)

// BenchmarkNormalise is what the rules cost in the hot path: a usual submission with a number as phone widgets send it, one with a number
// as people write it, and one in another script.
func BenchmarkNormalise(b *testing.B) {
	context := lead.Context{
		PageURL: "https://www.acme.example/pricing?plan=team&utm_source=google", Referrer: "https://www.google.com/", UTMSource: "google",
		UTMMedium: "cpc", UTMCampaign: "spring-2026", SubmittedAt: "2026-11-23T16:02:07Z", Timezone: "Europe/Berlin", Locale: "de-DE",
		Device: "desktop", Network: "4g",
	}
	usual := lead.Raw{
		Name: "Anna Berg", Email: "Anna.Berg@Acme.example", Phone: "+4930901820", Company: "Acme GmbH", Country: "DE", Region: "DE-BE",
		PostalCode: "10115", Product: "platform", Notes: "We would like to see the product next week.\nBest in the morning.",
		Fields: map[string]privacy.Text{"seats": "25", "budget": "about 10k"}, Consent: lead.Consent{Phone: true, TextVersion: "v3"},
		Context: context, ClientKey: "0123456789_abcdefghi-ABCDE", CorrelationID: "0192f0c1-7e3b-7cc0-a5a5-0123456789ab",
	}
	written := usual
	written.Phone, written.Country, written.Region = "030 / 90 18 20", "Germany", "Berlin"
	script := usual
	script.Name, script.Company, script.Notes = "山田 太郎", "株式会社アクメ", "製品のデモをお願いします。\nよろしくお願いいたします。"
	script.Phone, script.Country, script.Region, script.PostalCode = "+81312345678", "JP", "東京都", "100-0005"
	for _, c := range []struct {
		name string
		raw  lead.Raw
	}{{"usual", usual}, {"written", written}, {"script", script}} {
		b.Run(c.name, func(b *testing.B) {
			form := demoForm()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := lead.Normalise(form, c.raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
