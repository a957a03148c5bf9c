package lead

import (
	"cmp"
	"slices"

	"leadline/internal/privacy"
)

// MaxUnknown is how many unknown fields of one submission are told by name; more are counted. All of them stay in what is kept sealed.
const MaxUnknown = 64

// Longest name and sample of an unknown field, in characters. Both are whatever somebody sent.
const (
	maxUnknownName   = 64
	maxUnknownSample = 200
)

// UnknownField is something that was sent and that the form does not know: usually a sign that the page and the form have grown apart.
type UnknownField struct {
	Name  string       // cleaned and cut; where it stood, with dots between the levels
	Value privacy.Text // the beginning of it
}

// NewUnknownField makes a sample of what came under a name. Neither is trusted: both are cleaned and cut.
func NewUnknownField(name, value string) UnknownField {
	return UnknownField{Name: unknownName(name), Value: privacy.Text(cut(line(head(value, maxUnknownSample)), maxUnknownSample))}
}

// unknownName drops an address that somebody used as a name: names are counted and shown where values are not.
func unknownName(name string) string {
	return cut(withoutAddresses(line(head(name, maxUnknownName))), maxUnknownName)
}

// head is a beginning that is surely longer than limit characters, so that cleaning a huge text costs no more than cleaning a long one.
func head(s string, limit int) string {
	if most := 16 * limit; len(s) > most {
		return s[:most]
	}
	return s
}

// unknown tells what was sent that the form does not know, in the order of the names.
func (n *normaliser) unknown(sub *Submission) {
	for name, value := range n.raw.Fields {
		if !n.form.Knows(name) {
			sub.Unknown = append(sub.Unknown, UnknownField{Name: name, Value: value})
		}
	}
	sub.UnknownCount = len(sub.Unknown) + max(n.raw.UnknownCount, len(n.raw.Unknown))
	sub.Unknown = append(sub.Unknown, n.raw.Unknown...)
	slices.SortFunc(sub.Unknown, func(a, b UnknownField) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value.Plain(), b.Value.Plain()))
	})
	sub.Unknown = sub.Unknown[:min(len(sub.Unknown), MaxUnknown)]
	for i, f := range sub.Unknown {
		sub.Unknown[i] = NewUnknownField(f.Name, f.Value.Plain())
	}
}

// Knows tells whether an answer under this name has a place in a lead of the form.
func (f *Form) Knows(name string) bool {
	return name == "intent" || name == phoneExtension || slices.ContainsFunc(f.Fields, func(def FormField) bool { return def.Name == name })
}
