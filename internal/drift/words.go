package drift

import (
	"fmt"
	"strings"

	"leadline/internal/lead"
)

// field takes a cause apart.
func (g Group) field() (name, code string) {
	if name, ok := strings.CutPrefix(g.Cause, unknownPrefix); ok {
		return name, "unknown"
	}
	at := strings.LastIndexByte(g.Cause, '/')
	if at < 0 {
		return g.Cause, ""
	}
	return g.Cause[:at], g.Cause[at+1:]
}

// wrongValue says what is wrong with what a field sends, by the code of its fault.
var wrongValue = map[string]string{
	"not_an_option":  "sends values that are not among its options",
	"not_a_number":   "sends values that are not numbers",
	"not_a_checkbox": "sends values that are neither yes nor no",
	"too_long":       "sends more text than the field may hold",
	"format":         "sends values that do not have the right form",
	"several":        "sends several values in one",
	"too_short":      "sends values that are too short",
	"country_code":   "sends phone numbers from which no country can be told",
	"required":       "is needed and comes empty or not at all",
}

// Sentence says what differs, in plain words. Names of fields and masked samples are strangers' words: show them as text.
func (g Group) Sentence() string {
	name, code := g.field()
	switch {
	case g.Cause == bodyNotJSON:
		return "Submissions say that they are JSON and are not one JSON object."
	case g.Cause == bodyNotMultipart:
		return "Submissions say that they are multipart/form-data and cannot be read as that."
	case g.Cause == bodyFiles:
		return "Submissions carry files, which no form takes."
	case g.Cause == bodyType:
		return "Submissions come in a format that no form takes" + g.like() + "."
	case g.Cause == otherPrefix+string(Unknown):
		return fmt.Sprintf("More than %d different fields that the form does not know; the rest is counted here together.", maxGroups)
	case strings.HasPrefix(g.Cause, otherPrefix):
		return fmt.Sprintf("More than %d different causes; the rest is counted here together.", maxGroups)
	case g.Kind == Unknown:
		return "“" + name + "” is sent, and the form does not know it" + g.like() + "."
	case g.Cause == "email/required":
		return "Neither “email” nor “phone” comes with the form."
	case g.Cause == "country/unknown":
		return "“country” sends values that are no country" + g.like() + "."
	}
	what := wrongValue[code]
	if what == "" {
		what = "sends values that are refused (" + code + ")"
	}
	return "“" + strings.TrimPrefix(name, "fields.") + "” " + what + g.like() + "."
}

// like shows a sample at the end of a sentence.
func (g Group) like() string {
	if len(g.Samples) == 0 {
		return ""
	}
	return ", like " + g.Samples[0]
}

// Consequence says what becomes of such submissions.
func (g Group) Consequence() string {
	switch g.Kind {
	case Unknown:
		return "Leads are taken all the same. What is in the field is kept sealed for 30 days and reaches nobody."
	case Refused:
		return "The visitor is asked to correct it. No lead is made until they do."
	}
	return "No lead is made: there is nothing in it that could be read."
}

// Advice says what to do about it. form is the form as it is configured now; nil when there is none any more.
func (g Group) Advice(form *lead.Form) string {
	name, code := g.field()
	switch {
	case form == nil:
		return "This form is not in the configuration any more. Take it off the page that still sends it."
	case g.Kind == Unparseable:
		return "Look at the script of the page: it must send an object as application/json, or an ordinary form without files."
	case strings.HasPrefix(g.Cause, otherPrefix):
		return "Look at the page: it sends fields that belong to something else. If nobody knows the senders, they may be programs that try forms out."
	case g.Kind == Unknown && !looksLikeName(name):
		return "Look at the page: this is no name that a field can have, so its name is masked too. A value may stand where a name belongs."
	case g.Cause == "email/required":
		return "Make one of the two obligatory on the page, and check that it sends them under these names."
	case g.Kind == Unknown:
		return "If the answer matters, add the field to the form. Otherwise take it off the page."
	case code == "not_an_option":
		return "Compare the options on the page with those of the form, and add the missing ones to one or the other."
	case code == "required":
		return "Make the field obligatory on the page too, or drop “required” from the form."
	}
	return "A few are people who mistype. Many, or one after another since a change, mean that the page sends something else than the form asks for."
}

// Snippet is what to add to the configuration, as text; empty when nothing would help there.
func (g Group) Snippet(form *lead.Form) string {
	name, code := g.field()
	if form == nil || !looksLikeName(name) {
		return ""
	}
	name = strings.TrimPrefix(name, "fields.")
	var lines []string
	switch {
	case g.Kind == Unknown && validName(name):
		lines = []string{"{name: " + name + ", type: text}"}
	case code == "not_an_option":
		lines = []string{optionsLine(form, name)}
	case code == "required":
		lines = requiredLine(form, name)
	}
	if len(lines) == 0 {
		return ""
	}
	return "forms:\n  - slug: " + form.Slug + "\n    fields:\n      - " + strings.Join(lines, "\n      ") + "\n"
}

// validName tells whether the configuration takes a name as it is.
func validName(name string) bool {
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' {
			return false
		}
	}
	return name != ""
}

func optionsLine(form *lead.Form, name string) string {
	var options []string
	for _, f := range form.Fields {
		if f.Name == name {
			for _, o := range f.Options {
				options = append(options, fmt.Sprintf("%q", o))
			}
		}
	}
	return "{name: " + name + ", type: choice, options: [" + strings.Join(append(options, `"the missing option"`), ", ") + "]}"
}

func requiredLine(form *lead.Form, name string) []string {
	for _, f := range form.Fields {
		if f.Name == name {
			return []string{"{name: " + name + ", type: " + f.Type + ", required: false}"}
		}
	}
	return nil
}

// Reason says in plain words why the last try was not taken; empty when there was none.
func (t Told) Reason() string {
	switch t.Code {
	case "":
		return ""
	case "no_server":
		return "no mail server is set"
	case "no_password":
		return "the password of the mail server is not there"
	case "bad_settings":
		return "the settings of the mail server are wrong"
	case "bad_address":
		return "this is no address that mail can be sent to"
	case "certificate":
		return "the mail server's certificate is not valid"
	case "no_tls":
		return "the mail server offers no encryption"
	case "timeout":
		return "the mail server did not answer in time"
	case "no_connection":
		return "the mail server could not be reached"
	case "530", "534", "535", "538":
		return "the mail server refuses the user or password (" + t.Code + ")"
	}
	return "the mail server answered " + t.Code
}
