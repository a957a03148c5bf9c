package handlers

import (
	"leadline/internal/lead"
	"leadline/internal/privacy"
)

// masked is a contact as shown to those who may see a lead but not reach the person: enough to recognise, too little to use.
// Answers in free text go altogether.
func masked(c lead.Contact) lead.Contact {
	return lead.Contact{
		Name: privacy.Text(mask(c.Name)), Email: privacy.Text(maskEmail(c.Email)), Phone: privacy.Text(maskPhone(c.Phone)), Company: c.Company,
		Fields: map[string]privacy.Text{}, Consent: c.Consent,
		Context: lead.Context{Locale: c.Context.Locale, Timezone: c.Context.Timezone, UTMSource: c.Context.UTMSource, UTMMedium: c.Context.UTMMedium, UTMCampaign: c.Context.UTMCampaign},
	}
}

func maskPhone(t privacy.Text) string {
	s := t.Plain()
	if len(s) < 7 {
		return ""
	}
	return s[:3] + "***" + s[len(s)-2:]
}
