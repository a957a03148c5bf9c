package lead

import (
	"math"
	"strconv"
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

// answers fills product, intent and the form's own fields. A definition with the name of a standard field adds its rules to that
// field. Answers that the form does not define are left out; the stated intent, which has no place of its own, is kept among them.
func (n *normaliser) answers(sub *Submission) {
	sub.Contact.Fields = map[string]privacy.Text{}
	sub.Product = n.short("product", n.raw.Product, maxOther)
	intent := n.short("intent", n.raw.Intent, maxOther)
	if intent == "" {
		intent = n.short("intent", n.raw.Fields["intent"].Plain(), maxOther)
	}
	if intent != "" {
		sub.Contact.Fields["intent"] = privacy.Text(intent)
	}
	for _, def := range n.form.Fields {
		if standard := standardField(sub, def.Name); standard != nil {
			if *standard != "" {
				*standard = n.answer(def, def.Name, *standard)
			}
			continue
		}
		sent, name := n.raw.Fields[def.Name].Plain(), "fields."+def.Name
		if def.Name == "intent" {
			sent, name = intent, "intent"
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
		return n.checkbox(name, sent)
	default:
		return n.limited(name, block(sent), maxAnswer)
	}
}

func (n *normaliser) choice(def FormField, name, sent string) string {
	sent = line(sent)
	if sent == "" {
		return ""
	}
	for _, option := range def.Options {
		if sent == line(option) {
			return option
		}
	}
	for _, option := range def.Options {
		if strings.EqualFold(sent, line(option)) {
			return option
		}
	}
	n.wrong(name, "not_an_option", "Choose one of these: "+strings.Join(def.Options, ", ")+".")
	return ""
}

func (n *normaliser) number(def FormField, name, sent string) string {
	sent = strings.ReplaceAll(line(sent), " ", "")
	if sent == "" {
		return ""
	}
	if strings.Count(sent, ",") == 1 && !strings.Contains(sent, ".") {
		sent = strings.Replace(sent, ",", ".", 1)
	}
	value, err := strconv.ParseFloat(sent, 64)
	if err != nil || math.IsInf(value, 0) || math.IsNaN(value) || len(sent) > maxOther {
		n.wrong(name, "not_a_number", "Enter a number for "+def.Title()+", like 25.")
		return ""
	}
	return sent
}

func (n *normaliser) checkbox(name, sent string) string {
	switch strings.ToLower(line(sent)) {
	case "":
		return ""
	case "on", "true", "1", "yes", "y":
		return "true"
	case "off", "false", "0", "no", "n":
		return "false"
	}
	n.wrong(name, "not_a_checkbox", "Tick this box or leave it empty.")
	return ""
}

func itoa(n int) string { return strconv.Itoa(n) }
