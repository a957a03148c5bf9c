package playbook

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"leadline/internal/lead"
)

// The same-person window (contract section 8).
const (
	defaultWindow = 10 * time.Minute
	leastWindow   = time.Minute
	mostWindow    = time.Hour
)

// defaultPerPerson is what one person may send before it looks like a program: nobody fills in a form six times in ten minutes.
var defaultPerPerson = lead.Rate{Events: 5, Per: 10 * time.Minute}

var fieldRE = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

func (b *builder) forms() {
	names := b.names("forms", "slug")
	for i := range b.doc.Forms {
		d := &b.doc.Forms[i]
		path := names.add(i, d.Slug)
		what := fmt.Sprintf("form %q", d.Slug)
		f := &lead.Form{
			Slug: d.Slug, Name: d.Name, Paused: d.Paused, ConsentTextVersion: d.Consent.TextVersion,
			Intent:       b.word(path+".intent", what+": intent", &d.Intent, lead.IntentHigh, lead.IntentLow),
			DedupeWindow: b.duration(path+".dedupe_window", what+": dedupe_window", &d.DedupeWindow, leastWindow, mostWindow, defaultWindow),
			PerIP:        b.rate(path+".limits.per_ip", what+": limits.per_ip", &d.Limits.PerIP),
			PerNetwork:   b.rate(path+".limits.per_network", what+": limits.per_network", &d.Limits.PerNetwork),
			PerForm:      b.rate(path+".limits.per_form", what+": limits.per_form", &d.Limits.PerForm),
			PerPerson:    b.rateOr(path+".limits.per_person", what+": limits.per_person", &d.Limits.PerPerson, defaultPerPerson),
			Spam:         lead.SpamPolicy{NoChallenge: off(&d.Spam.Challenge), NoHold: off(&d.Spam.Hold)},
		}
		if f.Name == "" {
			f.Name = f.Slug
		}
		for j := range d.AllowedOrigins {
			f.AllowedOrigins = append(f.AllowedOrigins, b.origin(fmt.Sprintf("%s.allowed_origins[%d]", path, j), what, &d.AllowedOrigins[j]))
		}
		for j := range d.Owners {
			f.Owners = append(f.Owners, b.email(fmt.Sprintf("%s.owners[%d]", path, j), what+": owners", &d.Owners[j]))
		}
		f.Fields = b.fields(path, what, d.Fields)
		b.cfg.Forms = append(b.cfg.Forms, f)
	}
}

// origin checks what a browser sends as Origin: scheme, host and port, nothing more.
func (b *builder) origin(path, what string, text *string) string {
	u, err := url.Parse(strings.TrimSuffix(*text, "/"))
	local := err == nil && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1")
	switch {
	case err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.Contains(u.Host, "*"):
		b.fail(path, "origin", "write it like https://www.example.com, one entry per host", "%s: %q is no origin", what, *text)
		return *text
	case u.Scheme != "https" && (u.Scheme != "http" || !local):
		b.fail(path, "origin", "use https://; http is for localhost alone", "%s: origin %q is not safe", what, *text)
		return *text
	}
	*text = u.Scheme + "://" + strings.ToLower(u.Host)
	return *text
}

func (b *builder) fields(path, what string, docs []fieldDoc) []lead.FormField {
	var out []lead.FormField
	seen := map[string]bool{}
	for i := range docs {
		d := &docs[i]
		at := fmt.Sprintf("%s.fields[%d]", path, i)
		switch {
		case !fieldRE.MatchString(d.Name):
			b.fail(at+".name", "format", "use small letters, digits and underscores, up to 40, a letter first", "%s: a field cannot be called %q", what, d.Name)
		case seen[d.Name]:
			b.fail(at+".name", "duplicate", "remove one of them", "%s has two fields %q", what, d.Name)
		}
		seen[d.Name] = true
		one := fmt.Sprintf("%s, field %q", what, d.Name)
		f := lead.FormField{
			Name: d.Name, Label: d.Label, Options: d.Options, Required: d.Required,
			Type: b.word(at+".type", one+": type", &d.Type, lead.FieldText, lead.FieldChoice, lead.FieldNumber, lead.FieldCheckbox),
		}
		switch {
		case f.Type == lead.FieldChoice && len(f.Options) == 0:
			b.fail(at, "missing", "add options: [first, second]", "%s leaves nothing to choose from", one)
		case f.Type != lead.FieldChoice && len(f.Options) > 0:
			b.fail(at+".options", "unused", "make it type: choice", "%s has options, but its type is %s", one, f.Type)
		case slices.Contains(f.Options, ""):
			b.fail(at+".options", "missing", "remove it", "%s has an empty option", one)
		case len(slices.Compact(slices.Sorted(slices.Values(f.Options)))) < len(f.Options):
			b.fail(at+".options", "duplicate", "remove one of them", "%s has an option twice", one)
		}
		out = append(out, f)
	}
	return out
}
