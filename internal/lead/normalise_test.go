package lead_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/privacy"
)

func demoForm() *lead.Form {
	return &lead.Form{
		Slug: "demo", Intent: lead.IntentHigh, DedupeWindow: 10 * time.Minute, ConsentTextVersion: "v3",
		Fields: []lead.FormField{
			{Name: "product", Type: lead.FieldChoice, Options: []string{"platform", "analytics"}},
			{Name: "seats", Label: "Seats", Type: lead.FieldNumber},
			{Name: "newsletter", Type: lead.FieldCheckbox},
			{Name: "budget", Type: lead.FieldText},
		},
	}
}

func normalised(t *testing.T, raw lead.Raw) lead.Submission {
	t.Helper()
	sub, err := lead.Normalise(demoForm(), raw)
	if err != nil {
		t.Fatalf("normalise %+v: %v %+v", raw, err, faults(err))
	}
	return sub
}

func faults(err error) []fault.Field {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Fields
	}
	return nil
}

func TestNormalise_EmailAddressesAsPeopleWriteThem(t *testing.T) {
	for _, c := range []struct{ in, want, domain, class string }{
		{" Anna.Berg@ACME.com ", "Anna.Berg@acme.com", "acme.com", "business"},
		{"anna+demo@gmail.com", "anna+demo@gmail.com", "gmail.com", "free"},
		{"mailto:anna@acme.com", "anna@acme.com", "acme.com", "business"},
		{"<anna@acme.com>", "anna@acme.com", "acme.com", "business"},
		{"jörg@müller.de", "jörg@xn--mller-kva.de", "xn--mller-kva.de", "business"},
		{"anna@straße.de", "anna@xn--strae-oqa.de", "xn--strae-oqa.de", "business"},
		{"o'neil@eng.acme.co.uk", "o'neil@eng.acme.co.uk", "eng.acme.co.uk", "business"},
		{"x@a.mailinator.com", "x@a.mailinator.com", "a.mailinator.com", "disposable"},
		{"an\u200bna@ac\u200bme.com", "anna@acme.com", "acme.com", "business"},
		{"anna＠acme.com", "anna@acme.com", "acme.com", "business"},
		{"anna@acme.com.", "anna@acme.com", "acme.com", "business"},
		{"a@partner.example", "a@partner.example", "partner.example", "business"},
		{"Anna Berg <anna@acme.com>", "anna@acme.com", "acme.com", "business"},
		{"\"Berg, Anna\" <Anna@acme.com>,", "Anna@acme.com", "acme.com", "business"},
		{"anna@acme.com <mailto:anna@acme.com>", "anna@acme.com", "acme.com", "business"},
		{"MAILTO:anna%2Bx@acme.com?subject=hi", "anna+x@acme.com", "acme.com", "business"},
		{"E-Mail: anna@acme.com;", "anna@acme.com", "acme.com", "business"},
		{"“anna@acme.com”", "anna@acme.com", "acme.com", "business"},
		{"'anna@acme.com'", "anna@acme.com", "acme.com", "business"},
		{"(anna@acme.com),", "anna@acme.com", "acme.com", "business"},
		{"anna @ acme.com", "anna@acme.com", "acme.com", "business"},
		{"ａｎｎａ＠ａｃｍｅ．ｃｏｍ", "anna@acme.com", "acme.com", "business"},
		{"用户@例え.テスト", "用户@xn--r8jz45g.xn--zckzah", "xn--r8jz45g.xn--zckzah", "business"},
		{"anna@XN--MLLER-KVA.de", "anna@xn--mller-kva.de", "xn--mller-kva.de", "business"},
		{"anna@gmial.com", "anna@gmial.com", "gmial.com", "business"},
		{"a..b.@docomo.ne.jp", "a..b.@docomo.ne.jp", "docomo.ne.jp", "free"},
		{strings.Repeat("a", 64) + "@acme.com", strings.Repeat("a", 64) + "@acme.com", "acme.com", "business"},
		{"anna@yahoo.com.ar", "anna@yahoo.com.ar", "yahoo.com.ar", "free"},
		{"anna@hotmail.co.uk", "anna@hotmail.co.uk", "hotmail.co.uk", "free"},
		{"anna@163.com", "anna@163.com", "163.com", "free"},
		{"anna@guerrillamail.com", "anna@guerrillamail.com", "guerrillamail.com", "disposable"},
	} {
		sub := normalised(t, lead.Raw{Email: privacy.Text(c.in)})
		if sub.Contact.Email.Plain() != c.want || sub.EmailDomain != c.domain || sub.DomainClass != c.class {
			t.Errorf("%q: got %q %q %q", c.in, sub.Contact.Email, sub.EmailDomain, sub.DomainClass)
		}
	}
	for _, in := range []string{
		"anna", "anna@", "@acme.com", "anna@acme", "anna@localhost", "anna@127.0.0.1", "a b@acme.com", "anna@ac me.com", "anna@@acme.com",
		".anna@acme.com", "an..na@acme.com", "anna@-acme.com", "anna@acme..com", "anna@acme.c", "anna@acme.com, bob@acme.com",
		strings.Repeat("a", 65) + "@acme.com", "\"anna\"@acme.com", "anna@[10.0.0.1]", "anna\x00@x@acme.com",
		"anna@[IPv6:::1]", "ö" + strings.Repeat("a", 63) + "@acme.com", "a@" + strings.Repeat("a", 64) + ".com", "anna@gmail,com", "anna@acme.com bob",
	} {
		_, err := lead.Normalise(demoForm(), lead.Raw{Email: privacy.Text(in)})
		if f := faults(err); len(f) != 1 || f[0].Field != "email" || !strings.HasPrefix(f[0].Message, "Enter an email address in the right form") {
			t.Errorf("%q: got %+v", in, f)
		}
	}
}

func TestNormalise_PhoneNumbersAsPeopleWriteThem(t *testing.T) {
	for _, c := range []struct{ in, country, locale, want string }{
		{"030 901820", "DE", "", "+4930901820"},
		{"+49 (0) 30 901820", "", "", "+4930901820"},
		{"0049 30 901820", "", "", "+4930901820"},
		{"0049 30 901820", "US", "", "+4930901820"},
		{"(415) 555-2671", "US", "", "+14155552671"},
		{"1-415-555-2671 ext. 23", "US", "", "+14155552671"},
		{"415.555.2671", "", "en-US", "+14155552671"},
		{"+1 415 555 2671", "DE", "", "+14155552671"},
		{"020 7946 0958", "uk", "", "+442079460958"},
		{"+44 (0)20 7946 0958", "GB", "", "+442079460958"},
		{"06 12 34 56 78", "France", "", "+33612345678"},
		{"06 1234 5678", "Italien", "", "+390612345678"},
		{"0664 1234567", "Österreich", "", "+436641234567"},
		{"tel:+41446681800", "", "", "+41446681800"},
		{"＋４９３０９０１８２０", "", "", "+4930901820"},
		{"+49\u00a030\u2011901820", "", "", "+4930901820"},
	} {
		raw := lead.Raw{Phone: privacy.Text(c.in), Country: c.country, Context: lead.Context{Locale: c.locale}}
		if got := normalised(t, raw).Contact.Phone.Plain(); got != c.want {
			t.Errorf("%q in %q: got %q, want %q", c.in, c.country, got, c.want)
		}
	}
	for _, c := range []struct{ in, country, code, sentence string }{
		{"12", "DE", "too_short", "This phone number looks too short. Check it."},
		{"555-2671", "US", "too_short", "This phone number looks too short. Check it."},
		{"+49 30 9018 2090 1820 9018 20", "", "too_long", "This phone number looks too long. Check it."},
		{"030 901820", "", "country_code", "Start the phone number with + and the country code, like +49 30 901820."},
		{"+999 123456", "", "country_code", "Start the phone number with + and the country code, like +49 30 901820."},
		{"call me", "DE", "format", "Enter a phone number in digits, like +49 30 901820."},
		{strings.Repeat("1 ", 30), "DE", "too_long", "This is longer than 40 characters. Shorten it."},
	} {
		_, err := lead.Normalise(demoForm(), lead.Raw{Phone: privacy.Text(c.in), Country: c.country})
		if f := faults(err); len(f) != 1 || f[0].Field != "phone" || f[0].Code != c.code || f[0].Message != c.sentence {
			t.Errorf("%q in %q: got %+v", c.in, c.country, f)
		}
	}
	_, err := lead.Normalise(demoForm(), lead.Raw{Email: "anna@acme.com", Phone: "12", Country: "DE"})
	want := "This phone number looks too short. Check it, or leave it empty and we will email you."
	if f := faults(err); len(f) != 1 || f[0].Message != want {
		t.Errorf("with an email address: got %+v", f)
	}
}

func TestNormalise_PlacesByCodeAndByName(t *testing.T) {
	for _, c := range []struct{ country, region, wantCountry, wantRegion string }{
		{"de", "by", "DE", "DE-BY"},
		{"DEU", "Bayern", "DE", "DE-BY"},
		{"Germany", "Bavaria", "DE", "DE-BY"},
		{"Deutschland", "DE-BY", "DE", "DE-BY"},
		{"Allemagne", "Baden-Württemberg", "DE", "DE-BW"},
		{"", "DE-BY", "DE", "DE-BY"},
		{"USA", "CA", "US", "US-CA"},
		{"United States", "california", "US", "US-CA"},
		{"U.S.", "US-NY", "US", "US-NY"},
		{"États-Unis", "", "US", ""},
		{"UK", "", "GB", ""},
		{"England", "", "GB", ""},
		{"Schweiz", "zürich", "CH", "CH-ZH"},
		{"Suisse", "Genève", "CH", "CH-GE"},
		{"Österreich", "Wien", "AT", "AT-9"},
		{"Australia", "nsw", "AU", "AU-NSW"},
		{"Canada", "Québec", "CA", "CA-QC"},
		{"España", "MD", "ES", "ES-MD"},
		{"Italia", "Lombardia", "IT", "IT-25"},
		{"Nederland", "", "NL", ""},
		{"the Netherlands", "", "NL", ""},
		{"Brasil", "SP", "BR", "BR-SP"},
		{"日本", "", "JP", ""},
		{"Česko", "", "CZ", ""},
		{"Türkiye", "", "TR", ""},
		{"Turkey", "", "TR", ""},
		{"Côte d’Ivoire", "", "CI", ""},
		{"DE", "US-CA", "DE", "US-CA"},
		{"", "somewhere", "", "somewhere"},
		{"DE", "XX", "DE", "XX"},
		{"276", "NRW", "DE", "DE-NW"},
		{"Oesterreich", "Stmk.", "AT", "AT-6"},
		{"Bundesrepublik Deutschland", "Freistaat Bayern", "DE", "DE-BY"},
		{"Germnay", "Nordrhein Westfalen", "DE", "DE-NW"},
		{"Germany (DE)", "Bavaria, Germany", "DE", "DE-BY"},
		{"ドイツ", "", "DE", ""},
		{"المملكة العربية السعودية", "", "SA", ""},
		{"भारत", "Orissa", "IN", "IN-OD"},
		{"IN", "IN-OR", "IN", "IN-OD"},
		{"Việt Nam", "", "VN", ""},
		{"us", "Calif.", "US", "US-CA"},
		{"us", "State of New York", "US", "US-NY"},
		{"us", "D.C.", "US", "US-DC"},
		{"Kanada", "B.C.", "CA", "CA-BC"},
		{"FR", "PACA", "FR", "FR-PAC"},
		{"FR", "75", "FR", "FR-75C"},
		{"FR", "Bouches du Rhône", "FR", "FR-13"},
		{"Spain", "Cataluña", "ES", "ES-CT"},
		{"Spain", "Madrid", "ES", "ES-MD"},
		{"Italy", "Toskana", "IT", "IT-52"},
		{"UK", "Schottland", "GB", "GB-SCT"},
		{"Ireland", "Co. Cork", "IE", "IE-CO"},
		{"NL", "Noord Holland", "NL", "NL-NH"},
		{"BE", "Luik", "BE", "BE-WLG"},
		{"Brazil", "São Paulo", "BR", "BR-SP"},
		{"Mexico", "CDMX", "MX", "MX-CMX"},
		{"Japan", "東京都", "JP", "JP-13"},
		{"JP", "Osaka-fu", "JP", "JP-27"},
		{"中国", "广东省", "CN", "CN-GD"},
		{"KR", "서울특별시", "KR", "KR-11"},
		{"Polska", "województwo mazowieckie", "PL", "PL-14"},
		{"Sverige", "Skåne län", "SE", "SE-M"},
		{"Norge", "Akershus", "NO", "NO-32"},
		{"Danmark", "Sjaelland", "DK", "DK-85"},
		{"Suomi", "Nyland", "FI", "FI-18"},
	} {
		sub := normalised(t, lead.Raw{Email: "a@acme.com", Country: c.country, Region: c.region})
		if sub.Country != c.wantCountry || sub.Region != c.wantRegion {
			t.Errorf("%q %q: got %q %q", c.country, c.region, sub.Country, sub.Region)
		}
	}
	for _, in := range []string{"Atlantis", "ZZ", "XX", "QQQ", "12"} {
		_, err := lead.Normalise(demoForm(), lead.Raw{Email: "a@acme.com", Country: in})
		if f := faults(err); len(f) != 1 || f[0].Field != "country" {
			t.Errorf("%q: got %+v", in, f)
		}
	}
}

func TestNormalise_TextIsCleanedButNotChanged(t *testing.T) {
	sub := normalised(t, lead.Raw{
		Email: "a@acme.com", Name: " A\u0308nna\x00\u202e \t Berg\ufeff\r\n", Company: "Caf\u0065\u0301 \xff GmbH",
		Notes: "first\x00 line \r\nsecond 👩\u200d👩\u200d👧 \u2066x\u2069\n\n", PostalCode: " sw1a  1aa ",
		Context: lead.Context{
			PageURL: "https://" + strings.Repeat("u", 900), Timezone: "Europe/Berlin", Locale: "de_AT", UTMSource: "Google", SubmittedAt: "2026-11-23T16:02:07Z",
		},
		Consent: lead.Consent{Phone: true}, CorrelationID: "abc-123", Unknown: []lead.UnknownField{{Name: "gclid", Value: "x"}},
		Fields: map[string]privacy.Text{"nobody_knows": "x"}, Intent: "pricing",
	})
	c := sub.Contact
	for _, x := range []struct{ what, got, want string }{
		{"name", c.Name.Plain(), "Änna Berg"},
		{"company", c.Company.Plain(), "Café \uFFFD GmbH"},
		{"notes", c.Notes.Plain(), "first line\nsecond 👩\u200d👩\u200d👧 x"},
		{"postal code", sub.PostalCode, "SW1A 1AA"},
		{"zone", sub.Timezone, "Europe/Berlin"},
		{"language", sub.Language, "de"},
		{"source", sub.Source, "google"},
		{"text version", c.Consent.TextVersion, "v3"},
		{"correlation id", sub.CorrelationID, "abc-123"},
		{"intent", sub.Intent, "high"},
	} {
		if x.got != x.want {
			t.Errorf("%s: got %q, want %q", x.what, x.got, x.want)
		}
	}
	if utf8.RuneCountInString(c.Context.PageURL) != 500 {
		t.Errorf("page address has %d characters", utf8.RuneCountInString(c.Context.PageURL))
	}
	if want := map[string]privacy.Text{"intent": "pricing"}; !reflect.DeepEqual(c.Fields, want) {
		t.Errorf("fields: got %v", c.Fields)
	}
	odd := normalised(t, lead.Raw{Email: "a@acme.com", CorrelationID: "a b", Context: lead.Context{Timezone: "../etc/passwd", Locale: "!!"}})
	if odd.CorrelationID != "" || odd.Timezone != "" || odd.Language != "" {
		t.Errorf("odd telemetry was kept: %+v", odd)
	}
}

func TestNormalise_FormFieldsByTheirDefinition(t *testing.T) {
	sub := normalised(t, lead.Raw{
		Email: "a@acme.com", Product: "Platform",
		Fields: map[string]privacy.Text{"seats": "1 250,5", "newsletter": "on", "budget": "about 10k\nmaybe more"},
	})
	want := map[string]privacy.Text{"seats": "1250.5", "newsletter": "true", "budget": "about 10k\nmaybe more"}
	if sub.Product != "platform" || !reflect.DeepEqual(sub.Contact.Fields, want) {
		t.Errorf("got %q %v", sub.Product, sub.Contact.Fields)
	}
	form := demoForm()
	form.Fields = append(form.Fields,
		lead.FormField{Name: "team_size", Type: lead.FieldText, Required: true},
		lead.FormField{Name: "terms", Type: lead.FieldCheckbox, Required: true},
		lead.FormField{Name: "name", Required: true})
	_, err := lead.Normalise(form, lead.Raw{
		Product: "rocket", Fields: map[string]privacy.Text{"seats": "many", "newsletter": "perhaps", "terms": "off"},
	})
	got := map[string]string{}
	for _, f := range faults(err) {
		got[f.Field] = f.Code + ": " + f.Message
	}
	wantFaults := map[string]string{
		"email":             "required: Enter an email address or a phone number, so that we can reach you.",
		"product":           "not_an_option: Choose one of these: platform, analytics.",
		"fields.seats":      "not_a_number: Enter a number for Seats, like 25.",
		"fields.newsletter": "not_a_checkbox: Tick this box or leave it empty.",
		"fields.team_size":  "required: Fill in team size.",
		"fields.terms":      "required: Tick this box to go on.",
		"name":              "required: Fill in name.",
	}
	if !fault.Is(err, fault.Invalid) || !reflect.DeepEqual(got, wantFaults) {
		t.Errorf("got %v", got)
	}
	if _, err := lead.NormaliseAnswers(form, lead.Raw{Company: "Acme"}); err != nil {
		t.Errorf("further answers need nothing else: %v", err)
	}
}

func TestNormalise_LimitsCountCharactersNotBytes(t *testing.T) {
	normalised(t, lead.Raw{Email: "a@acme.com", Name: privacy.Text(strings.Repeat("ü", 200)), Notes: privacy.Text(strings.Repeat("語", 5000))})
	_, err := lead.Normalise(demoForm(), lead.Raw{Email: "a@acme.com", Name: privacy.Text(strings.Repeat("ü", 201)), Notes: privacy.Text(strings.Repeat("語", 5001))})
	if f := faults(err); len(f) != 2 || f[0].Code != "too_long" || f[1].Code != "too_long" {
		t.Errorf("got %+v", f)
	}
}

func TestStoredKey_KeepsBrowserKeysAndHashesOthers(t *testing.T) {
	browser := "0123456789_abcdefghi-ABCDE"
	if got := lead.StoredKey(browser); got != browser {
		t.Errorf("got %q", got)
	}
	for _, in := range []string{"order-42", "order 42", strings.Repeat("x", 255)} {
		once := lead.StoredKey(in)
		if len(once) != 43 || lead.StoredKey(once) != once {
			t.Errorf("%q: got %q", in, once)
		}
	}
	for _, in := range []string{"", "ключ", "a\nb", strings.Repeat("x", 256)} {
		if got := lead.StoredKey(in); got != "" {
			t.Errorf("%q: got %q", in, got)
		}
	}
}

func TestPersonFingerprint_IsOfFormAndPersonAlone(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	same := string(lead.PersonFingerprint(secret, "demo", "Anna@acme.com", "+4930901820"))
	if same != string(lead.PersonFingerprint(secret, "demo", "anna@acme.com", "")) {
		t.Error("case and phone must not matter beside an email address")
	}
	for i, other := range [][]byte{
		lead.PersonFingerprint(secret, "trial", "anna@acme.com", ""), lead.PersonFingerprint(secret, "demo", "bob@acme.com", ""),
		lead.PersonFingerprint(secret, "demo", "", "+4930901820"), lead.PersonFingerprint([]byte("another"), "demo", "anna@acme.com", ""),
	} {
		if string(other) == same {
			t.Errorf("case %d must differ", i)
		}
	}
}

func TestAnswers_MergeKeepsThePersonAndTheNewestWords(t *testing.T) {
	held := lead.Answers{Email: "anna@acme.com", Phone: "+491", Name: "Anna", Fields: map[string]string{"a": "1"}, Consent: lead.Consent{Phone: true}}
	got, err := held.Merge(lead.Answers{Email: "Anna@acme.com", Phone: "+492", Fields: map[string]string{"b": "2"}}, false)
	want := lead.Answers{
		Email: "Anna@acme.com", Phone: "+492", Name: "Anna", Fields: map[string]string{"a": "1", "b": "2"}, Consent: lead.Consent{Phone: true},
	}
	if err != nil || !got.Equal(want) {
		t.Errorf("got %+v %v", got, err)
	}
	if got, _ = held.Merge(lead.Answers{}, true); got.Consent.Phone {
		t.Error("a resent form without consent withdraws it")
	}
	if _, err = held.Merge(lead.Answers{Email: "bob@acme.com"}, false); !fault.Is(err, fault.Invalid) {
		t.Errorf("another person's address: got %v", err)
	}
	if _, ok := held.Fields["b"]; ok {
		t.Error("merging changed what was held")
	}
}

func TestNormalise_PostalCodesAsEnvelopesHaveThem(t *testing.T) {
	for _, c := range []struct{ country, in, want string }{
		{"GB", "sw1a1aa", "SW1A 1AA"},
		{"GB", "m1-1ae", "M1 1AE"},
		{"CA", "k1a0b1", "K1A 0B1"},
		{"NL", "1234ab", "1234 AB"},
		{"NL", "NL-1234 AB", "1234 AB"},
		{"US", "941071234", "94107-1234"},
		{"US", "94107", "94107"},
		{"DE", "D-10115", "10115"},
		{"DE", "DE 10115", "10115"},
		{"DE", "1067", "1067"}, // perhaps 01067: not ours to guess
		{"AT", "A-1010", "1010"},
		{"SE", "s-11455", "114 55"},
		{"GR", "10431", "104 31"},
		{"PL", "00001", "00-001"},
		{"PT", "1234567", "1234-567"},
		{"BR", "01310100", "01310-100"},
		{"JP", "〒１００－０００５", "100-0005"},
		{"JP", "100ー0005", "100-0005"},
		{"IE", "d02af30", "D02 AF30"},
		{"IE", "D6WXY00", "D6W XY00"},
		{"IN", "110 001", "110001"},
		{"LV", "lv1010", "LV-1010"},
		{"LV", "1010", "1010"},
		{"SA", "١٢٢١١", "12211"},
		{"", "sw1a1aa", "SW1A1AA"},
		{"DE", "behind the church", "BEHIND THE CHURCH"},
		{"DE", strings.Repeat("1", 300), strings.Repeat("1", 100)},
	} {
		if got := normalised(t, lead.Raw{Email: "a@acme.com", Country: c.country, PostalCode: c.in}).PostalCode; got != c.want {
			t.Errorf("%q in %q: got %q, want %q", c.in, c.country, got, c.want)
		}
	}
}

func TestNormalise_TelemetryIsBoundedAndNamesNobody(t *testing.T) {
	sub := normalised(t, lead.Raw{Email: "a@acme.com", Context: lead.Context{
		PageURL:   "HTTPS://user:pw@acme.example/x?email=anna&utm_term=anna%40acme.com&plan=team&Phone=%2B4930#mail=x",
		Referrer:  "javascript:alert(1)",
		UTMSource: "Anna@acme.com", UTMMedium: "cpc", UTMCampaign: "for bob%2540acme.com now", UTMTerm: "tips @ home",
		UTMContent: "ａ＠ａｃｍｅ.com", Timezone: "europe/BERLIN", Locale: "de-AT",
	}})
	got := sub.Contact.Context
	want := lead.Context{
		PageURL: "https://acme.example/x?email=&utm_term=[email]&plan=team&Phone=#mail=", UTMSource: "[email]", UTMMedium: "cpc",
		UTMCampaign: "for [email] now", UTMTerm: "tips @ home", UTMContent: "[email]", Timezone: "Europe/Berlin", Locale: "de-AT",
	}
	if got != want || sub.Source != "" || sub.Language != "de" {
		t.Errorf("got %+v, source %q, language %q", got, sub.Source, sub.Language)
	}
	for in, want := range map[string]string{
		"Asia/Calcutta": "Asia/Calcutta", "us/eastern": "US/Eastern", "UTC": "UTC", "+02:00": "", "UTC+2": "", "Local": "", "/etc/localtime": "",
		"Europe/../Berlin": "", "W. Europe Standard Time": "",
	} {
		if got := normalised(t, lead.Raw{Email: "a@acme.com", Context: lead.Context{Timezone: in}}).Timezone; got != want {
			t.Errorf("%q: got %q", in, got)
		}
	}
}

func TestNormalise_FieldsTheFormDoesNotKnowNeverCostALead(t *testing.T) {
	raw := lead.Raw{Email: "a@acme.com", Fields: map[string]privacy.Text{"seats": "3", "phone_ext": "12", "gclid": "abc"}, Phone: "+4930901820"}
	sub := normalised(t, raw)
	if want := (lead.UnknownField{Name: "gclid", Value: "abc"}); len(sub.Unknown) != 1 || sub.Unknown[0] != want || sub.UnknownCount != 1 {
		t.Errorf("got %v", sub.Unknown)
	}
	if want := map[string]privacy.Text{"seats": "3", "phone_ext": "12"}; !reflect.DeepEqual(sub.Contact.Fields, want) {
		t.Errorf("got %v", sub.Contact.Fields)
	}
	for i := range 1000 {
		raw.Fields[privacyName(i)] = "x"
	}
	if sub = normalised(t, raw); len(sub.Unknown) != lead.MaxUnknown || sub.UnknownCount != 1001 || sub.Contact.Fields["seats"] != "3" {
		t.Errorf("got %d of %d", len(sub.Unknown), sub.UnknownCount)
	}
	long := normalised(t, lead.Raw{Email: "a@acme.com", Fields: map[string]privacy.Text{
		strings.Repeat("n\u200b", 5000): privacy.Text(strings.Repeat("v", 30_000)), "anna@acme.com": "1",
	}})
	for _, f := range long.Unknown {
		if utf8.RuneCountInString(f.Name) > 64 || utf8.RuneCountInString(f.Value.Plain()) > 200 || strings.Contains(f.Name, "@") {
			t.Errorf("got %q with %d", f.Name, len(f.Value))
		}
	}
}

func privacyName(i int) string { return "x" + strings.Repeat("y", i) }

func TestNormalise_AnswersInAnyReasonableWriting(t *testing.T) {
	form := &lead.Form{Fields: []lead.FormField{
		{Name: "tools", Type: lead.FieldChoice, Options: []string{"live_demo", "Müller, Sons", "crm"}},
		{Name: "seats", Label: "Seats", Type: lead.FieldNumber},
		{Name: "news", Label: "Send me news", Type: lead.FieldCheckbox},
	}}
	for _, c := range []struct{ field, in, want string }{
		{"tools", "Live Demo", "live_demo"},
		{"tools", "LIVE_DEMO", "live_demo"},
		{"tools", "mu\u0308ller, sons", "Müller, Sons"},
		{"tools", "crm, Müller, Sons, Live demo", "crm, Müller, Sons, live_demo"},
		{"tools", "crm, CRM,", "crm"},
		{"tools", "crm, rocket", "not_an_option"},
		{"seats", "25", "25"},
		{"seats", "1,000", "1000"},
		{"seats", "1.000", "1.000"}, // a program's decimals, perhaps: left as it was
		{"seats", "1.000,50", "1000.50"},
		{"seats", "1,000.50", "1000.50"},
		{"seats", "1.000.000", "1000000"},
		{"seats", "12,34,567", "1234567"},
		{"seats", "1’250", "1250"},
		{"seats", "0,125", "0.125"},
		{"seats", "٢٥", "25"},
		{"seats", "− 5", "-5"},
		{"seats", "1e5", "1e5"},
		{"seats", "1, 2", "not_a_number"},
		{"seats", "12 34", "not_a_number"},
		{"seats", "0x10", "not_a_number"},
		{"seats", "NaN", "not_a_number"},
		{"seats", "10-50", "not_a_number"},
		{"news", "0, 1", "true"},
		{"news", "send me news", "true"},
		{"news", "Ja", "true"},
		{"news", "nein", "false"},
		{"news", "perhaps", "not_a_checkbox"},
	} {
		sub, err := lead.Normalise(form, lead.Raw{Email: "a@acme.com", Fields: map[string]privacy.Text{c.field: privacy.Text(c.in)}})
		got := sub.Contact.Fields[c.field].Plain()
		if f := faults(err); len(f) == 1 && f[0].Field == "fields."+c.field {
			got = f[0].Code
		}
		if got != c.want {
			t.Errorf("%s %q: got %q, want %q", c.field, c.in, got, c.want)
		}
	}
}

// FuzzNormalise holds what storage relies on: no panic, clean text, and that normalising the result changes nothing.
func FuzzNormalise(f *testing.F) {
	f.Add("Anna", "anna@acme.com", "030 901820", "DE", "BY", "10115", "notes\n", "platform", "12", "Europe/Berlin", "de-DE", "k")
	f.Add("\u202e\x00", "＠a@ß.de", "+52 1 55 1234 5678", "UK", "U\u0130", "\xff", "\u2028", "PLATFORM", "1e5", "Local", "und", "!!!!")
	f.Add("a\u0301\u200b\u0301", "İ@İ.com", "0011 61 2", "ivorycoast", "us-ca", "\ufb01", "\r\r\n", "", "0x1p-2", "UTC", "zh-Hant-TW", "")
	f.Add("x", "x@xn--a.com", "tel:(0)", "United States", "D.C.", "ß", "\u1e9b\u0323", "intent", "-", "utc", "i-klingon", "ключ")
	f.Add("x", "a@b.example", "+54 9 11 1234-5678", "AR", "", "", "", "", "", "", "", "0123456789012345678901")
	f.Fuzz(func(t *testing.T, name, email, phone, country, region, postal, notes, product, seats, zone, locale, key string) {
		raw := lead.Raw{
			Name: privacy.Text(name), Email: privacy.Text(email), Phone: privacy.Text(phone), Company: privacy.Text(name), Country: country, Region: region, PostalCode: postal, Product: product,
			Intent: region, Notes: privacy.Text(notes), Fields: lead.HiddenFields(map[string]string{"seats": seats, "budget": notes, "newsletter": zone}),
			Consent: lead.Consent{Phone: true, TextVersion: name}, ClientKey: key, CorrelationID: zone,
			Context: lead.Context{PageURL: "https://" + notes, UTMSource: name, UTMTerm: email, Timezone: zone, Locale: locale},
			Unknown: []lead.UnknownField{lead.NewUnknownField(name, notes)}, UnknownCount: 1,
		}
		once, err := lead.Normalise(demoForm(), raw)
		if err != nil {
			if len(faults(err)) == 0 {
				t.Fatalf("an error without fields: %v", err)
			}
			return
		}
		for _, s := range texts(once) {
			if !utf8.ValidString(s) || strings.ContainsRune(s, 0) || !norm.NFC.IsNormalString(s) {
				t.Fatalf("%q would break a batch", s)
			}
		}
		if strings.Contains(once.Source, "@") || len(once.Unknown) > lead.MaxUnknown {
			t.Fatalf("%q %d", once.Source, len(once.Unknown))
		}
		twice, err := lead.Normalise(demoForm(), rawOf(once))
		if err != nil || !reflect.DeepEqual(once, twice) {
			t.Fatalf("not stable (%v %+v):\n%+q\n%+q", err, faults(err), texts(once), texts(twice))
		}
	})
}

func rawOf(s lead.Submission) lead.Raw {
	c := s.Contact
	return lead.Raw{
		Name: privacy.Text(c.Name), Email: privacy.Text(c.Email), Phone: privacy.Text(c.Phone), Company: privacy.Text(c.Company), Country: s.Country, Region: s.Region, PostalCode: s.PostalCode,
		Product: s.Product, Notes: privacy.Text(c.Notes), Fields: c.Fields, Consent: c.Consent, Context: c.Context, ClientKey: s.ClientKey,
		CorrelationID: s.CorrelationID, Unknown: s.Unknown, UnknownCount: s.UnknownCount,
	}
}

func texts(s lead.Submission) []string {
	c := s.Contact
	out := []string{
		s.CorrelationID, s.Country, s.Region, s.PostalCode, s.Product, s.Timezone, s.Language, s.Source, s.EmailDomain, s.ClientKey,
		c.Name.Plain(), c.Email.Plain(), c.Phone.Plain(), c.Company.Plain(), c.Notes.Plain(), c.Consent.TextVersion, c.Context.PageURL, c.Context.UTMSource, c.Context.Locale,
	}
	for k, v := range c.Fields {
		out = append(out, k, v.Plain())
	}
	return out
}
