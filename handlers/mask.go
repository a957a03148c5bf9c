package handlers

import (
	"net/url"
	"strings"

	"leadline/internal/lead"
	"leadline/internal/privacy"
)

// Who sees what of a lead's contact. "holder" is the rep who has the lead, and whoever has an open reveal; "masked" are people and
// programs whose cell of the matrix says /m or /r; "others" are reps who share a team or a pool with the lead.
//
//	field                    holder   masked                           others
//	name, company            whole    first letter of each word        -
//	email                    whole    first letter, the whole domain   -
//	phone                    whole    first three, last two            -
//	notes, answers           whole    -                                -
//	postal code              whole    first two characters             first two characters
//	consent                  whole    whole                            whole
//	page, referrer           whole    without query and fragment       without query and fragment
//	campaign, source, medium whole    unless it holds an address       unless it holds an address
//	term, content            whole    -                                -
//	device, network          whole    -                                -
//	language, time zone      whole    whole                            whole
//
// The rest of a lead (form, intent, product, country, region, source, stage, pool) says nothing about who it is, and is whole for all in
// scope. The database gives others no name, address, number or answer to begin with (lead.Store.Contact).
func shownContact(seen lead.SeenContact) lead.Contact {
	c := seen.Contact
	if seen.Whole {
		return c
	}
	return lead.Contact{
		Name: initials(c.Name), Email: maskEmail(c.Email), Phone: maskPhone(c.Phone), Company: initials(c.Company),
		Fields: map[string]privacy.Text{}, Consent: c.Consent,
		Context: lead.Context{
			PageURL: placeOnly(c.Context.PageURL), Referrer: placeOnly(c.Context.Referrer),
			UTMSource: unaddressed(c.Context.UTMSource), UTMMedium: unaddressed(c.Context.UTMMedium), UTMCampaign: unaddressed(c.Context.UTMCampaign),
			SubmittedAt: c.Context.SubmittedAt, Timezone: c.Context.Timezone, Locale: c.Context.Locale,
		},
	}
}

// initials keeps the first letter of each word, enough to tell two leads apart and no more.
func initials(t privacy.Text) privacy.Text {
	words := strings.Fields(t.Plain())
	for i, w := range words {
		for _, first := range w {
			words[i] = string(first) + "•••"
			break
		}
	}
	return privacy.Text(strings.Join(words, " "))
}

func maskEmail(t privacy.Text) privacy.Text {
	local, domain, ok := strings.Cut(t.Plain(), "@")
	if !ok {
		return initials(t)
	}
	return privacy.Text(initials(privacy.Text(local)).Plain() + "@" + domain)
}

func maskPhone(t privacy.Text) privacy.Text {
	s := t.Plain()
	if len(s) < 7 {
		return ""
	}
	return privacy.Text(s[:3] + "•••" + s[len(s)-2:])
}

// area is the part of a postal code that names a district and not a street.
func area(code string) string {
	if len(code) <= 2 {
		return code
	}
	return strings.ToValidUTF8(code[:2], "") + "…"
}

// placeOnly is an address of a page without what a form may have put into it.
func placeOnly(address string) string {
	u, err := url.Parse(address)
	if err != nil || address == "" {
		return ""
	}
	u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment, u.User = "", false, "", "", nil
	if strings.Contains(u.Path, "@") || u.Opaque != "" {
		u.Path, u.RawPath, u.Opaque = "", "", ""
	}
	return u.String()
}

// unaddressed drops a campaign name that somebody has put an e-mail address into.
func unaddressed(s string) string {
	if strings.Contains(s, "@") || strings.Contains(s, "%40") {
		return ""
	}
	return s
}
