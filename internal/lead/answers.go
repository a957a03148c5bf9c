package lead

import (
	"slices"
	"strings"

	"leadline/internal/privacy"
)

// The types of form fields.
const (
	FieldText     = "text"
	FieldChoice   = "choice"
	FieldNumber   = "number"
	FieldCheckbox = "checkbox"
)

// maxChosen is how many options one answer may name.
const maxChosen = 200

// phoneExtension is the name under which the extension of the phone number is kept among the answers: E.164 has no place for it.
const phoneExtension = "phone_ext"

// answers fills product, intent and the form's own fields. A definition with the name of a standard field adds its rules to that
// field. Answers that the form does not define are left out and told as unknown; the stated intent and the extension of the phone number,
// which have no place of their own, are kept among them.
func (n *normaliser) answers(sub *Submission) {
	sub.Contact.Fields = make(map[string]privacy.Text, len(n.form.Fields)+1)
	sub.Product = n.short("product", n.raw.Product, maxOther)
	intent := n.short("intent", n.raw.Intent, maxOther)
	if intent == "" {
		intent = n.short("intent", n.raw.Fields["intent"].Plain(), maxOther)
	}
	if intent != "" {
		sub.Contact.Fields["intent"] = privacy.Text(intent)
	}
	if n.extension != "" {
		sub.Contact.Fields[phoneExtension] = privacy.Text(n.extension)
	}
	for _, def := range n.form.Fields {
		if standard := standardField(sub, def.Name); standard != nil {
			if *standard != "" {
				*standard = n.answer(def, def.Name, *standard)
			}
			continue
		}
		sent, name := n.raw.Fields[def.Name].Plain(), "fields."+def.Name
		switch {
		case def.Name == "intent":
			sent, name = intent, "intent"
		case def.Name == phoneExtension && sent == "":
			sent = n.extension
		}
		if value := n.answer(def, name, sent); value != "" {
			sub.Contact.Fields[def.Name] = privacy.Text(value)
		} else {
			delete(sub.Contact.Fields, def.Name)
		}
	}
}

// required names every field of the form that must be filled and is not.
func (n *normaliser) required(sub *Submission) {
	for _, def := range n.form.Fields {
		value, name := sub.Contact.Fields[def.Name].Plain(), "fields."+def.Name
		if standard := standardField(sub, def.Name); standard != nil {
			value, name = *standard, def.Name
		} else if def.Name == "intent" {
			name = "intent"
		}
		empty := value == "" || def.Type == FieldCheckbox && value == "false"
		if !def.Required || !empty || n.wrongAt(name) {
			continue
		}
		n.wrong(name, "required", requiredSentence(def))
	}
}

func requiredSentence(def FormField) string {
	switch def.Type {
	case FieldChoice:
		return "Choose what you need."
	case FieldCheckbox:
		return "Tick this box to go on."
	case FieldNumber:
		return "Enter a number for " + def.Title() + "."
	default:
		return "Fill in " + def.Title() + "."
	}
}

// Title is the words by which people know the field: its label, else its name made readable.
func (f FormField) Title() string {
	if f.Label != "" {
		return f.Label
	}
	return strings.ReplaceAll(strings.ReplaceAll(f.Name, "_", " "), "-", " ")
}

// standardField gives the place of a standard field in a submission; nil for the form's own. Intent is not among them.
func standardField(sub *Submission, name string) *string {
	switch name {
	case "name":
		return (*string)(&sub.Contact.Name)
	case "email":
		return (*string)(&sub.Contact.Email)
	case "phone":
		return (*string)(&sub.Contact.Phone)
	case "company":
		return (*string)(&sub.Contact.Company)
	case "notes":
		return (*string)(&sub.Contact.Notes)
	case "country":
		return &sub.Country
	case "region":
		return &sub.Region
	case "postal_code":
		return &sub.PostalCode
	case "product":
		return &sub.Product
	}
	return nil
}

// answer checks one answer by its definition and gives its canonical text; empty stays empty.
func (n *normaliser) answer(def FormField, name, sent string) string {
	switch def.Type {
	case FieldChoice:
		return n.choice(def, name, sent)
	case FieldNumber:
		return n.number(def, name, sent)
	case FieldCheckbox:
		return n.checkbox(def, name, sent)
	default:
		return n.limited(name, block(sent), maxAnswer)
	}
}

// choice accepts one option, or several with commas between them as a list of ticked boxes is sent, and gives them as the form spells
// them, each once.
func (n *normaliser) choice(def FormField, name, sent string) string {
	sent = line(sent)
	if sent == "" {
		return ""
	}
	if option, ok := def.option(sent); ok {
		return option
	}
	var chosen []string
	for rest := strings.SplitN(sent, ",", maxChosen+1); len(rest) > 0; {
		option, used := def.firstOption(rest)
		if used == 0 {
			n.wrong(name, "not_an_option", "Choose one of these: "+strings.Join(def.Options, ", ")+".")
			return ""
		}
		if option != "" && !slices.Contains(chosen, option) {
			chosen = append(chosen, option)
		}
		rest = rest[used:]
	}
	return strings.Join(chosen, ", ")
}

// firstOption finds the option that the longest beginning of a list stands for, since options may have commas in them; used is how many
// members of the list that takes, 0 when none is an option. An empty member is no option and no mistake.
func (f FormField) firstOption(list []string) (option string, used int) {
	commas := 0
	for _, option := range f.Options {
		commas = max(commas, strings.Count(option, ","))
	}
	for used = min(len(list), commas+1); used > 0; used-- {
		sent := strings.TrimSpace(strings.Join(list[:used], ","))
		if sent == "" {
			return "", used
		}
		if option, ok := f.option(sent); ok {
			return option, used
		}
	}
	return "", 0
}

// option finds the option that an answer means: as it is spelled, in other case, or as it is shown (spaces for underscores, capitals).
func (f FormField) option(sent string) (option string, ok bool) {
	for _, option := range f.Options {
		if sent == line(option) {
			return option, true
		}
	}
	for _, option := range f.Options {
		if strings.EqualFold(sent, line(option)) {
			return option, true
		}
	}
	folded, found := fold(sent), ""
	for _, option := range f.Options {
		if folded != "" && folded == fold(option) {
			if found != "" {
				return "", false // two options differ in what was folded away: nobody can know which was meant
			}
			found = option
		}
	}
	return found, found != ""
}

// boxWords are what a ticked or an empty box is sent as.
var boxWords = map[string]string{
	"on": "true", "true": "true", "1": "true", "yes": "true", "y": "true", "t": "true", "x": "true", "checked": "true", "selected": "true",
	"accepted": "true", "agreed": "true", "agree": "true", "ja": "true", "oui": "true", "si": "true", "sí": "true", "sim": "true", "✓": "true", "✔": "true",
	"off": "false", "false": "false", "0": "false", "no": "false", "n": "false", "f": "false", "unchecked": "false", "nein": "false",
	"non": "false", "não": "false", "null": "false", "undefined": "false",
}

// checkbox reads a box. Its own name or label as the value means that it was ticked. Of several values the last counts: forms put a hidden
// "no" before the box.
func (n *normaliser) checkbox(def FormField, name, sent string) string {
	sent = line(sent)
	if last := strings.LastIndexByte(sent, ','); last >= 0 && boxWords[strings.ToLower(strings.TrimSpace(sent[last+1:]))] != "" {
		sent = strings.TrimSpace(sent[last+1:])
	}
	if sent == "" {
		return ""
	}
	if value := boxWords[strings.ToLower(sent)]; value != "" {
		return value
	}
	if folded := fold(sent); folded != "" && (folded == fold(def.Name) || folded == fold(def.Label)) {
		return "true"
	}
	n.wrong(name, "not_a_checkbox", "Tick this box or leave it empty.")
	return ""
}
