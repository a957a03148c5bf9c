// Package drift notices when the form on somebody's page and the form in the configuration grow apart: answers that are refused, fields
// that nobody knows, bodies that cannot be read. It counts them by form and cause, keeps a few masked shapes, and tells the owners of
// the form once for each group and day.
//
// Counting is off the way of a submission: Note adds to a bounded table in memory, and Run, owned by main, writes it down every second
// and when it stops. Counts of the last second are lost with a process that is killed: they are statistics, and no lead depends on
// them. While the database is away they wait in memory. Called by handlers (Note, pages), jobs (Send) and main.
package drift

import (
	"errors"
	"strings"

	"leadline/internal/fault"
	"leadline/internal/lead"
)

// Kind is what became of the submissions of a group.
type Kind string

// The kinds.
const (
	Refused     Kind = "refused"     // 422: an answer was not what the form asks for
	Unknown     Kind = "unknown"     // taken, or refused for something else, with a field that the form does not know
	Unparseable Kind = "unparseable" // 400 or 415: what was sent could not be read at all
)

// What makes the cause of a group that has no field.
const (
	unknownPrefix = "unknown/"
	otherPrefix   = "other/" // with a kind: everything beyond the groups that a form may have
)

// The causes of bodies that cannot be read.
const (
	bodyNotJSON      = "body/not_json"
	bodyNotMultipart = "body/not_multipart"
	bodyFiles        = "body/files"
	bodyType         = "body/type"
)

// maxFindings is how much of one submission is counted: what differs in more ways than that is no form of ours.
const maxFindings = 32

// finding is one thing that differs in one submission.
type finding struct {
	kind   Kind
	cause  string
	sample string // masked; may be empty
}

// findings lists what differs in a submission that was read. err is what Accept said of it, or nil.
func findings(form *lead.Form, raw *lead.Raw, err error) []finding {
	var found []finding
	var f *fault.Error
	if errors.As(err, &f) && f.Kind == fault.Invalid {
		for _, field := range f.Fields {
			found = append(found, finding{Refused, fieldName(field.Field) + "/" + field.Code, mask(valueOf(raw, field.Field))})
		}
	}
	for _, sent := range raw.Unknown {
		if len(found) >= maxFindings {
			break
		}
		found = append(found, finding{Unknown, unknownPrefix + fieldName(sent.Name), mask(sent.Value.Plain())})
	}
	for name, value := range raw.Fields {
		if len(found) >= maxFindings {
			break
		}
		if !form.Knows(name) {
			found = append(found, finding{Unknown, unknownPrefix + fieldName(name), mask(value.Plain())})
		}
	}
	return found
}

// unreadable says why a body could not be read, from the fault and the type that the sender gave.
func unreadable(contentType string, err error) (finding, bool) {
	kind, _, _ := strings.Cut(contentType, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	multipart := kind == "multipart/form-data"
	switch {
	case fault.Is(err, fault.Malformed) && multipart:
		return finding{Unparseable, bodyNotMultipart, ""}, true
	case fault.Is(err, fault.Malformed):
		return finding{Unparseable, bodyNotJSON, ""}, true
	case fault.Is(err, fault.Unsupported) && multipart:
		return finding{Unparseable, bodyFiles, ""}, true
	case fault.Is(err, fault.Unsupported):
		return finding{Unparseable, bodyType, mediaType(kind)}, true
	}
	return finding{}, false
}

// clean tells, without allocating, that nothing differs in a submission that was taken.
func clean(form *lead.Form, raw *lead.Raw) bool {
	if len(raw.Unknown) > 0 {
		return false
	}
	for name := range raw.Fields {
		if !form.Knows(name) {
			return false
		}
	}
	return true
}

// valueOf is what was sent for a field, by the name that faults give it.
func valueOf(raw *lead.Raw, field string) string {
	if name, ok := strings.CutPrefix(field, "fields."); ok {
		return raw.Fields[name].Plain()
	}
	switch field {
	case "name":
		return raw.Name.Plain()
	case "email":
		return raw.Email.Plain()
	case "phone":
		return raw.Phone.Plain()
	case "company":
		return raw.Company.Plain()
	case "notes":
		return raw.Notes.Plain()
	case "country":
		return raw.Country
	case "region":
		return raw.Region
	case "postal_code":
		return raw.PostalCode
	case "product":
		return raw.Product
	case "intent":
		return raw.Intent
	}
	return ""
}
