package routing

import "slices"

// GivenWith tries changes that Why named, taken from what can be changed, and asks Place anew.
func (r *Record) GivenWith(t *Table, email string, now *Person, changes []Change) bool {
	s := r.situation(t, email, now)
	var set []change
	for _, c := range slices.Concat(obstacles(s, email), circumstances(s, email)) {
		if slices.Contains(changes, c.Change) {
			set = append(set, c)
		}
	}
	return len(set) == len(changes) && s.with(set).gives(email)
}
