package lead

import (
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // IANA names are judged alike on machines without time zone files

	"golang.org/x/text/language"
)

// timezones remembers valid names: there are some 600 of them, and each look-up reads a file.
var timezones sync.Map

// timezone returns an IANA name unchanged and anything else as nothing: a browser's guess never costs a lead.
func timezone(s string) string {
	s = line(s)
	if s == "" || s == "Local" {
		return ""
	}
	if _, known := timezones.Load(s); known {
		return s
	}
	if _, err := time.LoadLocation(s); err != nil {
		return ""
	}
	timezones.Store(s, true)
	return s
}

// languageOf gives the language of a locale like de-AT: "de"; nothing when it names none.
func languageOf(locale string) string {
	tag, err := language.Parse(locale)
	if err != nil {
		return ""
	}
	base, confidence := tag.Base()
	if confidence < language.High {
		return ""
	}
	return base.String()
}

// postalCode writes a postal code as envelopes do.
func postalCode(s string) string { return strings.ToUpper(line(s)) }
