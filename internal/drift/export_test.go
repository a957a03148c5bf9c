package drift

import "leadline/internal/lead"

// Mask and FieldName are what makes values and names of strangers harmless.
var (
	Mask      = mask
	FieldName = fieldName
)

// Causes lists what Note would count.
func Causes(form *lead.Form, raw *lead.Raw, err error) []string {
	var out []string
	for _, f := range findings(form, raw, err) {
		out = append(out, f.cause)
	}
	return out
}

// Pending is how many groups wait in memory.
func (s *Service) Pending() int {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	return len(s.counts.groups)
}

// The bounds.
const (
	MaxGroups   = maxGroups
	MailsAtOnce = mailsAtOnce
)
