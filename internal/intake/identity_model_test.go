package intake_test

import (
	"time"

	"leadline/internal/lead"
)

// model is what identity means, in as few words as possible: one form's visitors, one after another.
type model struct {
	window time.Duration
	keys   map[string]*entry
	people map[int]*visits
}

// entry is a stored submission. One that made a lead counts what happened to it.
type entry struct {
	person           int
	notes            string // what the key stands for by now
	lead             *entry // itself, or what it joined
	held             string // of a lead: what it says
	repeats, amended int    // of a lead
}

// visits are one person's: the lead that the next submission joins unless they stay away for a whole window.
type visits struct {
	lead *entry
	seen time.Time
}

func newModel(window time.Duration) *model {
	return &model{window: window, keys: map[string]*entry{}, people: map[int]*visits{}}
}

// submit is the decision table. It gives the submission that the answer speaks of.
func (m *model) submit(now time.Time, c click) (s *entry, replay bool) {
	key := lead.StoredKey(c.key)
	first, known := m.keys[key]
	if known && first.person == c.person {
		if first.notes != c.notes { // row 2; else row 1
			m.amend(first, c.notes)
		}
		return first, true
	}
	s = &entry{person: c.person, notes: c.notes, held: c.notes}
	s.lead = s // row 5
	v := m.people[c.person]
	if v == nil {
		v = &visits{seen: now}
		m.people[c.person] = v
	}
	if now.Before(v.seen) {
		now = v.seen // a clock that was set back does not go back here
	}
	if v.lead != nil && now.Sub(v.seen) < m.window { // row 4
		s.lead = v.lead
		s.lead.repeats++
	}
	v.lead, v.seen = s.lead, now
	if key != "" && !known { // else row 6, or row 3: the key stays with whom it belongs to
		m.keys[key] = s
	}
	return s, false
}

// amend takes other words under the same key: into the lead of the submission that made it, beside the lead otherwise.
func (m *model) amend(s *entry, notes string) {
	s.notes = notes
	if s.lead == s && (notes == "" || notes == s.held) {
		return // nothing new
	}
	if s.lead == s {
		s.held = notes
	}
	s.lead.amended++
}
