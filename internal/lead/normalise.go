package lead

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"leadline/internal/fault"
	"leadline/internal/privacy"
)

// Normalise makes a Raw submission of a form into a Submission without identity (ID, Fingerprint, Digest), or says with an
// Invalid fault, field by field, what the visitor should change. Unknown fields and odd telemetry never cost a lead. Normalising
// what it returned changes nothing.
func Normalise(form *Form, raw Raw) (Submission, error) {
	n := &normaliser{form: form, raw: raw}
	sub := n.submission()
	if sub.Contact.Email == "" && sub.Contact.Phone == "" && !n.wrongAt("email") && !n.wrongAt("phone") {
		n.wrong("email", "required", "Enter an email address or a phone number, so that we can reach you.")
	}
	n.required(&sub)
	return sub, n.fault()
}

// NormaliseAnswers is Normalise for further answers onto a lead that exists: nothing is required, what is there must be right.
func NormaliseAnswers(form *Form, raw Raw) (Submission, error) {
	n := &normaliser{form: form, raw: raw}
	sub := n.submission()
	return sub, n.fault()
}

// normaliser collects what is wrong while it builds the submission.
type normaliser struct {
	form      *Form
	raw       Raw
	extension string // of the phone number
	faults    []fault.Field
}

func (n *normaliser) submission() Submission {
	sub := Submission{
		CorrelationID: correlationID(n.raw.CorrelationID),
		Form:          n.form.Slug,
		Intent:        n.form.Intent,
		Window:        n.form.DedupeWindow,
		ClientKey:     StoredKey(n.raw.ClientKey),
		Demo:          n.form.Demo,
		BodyType:      n.raw.BodyType,
		Body:          n.raw.Body,
	}
	c := &sub.Contact
	c.Name = privacy.Text(n.short("name", n.raw.Name.Plain(), maxName))
	c.Company = privacy.Text(n.short("company", n.raw.Company.Plain(), maxCompany))
	c.Notes = privacy.Text(n.limited("notes", block(n.raw.Notes.Plain()), maxNotes))
	c.Consent = n.consent()
	c.Context = cleanContext(n.raw.Context)
	n.place(&sub)
	n.reach(&sub)
	n.answers(&sub)
	n.unknown(&sub)
	sub.Timezone = c.Context.Timezone
	sub.Language = languageOf(c.Context.Locale)
	sub.Source = source(c.Context.UTMSource)
	return sub
}

// CountryFromRegion says that nobody stated a country, but the region's code names one.
const CountryFromRegion = "region"

// place fills country, region and postal code. A region with a full code may name the country.
func (n *normaliser) place(sub *Submission) {
	if country := n.short("country", n.raw.Country, maxOther); country != "" {
		code, ok := ParseCountry(country)
		if !ok {
			n.wrong("country", "unknown", "Choose a country, or enter its two-letter code, like DE.")
		}
		sub.Country = code
	}
	region, country := parseRegion(n.raw.Region, sub.Country)
	sub.Region = n.limited("region", region, maxOther)
	if sub.Country == "" && country != "" && !n.wrongAt("country") {
		sub.Country, sub.CountryFrom = country, CountryFromRegion
	}
	sub.PostalCode = postalCode(n.raw.PostalCode, sub.Country)
}

// reach fills e-mail and phone.
func (n *normaliser) reach(sub *Submission) {
	n.email(sub)
	phone := n.short("phone", n.raw.Phone.Plain(), maxPhone)
	if phone == "" || n.wrongAt("phone") {
		return
	}
	if final(phone) {
		sub.Contact.Phone = privacy.Text(phone)
		n.extension = extensionOf(line(n.raw.Fields[phoneExtension].Plain()))
		return
	}
	e164, extension, wrong := parsePhone(phone, dialledFrom(sub.Country, n.raw.Context.Locale, sub.Contact.Context.Timezone))
	if wrong != nil {
		if sub.Contact.Email != "" {
			wrong.Message += phoneOptional
		} else {
			wrong.Message += "."
		}
		n.faults = append(n.faults, *wrong)
	}
	if extension == "" {
		extension = extensionOf(line(n.raw.Fields[phoneExtension].Plain()))
	}
	sub.Contact.Phone, n.extension = privacy.Text(e164), extension
}

func (n *normaliser) email(sub *Submission) {
	sent := n.raw.Email.Plain()
	address, domain, ok := ParseEmail(sent)
	switch {
	case ok:
		sub.Contact.Email, sub.EmailDomain, sub.DomainClass = privacy.Text(address), domain, DomainClass(domain)
	case n.short("email", sent, maxEmail) == "": // empty, or too long and said so
	default:
		sentence := "Enter an email address in the right form, like anna@acme.com"
		if hint := emailHint(sent); hint != "" {
			sentence += ". Did you mean " + hint + "?"
		}
		n.wrong("email", "format", sentence)
	}
}

// consent takes the text version of the form when the page does not say which text was shown.
func (n *normaliser) consent() Consent {
	c := n.raw.Consent
	c.TextVersion = cut(line(head(c.TextVersion, maxOther)), maxOther)
	if c.TextVersion == "" && (c.Phone || c.SMS || c.Email) {
		c.TextVersion = cut(line(n.form.ConsentTextVersion), maxOther)
	}
	return c
}

// correlationID keeps an id that is safe in headers and logs; nothing else.
func correlationID(s string) string {
	if len(s) > 128 {
		return ""
	}
	for i := range len(s) {
		if !isAlnum(s[i]) && !strings.ContainsRune("-_.:", rune(s[i])) {
			return ""
		}
	}
	return s
}

// short is a cleaned text of one line within a limit.
func (n *normaliser) short(field, s string, limit int) string {
	return n.limited(field, line(s), limit)
}

func (n *normaliser) limited(field, s string, limit int) string {
	if len(s) > limit && utf8.RuneCountInString(s) > limit {
		n.wrong(field, "too_long", "This is longer than "+strconv.Itoa(limit)+" characters. Shorten it.")
		return ""
	}
	return s
}

func (n *normaliser) wrong(field, code, message string) {
	n.faults = append(n.faults, fault.Field{Field: field, Code: code, Message: message})
}

func (n *normaliser) wrongAt(field string) bool {
	for _, f := range n.faults {
		if f.Field == field {
			return true
		}
	}
	return false
}

func (n *normaliser) fault() error {
	if len(n.faults) == 0 {
		return nil
	}
	f := fault.New(fault.Invalid, "Some answers need a change.")
	f.Code, f.Fields = "fields", n.faults
	return f
}
