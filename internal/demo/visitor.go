package demo

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// visitor is a made-up person who sends a form. Phone numbers lie in ranges that regulators keep for fiction where there is one,
// e-mail domains end in .example, so that nobody real is ever written to.
type visitor struct {
	name, company, country, region, postal, phone, timezone, locale, notes string
}

func visitors() []visitor {
	return []visitor{
		{"Anna Kovács", "Nordlicht GmbH", "DE", "DE-BE", "10115", "+49 30 23125 041", "Europe/Berlin", "de-DE", "Wir verlieren Anfragen am Wochenende."},
		{"Lukas Weber", "Isarwerk AG", "DE", "DE-BY", "80331", "+49 30 23125 042", "Europe/Berlin", "de-DE", "Moving away from a shared inbox."},
		{"Jule Brandt", "Hafenkontor GmbH", "DE", "DE-HH", "20457", "+49 30 23125 043", "Europe/Berlin", "de-DE", ""},
		{"Leonie Huber", "Donau Software GmbH", "AT", "AT-9", "1010", "+43 1 5131 120", "Europe/Vienna", "de-AT", "Bitte am Vormittag anrufen."},
		{"Reto Frei", "Limmat Systems AG", "CH", "CH-ZH", "8001", "+41 44 668 18 21", "Europe/Zurich", "de-CH", "Twelve reps, three languages."},
		{"Maya Rivera", "Bayside Robotics Inc", "US", "US-CA", "94105", "+1 415 555 0141", "America/Los_Angeles", "en-US", "Our CRM is slow at month end. Does that matter?"},
		{"Ethan Cole", "Cascade Outdoor", "US", "US-WA", "98101", "+1 206 555 0142", "America/Los_Angeles", "en-US", ""},
		{"Noah Goldberg", "Hudson Freight LLC", "US", "US-NY", "10001", "+1 212 555 0143", "America/New_York", "en-US", "Need round robin by state."},
		{"Grace Okoye", "Lakeshore Health", "US", "US-IL", "60601", "+1 312 555 0144", "America/Chicago", "en-US", "About 40 demo requests a day."},
		{"Sophie Tremblay", "Érable Logistics", "CA", "CA-QC", "H3B 1A7", "+1 514 555 0145", "America/Toronto", "fr-CA", "Can reps claim from chat?"},
		{"João Araújo", "Paulista Dados Ltda", "BR", "BR-SP", "01310-100", "+55 11 3071 0046", "America/Sao_Paulo", "pt-BR", ""},
		{"Olivia Clarke", "Kestrel Analytics Ltd", "GB", "GB-ENG", "EC1A 1BB", "+44 20 7946 0147", "Europe/London", "en-GB", "Comparing three tools this week."},
		{"Amara Boateng", "Clyde Energy plc", "GB", "GB-SCT", "G1 1XQ", "+44 141 496 0148", "Europe/London", "en-GB", "How fast can we be live?"},
		{"Ingrid Solberg", "Fjord Marine AS", "NO", "NO-03", "0150", "+47 22 85 50 50", "Europe/Oslo", "nb-NO", ""},
		{"Elias Lindqvist", "Norrsken Studio AB", "SE", "SE-AB", "111 20", "+46 8 465 004 51", "Europe/Stockholm", "sv-SE", "We answer in hours, we want seconds."},
		{"Yui Satō", "Sakura Instruments KK", "JP", "JP-13", "100-0005", "+81 3 3211 0052", "Asia/Tokyo", "ja-JP", "Demo in English is fine."},
		{"Priya Iyer", "Kaveri Cloud Pvt", "IN", "IN-KA", "560001", "+91 98450 00053", "Asia/Kolkata", "en-IN", "Routing by product line, please."},
		{"Jack Walker", "Harbour Bridge Pty", "AU", "AU-NSW", "2000", "+61 2 5550 0154", "Australia/Sydney", "en-AU", ""},
		{"Chloé Moreau", "Lumière SARL", "FR", "FR-75", "75002", "+33 1 42 68 53 55", "Europe/Paris", "fr-FR", "Nos commerciaux sont sur trois fuseaux."},
		{"Marta Nowak", "Wisła Tech", "PL", "PL-14", "00-001", "+48 22 555 00 56", "Europe/Warsaw", "pl-PL", "Recommended by a friend."},
		{"Sofía Ortega", "Retiro Viajes SL", "ES", "ES-MD", "28001", "+34 91 555 00 57", "Europe/Madrid", "es-ES", ""},
		{"Pat Novak", "Partner Consulting", "DE", "DE-BE", "10117", "+49 30 23125 058", "Europe/Berlin", "en-GB", "A client of ours asks for this."},
	}
}

// partner is the visitor whose domain is on the playbook's list of partners.
const partner = "Partner Consulting"

// lead is what the visitor sends. A number in the mailbox makes the same visitor somebody new next time.
func (v visitor) lead(form string, at time.Time) map[string]any {
	first, _, _ := strings.Cut(v.name, " ")
	domain := letters(v.company) + ".example"
	if v.company == partner {
		domain = "partner.example"
	}
	out := map[string]any{
		"name":        v.name,
		"email":       fmt.Sprintf("%s%04d@%s", letters(first), rand.IntN(10_000), domain), //nolint:gosec // a made-up mailbox is no secret
		"phone":       v.phone,
		"company":     v.company,
		"country":     v.country,
		"region":      v.region,
		"postal_code": v.postal,
		"notes":       v.notes,
		"consent":     map[string]any{"phone": true, "email": true, "text_version": "demo-1"},
		"context": map[string]string{
			"page_url": "https://www.leadline.example/" + form, "utm_source": TrickleSource, "utm_medium": "demo",
			"timezone": v.timezone, "locale": v.locale, "submitted_at": at.UTC().Format(time.RFC3339Nano),
		},
	}
	switch form {
	case Form:
		out["product"] = pick("platform", "analytics")
		out["fields"] = map[string]string{"team_size": pick("1-10", "11-50", "51-200", "more than 200")}
	case ContactForm:
		out["fields"] = map[string]string{"topic": pick("question", "support", "press", "newsletter")}
	}
	return out
}

func pick(from ...string) string { return from[rand.IntN(len(from))] } //nolint:gosec // a made-up answer is no secret

// letters keeps what may stand in a host name and a mailbox everywhere.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(s))
}
