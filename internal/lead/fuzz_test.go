package lead

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// FuzzEmail holds what an address promises: one form for ever, limits that mail systems have, and a local part as it was written.
func FuzzEmail(f *testing.F) {
	for _, s := range []string{
		"Anna.Berg@ACME.com", "Anna <anna@acme.com>", "mailto:anna%40acme.com?subject=x", "jörg@müller.de", "ａｎｎａ＠ａｃｍｅ．ｃｏｍ", "a.@docomo.ne.jp", "anna@gmail,com",
		"\"anna\"@acme.com", "anna@[10.0.0.1]", "x@xn--a.com", "İ@İ.com", "'anna@acme.com'", "<<a@b.co>>", "“a@b.co”", "mail:mailto:a@b.co", "a@b.co.,;", "用户@例え.テスト",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		emailHint(s)
		address, domain, ok := ParseEmail(s)
		if !ok {
			return
		}
		again, _, ok := ParseEmail(address)
		local, isAddress := strings.CutSuffix(address, "@"+domain)
		switch {
		case !ok || again != address:
			t.Fatalf("%+q is not stable: %+q", address, again)
		case unstorable(address) != "" || strings.ContainsAny(address, " \n<>\""):
			t.Fatalf("%+q would not be an address", address)
		case !isAddress || !isASCII(domain) || domain != strings.ToLower(domain) || len(local) > maxLocal || len(address) > maxEmail:
			t.Fatalf("%+q breaks a limit", address)
		case !strings.Contains(strings.Map(halfWidth, line(s)), local) && !strings.Contains(s, "%"):
			t.Fatalf("%+q was not what was written: %+q", local, s)
		}
	})
}

var e164RE = regexp.MustCompile(`^\+[1-9]\d{4,16}$`)

// FuzzPhone holds what a number promises: E.164, one form for ever, and digits that somebody wrote.
func FuzzPhone(f *testing.F) {
	for _, c := range phoneTable {
		f.Add(c.in, c.country, c.locale, c.zone)
	}
	f.Add("call me", "DE", "", "")
	f.Add("030 901820 after 5", "DE", "", "")
	f.Fuzz(func(t *testing.T, s, country, locale, zone string) {
		code, _ := ParseCountry(country)
		from := dialledFrom(code, locale, zone)
		got, extension, wrong := parsePhone(line(s), from)
		if wrong != nil {
			if wrong.Message == "" || got != "" || extension != "" {
				t.Fatalf("%+q: %+v %q %q", s, wrong, got, extension)
			}
			return
		}
		if !e164RE.MatchString(got) || extension != extensionOf(extension) {
			t.Fatalf("%+q becomes %q, extension %q", s, got, extension)
		}
		if again, _, wrong := parsePhone(got, from); wrong != nil || again != got {
			t.Fatalf("%q is not stable: %q %+v", got, again, wrong)
		}
		written := narrow(line(s))
		start := max(0, strings.IndexAny(written, "+0123456789"))
		if end := got[len(got)-4:]; !strings.Contains(dialDigits(written), end) && !strings.Contains(spelled(written[start:]), end) {
			t.Fatalf("%+q becomes %q, which nobody wrote", s, got)
		}
	})
}

// FuzzPlace holds what places promise: codes or the words that were sent, one form for ever, and no digit of a postal code added or lost.
func FuzzPlace(f *testing.F) {
	for _, c := range []struct{ country, region, postal, zone, locale string }{
		{"Germany", "Bavaria", "D-10115", "Europe/Berlin", "de-DE"},
		{"uk", "Scotland", "sw1a1aa", "europe/london", "en-GB"},
		{"日本", "東京都", "〒１００ー０００５", "Asia/Tokyo", "ja"},
		{"", "US-CA", "94107-1234", "+02:00", "und"},
		{"276", "NRW", "01067", "Asia/Calcutta", "zh-Hant-TW"},
		{"LV", "", "1010", "UTC", ""},
		{"CA", "Qué.", "k1a0b1", "Local", "!!"},
		{"Österreich", "Wien, Österreich", "A-1010", "../etc/passwd", "de_AT"},
	} {
		f.Add(c.country, c.region, c.postal, c.zone, c.locale)
	}
	f.Fuzz(func(t *testing.T, country, region, postal, zone, locale string) {
		code, ok := ParseCountry(country)
		if again, sure := ParseCountry(code); ok && (!sure || again != code || CountryName(code) == code) {
			t.Fatalf("%+q becomes %q, and that %q", country, code, again)
		}
		r, its := parseRegion(region, code)
		if again, same := parseRegion(r, its); again != r || same != its {
			t.Fatalf("%+q in %q becomes %+q in %q, and that %+q in %q", region, code, r, its, again, same)
		}
		p := postalCode(postal, code)
		if again := postalCode(p, code); again != p {
			t.Fatalf("%+q in %q becomes %+q, and that %+q", postal, code, p, again)
		}
		if sent := strings.ReplaceAll(lettersOf(strings.ToUpper(narrow(line(postal)))), "ー", ""); len(postal) < 16*maxOther && len(line(postal)) < maxOther && !strings.HasSuffix(sent, strings.ReplaceAll(lettersOf(p), "ー", "")) {
			t.Fatalf("%+q in %q becomes %+q", postal, code, p)
		}
		if z := timezone(zone); z != "" {
			if _, err := time.LoadLocation(z); err != nil || timezone(z) != z {
				t.Fatalf("%+q becomes %+q: %v", zone, z, err)
			}
		}
		for _, s := range []string{r, p, languageOf(locale)} {
			if problem := unstorable(s); problem != "" {
				t.Fatalf("%+q: %s", s, problem)
			}
		}
	})
}
