package routing

import (
	"slices"
	"strings"
)

// maxKnown bounds how many names a suggestion lists.
const maxKnown = 8

// Closest suggests what was probably meant by a name that is not known; where nothing is near it lists what is.
func Closest(name string, known []string) string {
	if near := Nearest(name, known); near != "" {
		return "did you mean " + near + "?"
	}
	switch {
	case len(known) == 0:
		return "add it first; there is none yet"
	case len(known) > maxKnown:
		return "use one of " + strings.Join(known[:maxKnown], ", ") + " and so on, or add it"
	}
	return "use " + strings.Join(known, ", ") + ", or add it"
}

// Nearest sorts known and gives the name that differs least from name, or nothing when none is near enough to have been meant.
func Nearest(name string, known []string) string {
	slices.Sort(known)
	best, least := "", max(1, len(name)/3)+1
	for _, k := range known {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance counts the edits between two names: a letter more, less, another, or two swapped.
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			other := 1
			if a[i-1] == b[j-1] {
				other = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+other)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
