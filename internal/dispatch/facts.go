package dispatch

import (
	"leadline/internal/lead"
	"leadline/internal/privacy"
	"leadline/internal/routing"
)

// besideColumns reads what rules may ask of a lead and what stands beside its row, a look-up by key each: in the exchange that claims
// the lead, so that intake stores nothing twice and dispatch waits for nothing more. Whatever stands in the documents, reading them
// cannot fail: a lead that could not be claimed would be dispatched by nobody.
const besideColumns = `l.timezone, (SELECT array_to_string(h.reasons, ',') FROM hold h WHERE h.lead_id = l.id),
	coalesce((SELECT p.country_from FROM lead_person p WHERE p.lead_id = l.id), ''),
	(SELECT ARRAY[c.company, c.phone, coalesce(c.context->>'utm_campaign', ''),
		coalesce(c.consent->>'phone', ''), coalesce(c.consent->>'sms', ''), coalesce(c.consent->>'email', '')]
	FROM contact c WHERE c.lead_id = l.id)`

// beside is what stands beside the row of a lead.
type beside struct {
	held    *string  // why it was held for review before, by names; nil: it was not
	contact []string // as besideColumns puts it; empty for a lead without one, as after an erasure
}

// complete adds to a lead's facts what was read beside it. The phone number itself goes no further, and the company's name only where rules may
// ask for it: facts are kept.
func (b beside) complete(f *routing.Facts, by *routing.Table) {
	f.Spam = routing.SpamClean
	if b.held != nil {
		f.Spam = routing.SpamReleased
	}
	if len(b.contact) == 0 {
		return
	}
	phone, yes := privacy.Text(b.contact[1]), func(i int) bool { return b.contact[i] == "true" }
	if by.ListsCompanies() {
		f.Company = routing.CompanyName(b.contact[0])
	}
	f.Campaign = b.contact[2]
	f.Consent = lead.Consent{Phone: yes(3), SMS: yes(4), Email: yes(5)}.Given()
	if phone != "" {
		f.PhoneCountry = lead.PhoneCountry(phone.Plain())
	}
}
