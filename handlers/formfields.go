package handlers

import (
	"slices"
	"strings"
	"sync"

	"leadline/internal/lead"
	"leadline/views"
)

// standardInputs are the names that stand for themselves in a post; a form's own fields are sent under "fields.".
var standardInputs = []string{"name", "email", "phone", "company", "country", "region", "postal_code", "product", "intent", "notes"}

func inputName(field string) string {
	if slices.Contains(standardInputs, field) {
		return field
	}
	return "fields." + field
}

// formFields lays out a hosted form: what the visitor needs first (choices), then who they are, then the rest.
func formFields(form *lead.Form, shown shownForm) []views.Field {
	own := map[string]lead.FormField{}
	var first, rest []views.Field
	for _, def := range form.Fields {
		own[def.Name] = def
		if def.Name != "product" && def.Name != "intent" && slices.Contains(standardInputs, def.Name) && def.Type != lead.FieldChoice {
			continue // it has its usual place, under the form's own rules
		}
		field := ownField(def, answerOf(shown.raw, def.Name))
		if def.Type == lead.FieldChoice {
			first = append(first, field)
		} else {
			rest = append(rest, field)
		}
	}
	raw := shown.raw
	usual := []views.Field{
		{Name: "email", Label: "Email", Kind: "email", Autocomplete: "email", Value: raw.Email.Plain()},
		{Name: "name", Label: "Your name", Kind: "text", Autocomplete: "name", Value: raw.Name.Plain()},
		{Name: "company", Label: "Company", Kind: "text", Autocomplete: "organization", Value: raw.Company.Plain(), Optional: true},
		{Name: "country", Label: "Country", Kind: "country", Autocomplete: "country", Value: raw.Country, Options: countries(), Optional: true},
		{Name: "phone", Label: "Phone", Kind: "tel", Autocomplete: "tel", Value: raw.Phone.Plain(), Optional: true},
		{Name: "notes", Label: "What should we know?", Kind: "area", Value: raw.Notes.Plain(), Optional: true},
	}
	out := first
	for _, f := range usual {
		def, defined := own[f.Name]
		if defined && def.Type == lead.FieldChoice {
			continue
		}
		if defined && def.Label != "" {
			f.Label = def.Label
		}
		if defined && def.Required {
			f.Optional, f.Required = false, true
		}
		if f.Name == "notes" {
			out = append(out, rest...)
		}
		out = append(out, f)
	}
	for i := range out {
		out[i].ID = "f-" + strings.ReplaceAll(out[i].Name, ".", "-")
		out[i].Error = errorOf(shown, out[i].Name)
	}
	return out
}

func ownField(def lead.FormField, value string) views.Field {
	f := views.Field{Name: inputName(def.Name), Label: sentence(def.Title()), Kind: "text", Value: value, Required: def.Required, Optional: !def.Required}
	switch def.Type {
	case lead.FieldChoice:
		f.Kind = "choice"
		for _, option := range def.Options {
			f.Options = append(f.Options, views.Option{Value: option, Label: sentence(strings.ReplaceAll(option, "_", " "))})
		}
	case lead.FieldNumber:
		f.Kind = "number"
	case lead.FieldCheckbox:
		f.Kind = "checkbox"
	}
	return f
}

// answerOf gives what was filled in for a field, standard or not.
func answerOf(raw lead.Raw, name string) string {
	switch name {
	case "product":
		return raw.Product
	case "intent":
		return raw.Intent
	case "region":
		return raw.Region
	case "postal_code":
		return raw.PostalCode
	case "country":
		return raw.Country
	case "company":
		return raw.Company.Plain()
	default:
		return raw.Fields[name].Plain()
	}
}

func errorOf(shown shownForm, name string) string {
	if shown.fault == nil {
		return ""
	}
	for _, f := range shown.fault.Fields {
		if f.Field == name {
			return f.Message
		}
	}
	return ""
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// countries lists the world by name. Made once: it takes a moment.
var countries = sync.OnceValue(func() []views.Option {
	var out []views.Option
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string([]rune{a, b})
			if known, ok := lead.ParseCountry(code); ok && known == code {
				out = append(out, views.Option{Value: code, Label: lead.CountryName(code)})
			}
		}
	}
	slices.SortFunc(out, func(x, y views.Option) int { return strings.Compare(x.Label, y.Label) })
	return out
})

// preferredCountry is the region that the browser's first language names, such as DE for de-DE; empty when it names none.
func preferredCountry(acceptLanguage string) string {
	first, _, _ := strings.Cut(acceptLanguage, ",")
	first, _, _ = strings.Cut(first, ";")
	_, region, ok := strings.Cut(strings.TrimSpace(first), "-")
	if !ok || len(region) != 2 {
		return ""
	}
	code, _ := lead.ParseCountry(region)
	return code
}
